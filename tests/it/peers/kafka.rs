//! A real Kafka broker, and a consumer that shares no code with our sink.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use serde::Deserialize;

use super::{Process, free_port, printed, python, script, tied};

/// Another process may take a port between our look and the broker's start.
const TRIES: usize = 3;

/// One broker on loopback, with topics of its own. It creates no topic by itself.
#[derive(Debug)]
pub(crate) struct KafkaPeer {
    /// `host:port`, the same after a restart.
    pub(crate) bootstrap: String,
    ports: [u16; 2],
    data: PathBuf,
    process: Option<Process>,
}

/// One message as the consumer saw it.
#[derive(Debug, Deserialize)]
pub(crate) struct Message {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) value: Option<String>,
}

impl KafkaPeer {
    /// The broker that all tests of this run share, started by the first that asks. Give every test a topic of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<KafkaPeer> = LazyLock::new(KafkaPeer::alone);
        &SHARED
    }

    /// A broker for one test, which may stop it.
    pub(crate) fn alone() -> Self {
        sweep();
        let mut tries = (0..TRIES).map(|_| Self::on_free_ports());
        tries.find_map(|peer| peer.inspect_err(|e| eprintln!("{e}")).ok()).expect("Kafka starts, see above")
    }

    /// Creates a topic; the test fails if there is one of that name.
    pub(crate) fn create_topic(&self, name: &str, partitions: u32) {
        let mut command = python("create_topic.py");
        command.args([&self.bootstrap, name, &partitions.to_string()]);
        printed(command, "");
    }

    /// Reads a topic from its beginning until `count` messages have come or `within` is over; the caller asserts how many.
    /// A count of 0 reads to the present end of every partition.
    pub(crate) fn read(&self, topic: &str, count: usize, within: Duration) -> Vec<Message> {
        let mut command = python("read_topic.py");
        command.args([&self.bootstrap, topic, &count.to_string(), &within.as_secs_f64().to_string()]);
        let lines = printed(command, "");
        lines.lines().map(|line| serde_json::from_str(line).expect("a message is one line of JSON")).collect()
    }

    /// Kills the broker as a crash would.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// Starts a stopped broker on its ports with its data. About 4 s: it waits until its former life has timed out.
    pub(crate) fn start(&mut self) {
        self.process = Some(broker(&self.data, self.ports).expect("Kafka comes back"));
    }

    fn on_free_ports() -> Result<Self, String> {
        let ports = [free_port(), free_port()];
        let data = data_root().join(format!("{}-{}", std::process::id(), ports[0]));
        let process = Some(broker(&data, ports)?);
        Ok(Self { bootstrap: format!("127.0.0.1:{}", ports[0]), ports, data, process })
    }
}

impl Drop for KafkaPeer {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.data);
    }
}

fn broker(data: &Path, ports: [u16; 2]) -> Result<Process, String> {
    let mut command = tied(script("kafka.sh"));
    command.arg(data).args(ports.map(|port| port.to_string()));
    let (process, ()) = Process::start(command, |line| line.contains("Kafka Server started").then_some(()))?;
    Ok(process)
}

fn data_root() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("kafka")
}

/// Removes what brokers of earlier runs left: the shared one lives in a static, which is never dropped.
fn sweep() {
    for entry in fs::read_dir(data_root()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_string_lossy().split('-').next().map(|pid| Path::new("/proc").join(pid));
        if owner.is_some_and(|owner| !owner.exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
