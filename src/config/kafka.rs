//! `events.kafka`, the Kafka sink.

use crate::types::Secret;

use super::field::{Field, quote};
use super::problem::Origin;
use super::secret::secret;
use super::section::Section;
use super::tree::Node;
use super::{Kafka, KafkaFormat};

const TOPIC: &str = "tollgate.usage.v1";
const MOST_TOPIC_LETTERS: usize = 249;

pub(super) fn read(field: Field<'_>) -> Option<Kafka> {
    if !cfg!(feature = "kafka") {
        field.problem("this build has no Kafka sink", "Take it out, or build with the feature 'kafka'.");
    }
    let mut section = field.section();
    let brokers = section.require("brokers", "Write brokers: \"host:9092\".").and_then(|field| brokers(&field));
    let topic = section.take("topic").map_or(Some(TOPIC.to_owned()), |field| topic(&field));
    let format = section.choice("format", &[("structured", KafkaFormat::Structured), ("binary", KafkaFormat::Binary)]);
    let properties = properties(section.section("properties"));
    Some(Kafka { brokers: brokers?, topic: topic?, format: format.unwrap_or(KafkaFormat::Structured), properties })
}

fn brokers(field: &Field<'_>) -> Option<String> {
    let listed = match &field.value.node {
        Node::List(_) => field.texts(),
        _ => field.text()?.split(',').map(str::trim).filter(|text| !text.is_empty()).collect(),
    };
    let wrong = listed.iter().find(|broker| !is_broker(broker));
    if let Some(wrong) = wrong {
        field.problem(format!("{} is not host:port", quote(wrong)), "Write it as \"kafka-1:9092,kafka-2:9092\".");
    } else if listed.is_empty() {
        field.problem("names no broker", "Write it as \"kafka-1:9092,kafka-2:9092\".");
    }
    (wrong.is_none() && !listed.is_empty()).then(|| listed.join(","))
}

// librdkafka takes 9092 where there is no port, and `SSL://host:port` beside plain names.
fn is_broker(text: &str) -> bool {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, port.parse::<u16>().is_ok_and(|port| port > 0)),
        _ => (text, true),
    };
    port && !host.is_empty() && !host.contains(['@', '/', ' '])
}

fn topic(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let letters = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    let fits = letters && text.len() <= MOST_TOPIC_LETTERS && text != "." && text != "..";
    if !fits {
        let fix = format!("Use up to {MOST_TOPIC_LETTERS} letters, digits, '.', '_' and '-'.");
        field.problem(format!("{} is not a Kafka topic", quote(text)), fix);
    }
    fits.then(|| text.to_owned())
}

fn properties(section: Section<'_>) -> Vec<(String, Secret)> {
    let fields = section.take_all().into_iter();
    fields.filter_map(|(name, field)| Some((property_name(name, &field), property(name, field)?))).collect()
}

// A variable's name has no dots, and librdkafka's names have no underscores.
fn property_name(name: &str, field: &Field<'_>) -> String {
    match field.value.at {
        Origin::Environment(_) => name.replace('_', "."),
        _ => name.to_owned(),
    }
}

fn property(name: &str, field: Field<'_>) -> Option<Secret> {
    if matches!(field.value.node, Node::Map(_)) {
        return secret(&mut field.section().with_hidden_names());
    }
    let text = field.text()?;
    let in_file = matches!(field.value.at, Origin::File { .. });
    if in_file && ["password", "secret", "pem"].iter().any(|word| name.contains(word)) {
        field.warn("the secret stands in the configuration itself", "Write { env: NAME } or { file: PATH }.");
    }
    Some(Secret::new(text))
}
