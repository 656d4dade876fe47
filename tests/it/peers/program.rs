//! The real Tollgate, on a folder that outlives it.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::{Process, off_runtime, tied};
use crate::support::unset;

/// The running program.
pub(crate) struct Program {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Program {
    /// Starts a subcommand on the folder's `tollgate.yaml`, which asks for a JSON log, and waits until it serves.
    pub(crate) async fn start(role: &str, folder: &Path) -> Self {
        let mut command = tied(env!("CARGO_BIN_EXE_tollgate"));
        unset(command.arg(role).current_dir(folder));
        let started = off_runtime(move || Process::start(command, ready)).await;
        let (process, address) = started.unwrap_or_else(|error| panic!("{error}"));
        Self { process, address }
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

fn ready(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    (line["message"] == "ready").then(|| line["proxy"].as_str().unwrap().parse().unwrap())
}
