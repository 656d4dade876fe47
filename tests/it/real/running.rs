//! Tollgate's own binary as a process: started, asked, ended by a signal, started again in the same folder.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::peers::{self, Process, off_runtime, tied};
use crate::support::{Client, PATIENCE};

/// Names another build of the program, an optimised one where time is measured.
const BINARY: &str = "TOLLGATE_TEST_BINARY";

/// A folder with a configuration, a spool and whatever file the events go to.
#[derive(Debug)]
pub(super) struct Site {
    dir: TempDir,
}

/// Tollgate running in a [`Site`]. Dropping it kills it (SIGKILL).
#[derive(Debug)]
pub(super) struct Running {
    process: Process,
    pub(super) address: SocketAddr,
    ops: SocketAddr,
}

impl Site {
    /// `upstreams` is the list under that name; `more` are further top-level settings, `events:` among them.
    pub(super) fn new(upstreams: &str, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listen = "proxy: { listen: 127.0.0.1:0 }\nops: { listen: 127.0.0.1:0 }\n";
        let configuration = format!("{listen}upstreams:\n{upstreams}\n{more}\n");
        std::fs::write(dir.path().join("tollgate.yaml"), configuration).unwrap();
        Self { dir }
    }

    /// Writes another file of the folder.
    pub(super) fn with(self, name: &str, content: &str) -> Self {
        std::fs::write(self.dir.path().join(name), content).unwrap();
        self
    }

    /// Starts Tollgate and waits until it says that it is ready.
    pub(super) async fn start(&self) -> Running {
        let folder = self.dir.path().to_owned();
        off_runtime(move || start(&folder)).await
    }

    /// The events in `usage.jsonl`.
    pub(super) fn file(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.path().join("usage.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("an event is a line of JSON")).collect()
    }
}

fn start(folder: &PathBuf) -> Running {
    let mut command = tied(program());
    command.args(["serve", "--config", "tollgate.yaml"]).current_dir(folder).env("TOLLGATE_LOG__FORMAT", "text");
    let (process, (address, ops)) = Process::start(command, ready).unwrap_or_else(|e| panic!("{e}"));
    Running { process, address, ops }
}

/// The program under test.
fn program() -> OsString {
    std::env::var_os(BINARY).unwrap_or_else(|| env!("CARGO_BIN_EXE_tollgate").into())
}

/// Runs `tollgate audit`, which must find nothing missing.
pub(super) fn audit(arguments: &[&str]) {
    peers::audit(program(), arguments);
}

/// The addresses in the line that says `ready`.
fn ready(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let (_, fields) = line.split_once(": ready ")?;
    let field = |name: &str| fields.split(' ').find_map(|field| field.strip_prefix(name)?.parse().ok());
    Some((field("proxy=")?, field("ops=")?))
}

impl Running {
    /// The process id.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// As clients are configured.
    pub(super) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(super) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// The text of `/metrics`.
    pub(super) async fn metrics(&self) -> String {
        Client::connect(self.ops).await.get("/metrics").await.text().await
    }

    /// Waits until `/metrics` has this line.
    async fn until(&self, line: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let page = self.metrics().await;
            if page.lines().any(|found| found == line) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "no {line} in\n{page}\n{}", self.process.last_lines());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Waits until every event is delivered to every sink, those of earlier lives included.
    pub(super) async fn delivered(&self) {
        self.until("tollgate_spool_oldest_event_timestamp_seconds 0").await;
    }

    pub(super) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Waits for the end of the process: its exit code, or `None` when a signal ended it.
    pub(super) async fn exit_code(mut self) -> Option<i32> {
        off_runtime(move || self.process.wait().code()).await
    }

    /// SIGTERM, and wait; everything that its sinks can take is delivered then.
    pub(super) async fn stop(self) {
        self.signal("TERM");
        assert_eq!(self.exit_code().await, Some(0));
    }

    /// SIGKILL, and wait.
    pub(super) async fn kill(self) {
        off_runtime(move || drop(self)).await;
    }
}
