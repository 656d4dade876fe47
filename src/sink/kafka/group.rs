//! A member of a consumer group that goes on from where its owner says, not from where Kafka says.
//!
//! Whoever keeps the effects of what it reads in a database keeps the offsets there too, in the same transaction; so
//! nothing is ever committed to Kafka. Each time that partitions come to this member, its owner is asked for their
//! positions. A member that loses a partition may still hold records of it: its owner must bear seeing a record twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::Headers;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Message, Offset, Statistics, TopicPartitionList};
use tracing::{debug, warn};

use super::config::base;
use super::topic::ReadError;
use crate::config::Kafka;

/// Unless the user's properties say otherwise. Ten seconds after its death a member's partitions are another's.
const OURS: &[(&str, &str)] = &[
    ("session.timeout.ms", "10000"),
    ("heartbeat.interval.ms", "1000"),
    ("fetch.wait.max.ms", "100"),
    ("queued.max.messages.kbytes", "4096"),
    ("reconnect.backoff.max.ms", "5000"),
    ("enable.metrics.push", "false"),
];

/// Where to go on, per partition; what is absent is read from its beginning. Asked on the thread that reads.
pub type Start = Box<dyn Fn() -> BTreeMap<i32, i64> + Send + Sync>;

/// A record as read.
#[derive(Debug)]
pub struct Received<'a> {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its value.
    pub value: &'a [u8],
    /// Its headers that are text.
    pub headers: Vec<(&'a str, &'a str)>,
}

/// How much of the assigned partitions is not read yet, as of the last second.
#[derive(Clone, Debug, Default)]
pub struct Lag(Arc<Mutex<BTreeMap<i32, i64>>>);

/// The member. Dropping it leaves the group.
pub struct Group {
    consumer: BaseConsumer<Context>,
}

struct Context {
    topic: String,
    start: Start,
    lag: Lag,
}

impl Lag {
    /// The number of records.
    pub fn events(&self) -> u64 {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.values().map(|lag| lag.max(&0).unsigned_abs()).sum()
    }

    fn set(&self, parts: BTreeMap<i32, i64>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = parts;
    }
}

impl Group {
    /// Joins, in the background: waits for no broker.
    pub fn join(settings: &Kafka, group: &str, (start, lag): (Start, Lag)) -> Result<Self, ReadError> {
        let mut config = base(settings)?;
        for (name, value) in OURS {
            if config.get(name).is_none() {
                config.set(*name, *value);
            }
        }
        config.set("group.id", group).set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        config.set("auto.offset.reset", "earliest").set("statistics.interval.ms", "1000");
        // What it takes to hand partitions over whole: none is read by two members for longer than a batch.
        config.set("partition.assignment.strategy", "range,roundrobin");
        config.set_log_level(RDKafkaLogLevel::Error);
        let context = Context { topic: settings.topic.clone(), start, lag };
        let consumer: BaseConsumer<Context> = config.create_with_context(context)?;
        consumer.subscribe(&[&settings.topic])?;
        Ok(Self { consumer })
    }

    /// Waits up to `wait` for a record and hands it over; whether there was one. Brokers that come and go are waited for.
    pub fn next(&self, wait: Duration, take: impl FnOnce(Received<'_>)) -> bool {
        // Within less than a whole millisecond rdkafka asks again and again.
        let wait = Duration::from_millis(wait.as_micros().div_ceil(1000) as u64);
        match self.consumer.poll(wait) {
            Some(Ok(message)) => {
                let headers = message.headers().map(|headers| {
                    let text =
                        headers.iter().map(|header| (header.key, std::str::from_utf8(header.value.unwrap_or(b""))));
                    text.filter_map(|(name, value)| Some((name, value.ok()?))).collect()
                });
                take(Received {
                    partition: message.partition(),
                    offset: message.offset(),
                    value: message.payload().unwrap_or_default(),
                    headers: headers.unwrap_or_default(),
                });
                true
            }
            Some(Err(error)) => {
                debug!(%error, "the topic cannot be read just now");
                false
            }
            None => false,
        }
    }
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").finish_non_exhaustive()
    }
}

impl ClientContext for Context {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        debug!(facility, message, "Kafka consumer");
    }

    fn error(&self, error: KafkaError, _: &str) {
        debug!(%error, "Kafka consumer");
    }

    fn stats(&self, statistics: Statistics) {
        let Some(topic) = statistics.topics.get(&self.topic) else { return };
        let read = topic.partitions.values().filter(|part| part.partition >= 0 && part.fetch_state == "active");
        // Before its first record a partition has no position of the application: then where the fetch is, counts.
        let lag = |part: &rdkafka::statistics::Partition| {
            let at = if part.app_offset >= 0 { part.app_offset } else { part.next_offset - part.fetchq_cnt };
            part.hi_offset - at
        };
        self.lag.set(read.map(|part| (part.partition, lag(part))).collect());
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let done = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(consumer, list)
        } else {
            self.lag.set(BTreeMap::new());
            consumer.unassign()
        };
        if let Err(error) = done {
            warn!(%error, "partitions could not be taken or given back");
        }
    }
}

impl Context {
    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Result<(), KafkaError> {
        let start = (self.start)();
        let mut from = TopicPartitionList::new();
        for part in list.elements() {
            let position = start.get(&part.partition()).map_or(Offset::Beginning, |at| Offset::Offset(*at));
            from.add_partition_offset(part.topic(), part.partition(), position)?;
        }
        debug!(partitions = from.count(), "partitions to read");
        consumer.assign(&from)
    }
}
