//! The broker that Tollgate delivers to: librdkafka's mock cluster in a process of its own, or a real one.
//!
//! The mock speaks the real protocol and keeps little of what it is sent. A real broker needs the topic to exist.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::process::{Core, Process};

/// The topic's name, the same everywhere.
const NAME: &str = "tollgate.usage.v1";

/// A topic and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    /// `host:port,…`
    pub(crate) brokers: String,
    /// Its name.
    pub(crate) name: &'static str,
}

/// The broker of one run.
#[derive(Debug)]
pub(crate) struct Broker {
    /// Where to deliver.
    pub(crate) topic: Topic,
    _process: Option<Process>,
}

impl Broker {
    /// The broker at this address, or else a mock on the load's core.
    pub(crate) fn start(real: Option<&str>, directory: &Path) -> Result<Self> {
        if let Some(brokers) = real {
            return Ok(Self { topic: Topic { brokers: brokers.to_owned(), name: NAME }, _process: None });
        }
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--role", "kafka"]).stdout(Stdio::piped());
        let mut process = Process::start(&mut command, Core::Load, &directory.join("kafka.err"))?;
        let mut brokers = String::new();
        BufReader::new(process.output().context("no pipe")?).read_line(&mut brokers)?;
        process.check_alive()?;
        Ok(Self { topic: Topic { brokers: brokers.trim().to_owned(), name: NAME }, _process: Some(process) })
    }
}

#[cfg(feature = "kafka")]
mod client {
    use std::time::Duration;

    use anyhow::{Context, Result, ensure};
    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::mocking::MockCluster;

    use super::{NAME, Topic};

    const PARTITIONS: i32 = 4;
    const TIMEOUT: Duration = Duration::from_secs(10);

    /// The mock: says where it is, and serves for as long as the process lives.
    pub(crate) fn run() -> Result<()> {
        let cluster = MockCluster::new(1)?;
        cluster.create_topic(NAME, PARTITIONS, 1)?;
        println!("{}", cluster.bootstrap_servers());
        loop {
            std::thread::park();
        }
    }

    impl Topic {
        /// How many messages it has ever been sent.
        pub(crate) fn messages(&self) -> Result<u64> {
            let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &self.brokers).create()?;
            let metadata = client.fetch_metadata(Some(self.name), TIMEOUT).context("the broker does not answer")?;
            let topic = metadata.topics().first().filter(|topic| topic.error().is_none());
            let topic = topic.with_context(|| format!("there is no topic {}", self.name))?;
            ensure!(!topic.partitions().is_empty(), "the topic {} has no partitions", self.name);
            let mut messages = 0;
            for partition in topic.partitions() {
                messages += client.fetch_watermarks(self.name, partition.id(), TIMEOUT)?.1 as u64;
            }
            Ok(messages)
        }
    }
}

#[cfg(not(feature = "kafka"))]
mod client {
    use anyhow::{Result, bail};

    use super::Topic;

    pub(crate) fn run() -> Result<()> {
        bail!("built without the feature kafka")
    }

    impl Topic {
        pub(crate) fn messages(&self) -> Result<u64> {
            bail!("built without the feature kafka, so {} cannot be read", self.name)
        }
    }
}

pub(crate) use client::run;
