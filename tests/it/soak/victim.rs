//! The real program, on a folder that outlives it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::peers::{self, Program};

/// The topic of every run.
pub(super) const TOPIC: &str = "soak";

/// The folder.
pub(super) struct Place(TempDir);

impl Place {
    /// With Kafka where there are brokers.
    pub(super) fn new(upstream: &str, brokers: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = format!(
            "proxy: {{ listen: 127.0.0.1:0 }}\nops: {{ listen: 127.0.0.1:0 }}\nlog: {{ format: json, filter: \"info,tollgate::request=off\" }}\nupstreams:\n- name: mock\n  url: {upstream}\n  credential: {{ value: sk-upstream }}\nevents:\n  spool: {{ dir: spool }}\n  file: {{ path: usage.jsonl }}\n"
        );
        if !brokers.is_empty() {
            // Short waits, so that a run is quick.
            let quick = "{ reconnect.backoff.max.ms: 300, topic.metadata.propagation.max.ms: 1000 }";
            writeln!(config, "  kafka: {{ brokers: \"{brokers}\", topic: {TOPIC}, properties: {quick} }}").unwrap();
        }
        std::fs::write(dir.path().join("tollgate.yaml"), config).unwrap();
        Self(dir)
    }

    /// What the spool is to survive in the next life: `process` or `disk`.
    pub(super) fn sync(&self, mode: &str) {
        let path = self.path().join("tollgate.yaml");
        let config = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = config.split_once("spool: {").unwrap();
        let (_, after) = rest.split_once('}').unwrap();
        std::fs::write(&path, format!("{before}spool: {{ dir: spool, sync: {mode} }}{after}")).unwrap();
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The file of events.
    pub(super) fn events(&self) -> PathBuf {
        self.path().join("usage.jsonl")
    }

    pub(super) fn spool(&self) -> PathBuf {
        self.path().join("spool")
    }
}

/// Starts the proxy here and waits until it serves.
pub(super) async fn start(place: &Place) -> Program {
    Program::start("proxy", place.path()).await
}

/// Runs `tollgate audit`, which must find nothing missing.
pub(super) fn audit(arguments: &[&str]) {
    peers::audit(env!("CARGO_BIN_EXE_tollgate"), arguments);
}
