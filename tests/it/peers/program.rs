//! The real Tollgate, on a folder that outlives it.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::{Process, off_runtime, tied};
use crate::support::{Client, unset};

/// Names another build of the program, an optimised one where much is done.
const BINARY: &str = "TOLLGATE_TEST_BINARY";

/// The running program.
pub(crate) struct Program {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    ops: SocketAddr,
}

/// The program, with nothing of what is set around the test run.
pub(crate) fn tollgate() -> Command {
    let mut command = Command::new(binary());
    unset(&mut command);
    command
}

fn binary() -> OsString {
    std::env::var_os(BINARY).unwrap_or_else(|| env!("CARGO_BIN_EXE_tollgate").into())
}

impl Program {
    /// Starts a subcommand on the folder's `tollgate.yaml`, which asks for a JSON log, and waits until it serves.
    pub(crate) async fn start(role: &str, folder: &Path) -> Self {
        Self::start_with(role, folder, &[]).await
    }

    /// The same, with these in its environment.
    pub(crate) async fn start_with(role: &str, folder: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = tied(binary());
        unset(command.arg(role).current_dir(folder)).envs(environment.iter().copied());
        let started = off_runtime(move || Process::start(command, ready)).await;
        let (process, (address, ops)) = started.unwrap_or_else(|error| panic!("{error}"));
        Self { process, address, ops }
    }

    /// The value of one metric line, in whole numbers; 0 when it is not there.
    pub(crate) async fn metric(&self, line: &str) -> u64 {
        let text = Client::connect(self.ops).await.get("/metrics").await.text().await;
        let found = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        found.map_or(0, |value| value.parse::<f64>().unwrap() as u64)
    }

    /// Kills it, with no chance to do anything.
    pub(crate) async fn kill(self) {
        off_runtime(move || drop(self.process)).await;
    }

    /// Ends it in order.
    pub(crate) async fn end(mut self) {
        off_runtime(move || {
            self.process.signal("TERM");
            let status = self.process.wait();
            assert!(status.success(), "it ended with {status}:\n{}", self.process.last_lines());
        })
        .await;
    }
}

/// Runs `audit` of this program, which must find nothing missing.
pub(crate) fn audit(program: impl AsRef<OsStr>, arguments: &[&str]) {
    let mut command = Command::new(program);
    let output = unset(command.arg("audit").args(arguments)).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "audit {arguments:?} found:\n{out}{err}");
}

fn ready(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let address = |name: &str| line[name].as_str().unwrap().parse().unwrap();
    (line["message"] == "ready").then(|| (address("proxy"), address("ops")))
}
