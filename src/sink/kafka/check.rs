//! What `tollgate check` asks of Kafka: are the brokers there, does the topic exist, does it keep what it acknowledges?
//!
//! Changes nothing: no topic is created, no message is sent.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::metadata::{Metadata, MetadataTopic};
use rdkafka::{ClientConfig, ClientContext};

use super::config::base;
use crate::config::Kafka;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it stands.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// What to do about it; always there unless all is well.
    pub remedy: Option<String>,
}

/// How a thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Good,
    /// Works, but promises less than it could.
    Warning,
    /// Does not work.
    Failed,
}

impl Finding {
    fn good(what: String) -> Self {
        Self { level: Level::Good, what, remedy: None }
    }

    fn warning(what: String, remedy: &str) -> Self {
        Self { level: Level::Warning, what, remedy: Some(remedy.to_owned()) }
    }

    fn failed(what: String, remedy: String) -> Self {
        Self { level: Level::Failed, what, remedy: Some(remedy) }
    }
}

/// Looks at the brokers, the topic and its durability. Blocks for up to about twice the timeout.
pub fn check(settings: &Kafka, timeout: Duration) -> Vec<Finding> {
    let config = match base(settings) {
        Ok(config) => config,
        Err(error) => return vec![Finding::failed(error.to_string(), "mend events.kafka.properties".to_owned())],
    };
    let metadata = match fetch(&config, timeout) {
        Ok(metadata) => metadata,
        Err(error) => return vec![unreachable(settings, &error)],
    };
    let count = metadata.brokers().len();
    let mut findings = vec![Finding::good(format!("Kafka at {} answers, with {count} broker(s)", settings.brokers))];
    let topic = metadata.topics().iter().find(|topic| topic.name() == settings.topic);
    match topic.filter(|topic| topic.error().is_none() && !topic.partitions().is_empty()) {
        None => findings.push(missing(settings, count)),
        Some(topic) => {
            findings.push(replicas(topic));
            findings.push(in_sync(&config, settings, timeout));
        }
    }
    findings
}

/// All topics are asked for, since asking for one by name may create it.
fn fetch(config: &ClientConfig, timeout: Duration) -> Result<Metadata, KafkaError> {
    let consumer: BaseConsumer<Quiet> = quiet(config).create_with_context(Quiet)?;
    consumer.fetch_metadata(None, timeout)
}

fn unreachable(settings: &Kafka, error: &KafkaError) -> Finding {
    let why = error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string());
    let remedy = "check events.kafka.brokers, that the network lets you through, and security.protocol, sasl.* and ssl.* \
                  under events.kafka.properties";
    Finding::failed(format!("Kafka at {} does not answer: {why}", settings.brokers), remedy.to_owned())
}

fn missing(settings: &Kafka, brokers: usize) -> Finding {
    let (topic, servers, replication) = (&settings.topic, &settings.brokers, brokers.clamp(1, 3));
    let in_sync = if replication == 3 { 2 } else { 1 };
    let remedy = format!(
        "create it, or allow this user to see it: kafka-topics.sh --bootstrap-server {servers} --create --topic {topic} \
         --partitions 12 --replication-factor {replication} --config min.insync.replicas={in_sync}"
    );
    Finding::failed(format!("topic {topic} does not exist, or is hidden from this user"), remedy)
}

fn replicas(topic: &MetadataTopic) -> Finding {
    let partitions = topic.partitions();
    let fewest = partitions.iter().map(|partition| partition.replicas().len()).min().unwrap_or(0);
    let what = format!("topic {} has {} partition(s), {fewest} replica(s) each", topic.name(), partitions.len());
    if fewest >= 2 {
        return Finding::good(what);
    }
    Finding::warning(
        what,
        "with one replica, a lost broker loses events that it acknowledged: use a replication factor of 3",
    )
}

fn in_sync(config: &ClientConfig, settings: &Kafka, timeout: Duration) -> Finding {
    match min_in_sync(config, settings, timeout) {
        Some(count) if count >= 2 => Finding::good(format!("min.insync.replicas is {count}")),
        Some(count) => Finding::warning(
            format!("min.insync.replicas is {count}"),
            "set it to 2 on the topic, with a replication factor of 3, so that an acknowledged event is on two brokers",
        ),
        None => Finding::warning(
            "min.insync.replicas cannot be read".to_owned(),
            "see that it is 2 or more; reading it needs the permission DescribeConfigs on the topic",
        ),
    }
}

fn min_in_sync(config: &ClientConfig, settings: &Kafka, timeout: Duration) -> Option<u32> {
    let admin: AdminClient<DefaultClientContext> = quiet(config).create().ok()?;
    let options = AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
    let topic = [ResourceSpecifier::Topic(&settings.topic)];
    let configs = wait_for(admin.describe_configs(&topic, &options), timeout)?.ok()?;
    let config = configs.into_iter().next()?.ok()?;
    config.get("min.insync.replicas")?.value.as_ref()?.parse().ok()
}

fn quiet(config: &ClientConfig) -> ClientConfig {
    let mut config = config.clone();
    config.set_log_level(RDKafkaLogLevel::Emerg);
    config
}

/// A client that says nothing: what it finds is the answer.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for Quiet {}

/// Wakes a parked thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for the one future here. A runtime would refuse to block where another one runs.
fn wait_for<T>(future: impl Future<Output = T>, timeout: Duration) -> Option<T> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    let deadline = Instant::now() + timeout;
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(value);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        std::thread::park_timeout(left);
    }
}
