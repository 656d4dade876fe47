//! From an event to a Kafka message, by the CloudEvents Kafka binding 1.0.2.
//!
//! Structured: the event as it is, told by its content type. Binary: attributes as `ce_` headers, and `data` as the value.

use rdkafka::message::{Header, OwnedHeaders};

use crate::config::KafkaFormat;
use crate::sink::binary::{Binary, NotAnEvent, split};

const STRUCTURED: &str = "application/cloudevents+json; charset=UTF-8";

/// The value and the headers of a message.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) value: &'a [u8],
    pub(super) headers: OwnedHeaders,
}

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
    let Binary { content_type, attributes, data } = split(event)?;
    let mut headers = OwnedHeaders::new_with_capacity(attributes.len() + 1);
    headers = header(headers, "content-type", &content_type);
    for (name, value) in attributes {
        headers = header(headers, &format!("ce_{name}"), &value);
    }
    Ok(Message { value: data, headers })
}

fn header(headers: OwnedHeaders, key: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header { key, value: Some(value) })
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
