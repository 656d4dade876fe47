//! A topic of a real broker, and what an independent consumer reads from it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::peers::{KafkaPeer, Message, off_runtime};

const PATIENCE: Duration = Duration::from_secs(30);

/// A topic for one test.
#[derive(Clone, Copy, Debug)]
pub(super) struct Topic {
    kafka: &'static KafkaPeer,
    name: &'static str,
}

impl Topic {
    /// Creates a topic of the shared broker.
    pub(super) async fn create(name: &'static str) -> Self {
        off_runtime(move || {
            let kafka = KafkaPeer::shared();
            kafka.create_topic(name, 3);
            Self { kafka, name }
        })
        .await
    }

    /// `events:` with this topic and the file `usage.jsonl`.
    pub(super) fn and_file(self) -> String {
        format!("events: {{ spool: {{ dir: spool }}, {}, file: {{ path: usage.jsonl }} }}", self.section("structured"))
    }

    /// `events:` with this topic alone, in a format of messages.
    pub(super) fn alone(self, format: &str) -> String {
        format!("events: {{ spool: {{ dir: spool }}, {} }}", self.section(format))
    }

    fn section(self, format: &str) -> String {
        section(&self.kafka.bootstrap, self.name, format)
    }

    /// Every event that is there now, however its messages are built.
    pub(super) async fn events(self) -> Vec<Value> {
        off_runtime(move || events(self.kafka, self.name)).await
    }
}

/// The `kafka:` of a configuration.
pub(super) fn section(bootstrap: &str, topic: &str, format: &str) -> String {
    format!("kafka: {{ brokers: \"{bootstrap}\", topic: {topic}, format: {format} }}")
}

/// Reads a topic to its present end.
pub(super) fn events(kafka: &KafkaPeer, topic: &str) -> Vec<Value> {
    let messages = kafka.read(topic, 0, PATIENCE);
    messages.iter().map(event).collect()
}

/// A message back as the event it carries, by the CloudEvents Kafka binding.
fn event(message: &Message) -> Value {
    let kind = message.headers.get("content-type").expect("a content type");
    let value: Value = serde_json::from_str(message.value.as_deref().expect("a value")).expect("JSON");
    let event = if kind.starts_with("application/cloudevents+json") { value } else { from_binary(message, value) };
    assert_eq!(message.key.as_deref(), event["subject"].as_str(), "the subject's events stay in one partition");
    event
}

fn from_binary(message: &Message, data: Value) -> Value {
    let attributes = message.headers.iter().filter_map(|(name, value)| Some((name.strip_prefix("ce_")?, value)));
    let mut event: Map<_, _> = attributes.map(|(name, value)| (name.to_owned(), json!(value))).collect();
    event.insert("datacontenttype".to_owned(), json!(message.headers["content-type"]));
    event.insert("data".to_owned(), data);
    Value::Object(event)
}
