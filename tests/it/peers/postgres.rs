//! A real PostgreSQL server, Debian's, with a database for each test that asks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Process, script, tied};

const NAME: &str = "tollgate-postgres";

/// A server on a Unix socket.
#[derive(Debug)]
pub(crate) struct PostgresPeer {
    dir: PathBuf,
    process: Option<Process>,
}

impl PostgresPeer {
    /// The server that all tests of this run share, started by the first that asks.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<PostgresPeer> = LazyLock::new(PostgresPeer::alone);
        &SHARED
    }

    /// A server for one test, which may stop it.
    pub(crate) fn alone() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        sweep();
        // Not below a target directory: the path of a socket may have 107 letters, and the server's user must reach it.
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("{NAME}-{}-{serial}", std::process::id()));
        let process = Some(server(&dir).unwrap_or_else(|e| panic!("{e}")));
        Self { dir, process }
    }

    /// Makes a database of its own and gives its URL.
    pub(crate) fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let made = Command::new("createdb").arg("-h").arg(&self.dir).args(["-U", "postgres", &name]).output();
        let made = made.expect("createdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        format!("postgres://postgres@localhost/{name}?host={}", self.dir.display())
    }

    /// Kills the server as a crash would.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// Starts a stopped server with its data.
    pub(crate) fn start(&mut self) {
        self.process = Some(server(&self.dir).expect("PostgreSQL comes back"));
    }
}

impl Drop for PostgresPeer {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn server(dir: &Path) -> Result<Process, String> {
    let mut command = tied(script("postgres.sh"));
    command.arg(dir);
    let ready = |line: &str| line.contains("database system is ready to accept connections").then_some(());
    Ok(Process::start(command, ready)?.0)
}

/// Removes what servers of earlier runs left: the shared one lives in a static, which is never dropped.
fn sweep() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(NAME).and_then(|rest| rest.split('-').nth(1).map(str::to_owned));
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
