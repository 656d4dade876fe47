//! From an event to what is posted, by the CloudEvents HTTP binding 1.0.2, or as a report to a guard.
//!
//! Structured and batch: events as they are, told by the content type. Binary: attributes as `ce-` headers, `data` as the
//! body. A single event's id goes along as `Idempotency-Key`, too; a batch has none, for it may be cut otherwise when it
//! is sent again.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use super::Unusable;
use super::client::{Heard, Post};
use super::log_usage::Reporter;
use super::verdict::{self, Verdict};
use crate::config::{Receiver, ReceiverFormat};
use crate::header::{CLOUDEVENT_PREFIX, IDEMPOTENCY_KEY};
use crate::sink::Trouble;
use crate::sink::binary::{Binary, NotAnEvent, split};
use crate::types::Secret;

const STRUCTURED: HeaderValue = HeaderValue::from_static("application/cloudevents+json; charset=UTF-8");
const BATCH: HeaderValue = HeaderValue::from_static("application/cloudevents-batch+json; charset=UTF-8");

/// How events are told.
#[derive(Debug)]
pub(super) enum Form {
    Structured,
    Binary,
    /// So many together.
    Batch(usize),
    LogUsage(Reporter),
}

/// What an event is to a receiver.
#[derive(Debug)]
pub(super) enum Told {
    Post(Post),
    /// Nothing in it is for this receiver.
    Nothing,
    /// It cannot be said in this form.
    Never(Trouble),
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

impl Form {
    pub(super) fn new(receiver: &Receiver) -> Result<Self, Unusable> {
        Ok(match &receiver.format {
            ReceiverFormat::Structured => Self::Structured,
            ReceiverFormat::Binary => Self::Binary,
            ReceiverFormat::Batch(most) => Self::Batch(*most),
            ReceiverFormat::LogUsage(whose) => Self::LogUsage(Reporter::new(whose, receiver)?),
        })
    }

    /// An event by itself.
    pub(super) fn tell(&self, event: &[u8]) -> Told {
        match self {
            Self::Structured => {
                let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, STRUCTURED)]);
                // The receiver says what it thinks of an event that has none.
                let id = serde_json::from_slice::<Named<'_>>(event).ok().and_then(|named| plain(&named.id));
                headers.extend(id.map(|id| (IDEMPOTENCY_KEY, id)));
                Told::Post(Post { headers, body: Bytes::copy_from_slice(event) })
            }
            Self::Binary => binary(event).map_or(Told::Never(Trouble::Invalid), Told::Post),
            Self::Batch(_) => Told::Post(batch([b"[", event].concat())),
            Self::LogUsage(reporter) => reporter.tell(event),
        }
    }

    /// What an answer asks for.
    pub(super) fn judge(&self, heard: &Heard) -> Verdict {
        match self {
            Self::LogUsage(_) => verdict::of_guard(heard.status, &heard.text),
            Self::Structured | Self::Binary | Self::Batch(_) => verdict::of_status(heard.status),
        }
    }
}

/// Events in a list whose end is missing.
pub(super) fn batch(mut list: Vec<u8>) -> Post {
    list.push(b']');
    Post { headers: HeaderMap::from_iter([(CONTENT_TYPE, BATCH)]), body: list.into() }
}

/// A secret as a header's value, which no log shows.
pub(super) fn secretly(secret: &Secret, receiver: &Receiver) -> Result<HeaderValue, Unusable> {
    let value = HeaderValue::from_str(secret.expose()).map_err(|_| Unusable::Header(Arc::clone(&receiver.name)))?;
    Ok(hidden(value))
}

fn hidden(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// An id as a header's value; those of ours need no encoding.
pub(super) fn plain(id: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&encoded(id)).ok()
}

fn binary(event: &[u8]) -> Result<Post, NotAnEvent> {
    let Binary { content_type, attributes, data } = split(event)?;
    let mut headers = HeaderMap::with_capacity(attributes.len() + 2);
    headers.insert(CONTENT_TYPE, HeaderValue::from_str(&content_type).map_err(|_| NotAnEvent)?);
    for (name, value) in attributes {
        let value = HeaderValue::from_str(&encoded(&value)).map_err(|_| NotAnEvent)?;
        if name == "id" {
            headers.insert(IDEMPOTENCY_KEY, value.clone());
        }
        let name = format!("{CLOUDEVENT_PREFIX}{name}");
        headers.insert(HeaderName::try_from(name).map_err(|_| NotAnEvent)?, value);
    }
    Ok(Post { headers, body: Bytes::copy_from_slice(data) })
}

/// Percent-encoded as §3.1.3.2 of the binding wants it: blanks, quotes, percent signs, and all that is not printable ASCII.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_ascii_graphic() && letter != '"' && letter != '%' {
            encoded.push(letter);
            continue;
        }
        for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
            // A text takes what is written to it.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{Form, Post, Told, encoded};

    const EVENT: &[u8] = br#"{"specversion":"1.0","id":"s-1-2","source":"/tollgate/a b","subject":"org_\u00e9\"","time":"2026-11-21T10:00:00.000Z","datacontenttype":"application/json","n":7,"data":{"ms":1.0,"n": 12345678901234567890}}"#;

    fn posted(form: &Form, event: &[u8]) -> Post {
        match form.tell(event) {
            Told::Post(post) => post,
            other => panic!("{other:?}"),
        }
    }

    fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
        let mut shown: Vec<_> =
            headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        shown.sort();
        shown
    }

    fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    #[test]
    fn structured_is_the_event_as_it_is() {
        let post = posted(&Form::Structured, EVENT);
        assert_eq!(post.body, EVENT);
        let expected = [("content-type", "application/cloudevents+json; charset=UTF-8"), ("idempotency-key", "s-1-2")];
        assert_eq!(shown(&post.headers), pairs(expected));
    }

    #[test]
    fn binary_carries_attributes_as_encoded_headers_and_the_bytes_of_data_unchanged() {
        let post = posted(&Form::Binary, EVENT);
        assert_eq!(post.body, &br#"{"ms":1.0,"n": 12345678901234567890}"#[..]);
        let expected = [
            ("ce-id", "s-1-2"),
            ("ce-n", "7"),
            ("ce-source", "/tollgate/a%20b"),
            ("ce-specversion", "1.0"),
            ("ce-subject", "org_%C3%A9%22"),
            ("ce-time", "2026-11-21T10:00:00.000Z"),
            ("content-type", "application/json"),
            ("idempotency-key", "s-1-2"),
        ];
        assert_eq!(shown(&post.headers), pairs(expected));
        for event in [&b"not json"[..], br#"{"id":"1"}"#, br#"{"id":"1","b d":1,"data":{}}"#] {
            assert!(matches!(Form::Binary.tell(event), Told::Never(_)));
        }
    }

    #[test]
    fn a_batch_of_one_is_a_list() {
        let post = posted(&Form::Batch(9), b"{}");
        assert_eq!(post.body, "[{}]");
        let expected = [("content-type", "application/cloudevents-batch+json; charset=UTF-8")];
        assert_eq!(shown(&post.headers), pairs(expected));
    }

    #[test]
    fn encoding_is_that_of_the_specification() {
        // Its own example, and the bounds of what stays.
        assert_eq!(encoded("Euro \u{20ac} \u{1f600}"), "Euro%20%E2%82%AC%20%F0%9F%98%80");
        assert_eq!(encoded("!~%\"\u{7f}\n"), "!~%25%22%7F%0A");
    }
}
