//! From an event to a Kafka message, by the CloudEvents Kafka binding 1.0.2.
//!
//! Structured: the event as it is, told by its content type. Binary: attributes as `ce_` headers, and the bytes of `data`
//! as they stand in the event, not parsed and written anew, so both forms carry the same numbers to the last digit.

use std::collections::BTreeMap;

use rdkafka::message::{Header, OwnedHeaders};
use serde_json::value::RawValue;

use crate::config::KafkaFormat;

const STRUCTURED: &str = "application/cloudevents+json; charset=UTF-8";
const JSON: &str = "application/json";

/// The value and the headers of a message.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) value: &'a [u8],
    pub(super) headers: OwnedHeaders,
}

/// The event is not a CloudEvent in JSON with `data`, so it has no binary form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event is not a CloudEvent with data")]
pub(super) struct NotAnEvent;

/// Puts an event into this form.
pub(super) fn build(event: &[u8], format: KafkaFormat) -> Result<Message<'_>, NotAnEvent> {
    match format {
        KafkaFormat::Structured => {
            let headers = header(OwnedHeaders::new_with_capacity(1), "content-type", STRUCTURED);
            Ok(Message { value: event, headers })
        }
        KafkaFormat::Binary => binary(event),
    }
}

fn binary(event: &[u8]) -> Result<Message<'_>, NotAnEvent> {
    let mut attributes: BTreeMap<String, &RawValue> = serde_json::from_slice(event).map_err(|_| NotAnEvent)?;
    let data = attributes.remove("data").ok_or(NotAnEvent)?;
    let content_type = attributes.remove("datacontenttype").map_or_else(|| JSON.to_owned(), text);
    let mut headers = OwnedHeaders::new_with_capacity(attributes.len() + 1);
    headers = header(headers, "content-type", &content_type);
    for (name, value) in attributes {
        headers = header(headers, &format!("ce_{name}"), &text(value));
    }
    Ok(Message { value: data.get().as_bytes(), headers })
}

fn header(headers: OwnedHeaders, key: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header { key, value: Some(value) })
}

/// An attribute as header text: strings without their quotes, the rest as in JSON.
fn text(value: &RawValue) -> String {
    serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().to_owned())
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers;

    use super::build;
    use crate::config::KafkaFormat;

    #[test]
    fn binary_carries_the_bytes_of_data_unchanged() {
        let event = br#"{"specversion":"1.0","id":"s-1-2","subject":"a\"b","datacontenttype":"application/json","data":{"ms":1.0,"n": 12345678901234567890}}"#;
        let message = build(event, KafkaFormat::Binary).unwrap();
        assert_eq!(message.value, br#"{"ms":1.0,"n": 12345678901234567890}"#);
        let headers: Vec<_> = message
            .headers
            .as_borrowed()
            .iter()
            .map(|h| (h.key.to_owned(), String::from_utf8(h.value.unwrap().to_vec()).unwrap()))
            .collect();
        let expected = [
            ("content-type", "application/json"),
            ("ce_id", "s-1-2"),
            ("ce_specversion", "1.0"),
            ("ce_subject", "a\"b"),
        ];
        assert_eq!(headers, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn what_is_no_event_has_no_binary_form_but_a_structured_one() {
        for event in [&b"not json"[..], br#"{"id":"1"}"#, b"[]"] {
            assert!(build(event, KafkaFormat::Binary).is_err());
            assert_eq!(build(event, KafkaFormat::Structured).unwrap().value, event);
        }
    }
}
