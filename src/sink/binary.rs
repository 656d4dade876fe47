//! A CloudEvent in binary mode: its attributes apart from its data.
//!
//! The bytes of `data` stay as they stand in the event, not parsed and written anew, so that both modes carry the same
//! numbers to the last digit.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

const JSON: &str = "application/json";

/// An event in two parts.
#[derive(Debug)]
pub(super) struct Binary<'a> {
    /// Of `data`.
    pub(super) content_type: String,
    /// Every other attribute by its name, as text.
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) data: &'a [u8],
}

/// The event is not a CloudEvent in JSON with `data`, so it has no binary form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event is not a CloudEvent with data")]
pub(super) struct NotAnEvent;

/// Takes an event apart.
pub(super) fn split(event: &[u8]) -> Result<Binary<'_>, NotAnEvent> {
    let mut attributes: BTreeMap<String, &RawValue> = serde_json::from_slice(event).map_err(|_| NotAnEvent)?;
    let data = attributes.remove("data").ok_or(NotAnEvent)?.get().as_bytes();
    let content_type = attributes.remove("datacontenttype").map_or_else(|| JSON.to_owned(), text);
    let attributes = attributes.into_iter().map(|(name, value)| (name, text(value))).collect();
    Ok(Binary { content_type, attributes, data })
}

/// An attribute as header text: strings without their quotes, the rest as in JSON.
fn text(value: &RawValue) -> String {
    serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().to_owned())
}
