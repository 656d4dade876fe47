//! A real Redis server, Debian's, on a port and in a folder of its own.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::{Process, free_port, tied};

/// What it must be told to let anyone in.
pub(crate) const PASSWORD: &str = "a-secret-of-the-store";

/// A server that keeps nothing on disk.
pub(crate) struct RedisPeer {
    port: u16,
    scheme: &'static str,
    dir: TempDir,
    process: Option<Process>,
}

impl RedisPeer {
    pub(crate) fn start() -> Self {
        Self::start_as("redis")
    }

    /// A server that speaks TLS only, with a certificate of its own for this address.
    pub(crate) fn start_with_tls() -> Self {
        Self::start_as("rediss")
    }

    fn start_as(scheme: &'static str) -> Self {
        let mut peer = Self { port: free_port(), scheme, dir: tempfile::tempdir().unwrap(), process: None };
        if scheme == "rediss" {
            let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
            std::fs::write(peer.certificate(), made.cert.pem()).unwrap();
            std::fs::write(peer.key(), made.signing_key.serialize_pem()).unwrap();
        }
        peer.restart();
        peer
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    /// The certificate of a server that speaks TLS.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.path().join("server.pem")
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("server.key")
    }

    /// Starts it, empty, on the same port, if it was killed.
    pub(crate) fn restart(&mut self) {
        let mut command = tied("redis-server");
        let port = self.port.to_string();
        command.args(["--bind", "127.0.0.1", "--dir"]).arg(self.dir.path());
        if self.scheme == "rediss" {
            command.args(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"]);
            command.arg("--tls-cert-file").arg(self.certificate()).arg("--tls-key-file").arg(self.key());
        } else {
            command.args(["--port", &port]);
        }
        command.args(["--save", "", "--appendonly", "no", "--requirepass", PASSWORD]);
        let ready = |line: &str| line.contains("Ready to accept connections").then_some(());
        self.process = Some(Process::start(command, ready).expect("`make peers` installs redis-server").0);
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Stops it in its tracks, connections and all, or lets it go on.
    pub(crate) fn signal(&self, name: &str) {
        self.process.as_ref().expect("it runs").signal(name);
    }

    /// What it answers to a command.
    pub(crate) fn ask(&self, command: &[&str]) -> String {
        let port = self.port.to_string();
        let asked = Command::new("redis-cli").env("REDISCLI_AUTH", PASSWORD).args(["-p", &port]).args(command).output();
        let asked = asked.expect("redis-cli runs");
        assert!(asked.status.success(), "{command:?}: {}", String::from_utf8_lossy(&asked.stderr));
        String::from_utf8(asked.stdout).unwrap()
    }
}
