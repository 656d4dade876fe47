//! The events of `invoke-with-response-stream`: each `chunk` holds an event of the model's own stream, in base64.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{glance, native};
use crate::dialect::{Flags, Reading, lenient};

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    bytes: Option<Cow<'a, str>>,
}

/// Reads an event; one that cannot be read sets a flag.
pub(super) fn read_event(name: &[u8], data: &[u8], reading: &mut Reading) {
    if name != b"chunk" {
        super::failed(name, data, reading);
        return;
    }
    let whole = || lenient::whole_object::<Chunk<'_>>(data).and_then(|chunk| chunk.bytes);
    let chunk = glance::bytes(data).or_else(whole);
    match chunk.and_then(|bytes| STANDARD.decode(bytes.as_bytes()).ok()) {
        Some(json) => native::read(&json, reading),
        None => reading.flag(Flags::METER_ERROR),
    }
}
