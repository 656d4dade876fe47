//! Reads a topic from its beginning, every partition: what an audit looks at.
//!
//! Belongs to no consumer group and commits nothing, so it disturbs no one and needs no permission beyond reading.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{ClientContext, Message, Offset, TopicPartitionList};

use super::config::{SettingsError, base};
use crate::config::Kafka;

/// How long the brokers may leave a question unanswered.
const PATIENCE: Duration = Duration::from_secs(30);

/// A topic cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no such topic, or it is hidden from this user.
    #[error("topic {0} does not exist, or is hidden from this user")]
    NoTopic(String),
    /// Kafka says no.
    #[error("Kafka cannot be read: {0}")]
    Kafka(#[from] KafkaError),
    /// Kafka says nothing.
    #[error("the brokers did not answer for {0:?}")]
    Silent(Duration),
}

/// A topic that is being read.
pub struct Topic {
    consumer: BaseConsumer<Quiet>,
    /// By partition, the offset at which its end was when it was opened; gone when that is reached.
    ends: BTreeMap<i32, i64>,
    heard: Instant,
}

impl Topic {
    /// Finds the topic's partitions and their ends. Waits for an answer for half a minute.
    pub fn open(settings: &Kafka) -> Result<Self, ReadError> {
        let mut config = base(settings)?;
        config.set_log_level(RDKafkaLogLevel::Emerg);
        // Needed by librdkafka for any consumer; nothing is ever stored under it.
        config.set("group.id", "tollgate-audit").set("enable.auto.commit", "false");
        config.set("enable.partition.eof", "true").set("auto.offset.reset", "earliest");
        let consumer: BaseConsumer<Quiet> = config.create_with_context(Quiet)?;
        let metadata = consumer.fetch_metadata(Some(&settings.topic), PATIENCE)?;
        let found = metadata.topics().iter().find(|topic| topic.name() == settings.topic && topic.error().is_none());
        let found = found.filter(|topic| !topic.partitions().is_empty());
        let found = found.ok_or_else(|| ReadError::NoTopic(settings.topic.clone()))?;
        let (mut ends, mut list) = (BTreeMap::new(), TopicPartitionList::new());
        for partition in found.partitions() {
            let (low, high) = consumer.fetch_watermarks(&settings.topic, partition.id(), PATIENCE)?;
            list.add_partition_offset(&settings.topic, partition.id(), Offset::Beginning)?;
            if high > low {
                ends.insert(partition.id(), high);
            }
        }
        consumer.assign(&list)?;
        Ok(Self { consumer, ends, heard: Instant::now() })
    }

    /// Whether everything was read that was there when the topic was opened.
    pub fn is_read(&self) -> bool {
        self.ends.is_empty()
    }

    /// Waits up to `wait` for a message and hands its value over; whether there was one. Brokers that come and go are
    /// waited for.
    pub fn next(&mut self, wait: Duration, take: impl FnOnce(&[u8])) -> Result<bool, ReadError> {
        let heard = match self.consumer.poll(wait) {
            Some(Ok(message)) => {
                let (partition, offset) = (message.partition(), message.offset());
                take(message.payload().unwrap_or_default());
                if self.ends.get(&partition).is_some_and(|end| offset + 1 >= *end) {
                    self.ends.remove(&partition);
                }
                true
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                self.ends.remove(&partition);
                false
            }
            Some(Err(error)) if is_final(&error) => return Err(error.into()),
            Some(Err(_)) | None => {
                let silent = !self.is_read() && self.heard.elapsed() > PATIENCE;
                return if silent { Err(ReadError::Silent(PATIENCE)) } else { Ok(false) };
            }
        };
        self.heard = Instant::now();
        Ok(heard)
    }
}

impl std::fmt::Debug for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Topic").field("ends", &self.ends).finish_non_exhaustive()
    }
}

/// What no waiting mends.
fn is_final(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    code.is_some_and(|code| {
        matches!(
            code,
            Code::Fatal
                | Code::Authentication
                | Code::SaslAuthenticationFailed
                | Code::TopicAuthorizationFailed
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopic
        )
    })
}

/// A client that says nothing: what it returns is the answer.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for Quiet {}
