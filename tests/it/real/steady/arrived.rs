//! What a consumer finds in the topic after all: the event of each request, and of nothing else.

use std::collections::HashSet;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde::Deserialize;

use crate::peers::KafkaPeer;
use crate::real::running::audit;

/// For any one answer of the broker.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Event {
    id: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    session_id: String,
    outcome: String,
}

/// Reads the topic to its end: after dropping copies by their id there is one event of each of the requests
/// `asked`, all of them good. Then `tollgate audit` must find nothing missing.
pub(super) fn check(kafka: &KafkaPeer, topic: &str, asked: &HashSet<u32>) -> String {
    let (mut ids, mut numbers, mut messages) = (HashSet::new(), HashSet::new(), 0);
    read(&kafka.bootstrap, topic, |payload| {
        messages += 1;
        let Event { id, data } = serde_json::from_slice(payload).expect("an event");
        assert_eq!(data.outcome, "ok", "{}", String::from_utf8_lossy(payload));
        if ids.insert(id) {
            let number: u32 = data.session_id.parse().expect("a number");
            assert!(asked.contains(&number), "an event of request {number}, which nobody sent");
            assert!(numbers.insert(number), "request {number} has another event");
        }
    });
    let lost: Vec<_> = asked.difference(&numbers).take(10).collect();
    assert!(lost.is_empty(), "{} requests have no event: {lost:?}", asked.len() - numbers.len());
    audit(&["--brokers", &kafka.bootstrap, "--topic", topic]);
    format!("{messages} messages, {} events after dropping copies by id, 0 lost, 0 invented", ids.len())
}

fn read(bootstrap: &str, topic: &str, mut take: impl FnMut(&[u8])) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("group.id", "steady").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
    let (mut partitions, mut left) = (TopicPartitionList::new(), 0);
    for partition in metadata.topics()[0].partitions() {
        let (first, end) = consumer.fetch_watermarks(topic, partition.id(), PATIENCE).unwrap();
        assert_eq!(first, 0, "the topic has lost its beginning");
        left += end;
        partitions.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    consumer.assign(&partitions).unwrap();
    while left > 0 {
        let message = consumer.poll(PATIENCE).expect("more messages").unwrap();
        take(message.payload().expect("a value"));
        left -= 1;
    }
}
