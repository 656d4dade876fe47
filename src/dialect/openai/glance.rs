//! A cheap look at a chunk that only carries text, which nearly all do.
//!
//! A chunk is dealt with here only when nothing but its deltas, its model and its finish reason can matter: usage, error
//! and numbers of the server's own are absent, `null` or empty. Then only the small `delta` objects are parsed. Anything
//! else is left to the full parse. Searching for a quoted key cannot be fooled by text, because a quote inside a JSON
//! string is escaped.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde_json::value::RawValue;

use super::answer::{Message, take_message, take_text};
use crate::dialect::Reading;
use crate::dialect::scan::{first_value, keys, string_at, values};

static DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"delta\""));
static TEXT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"text\""));

/// What matters of a chunk, as values that begin here and end somewhere.
#[derive(Default)]
struct Seen<'a> {
    delta: Option<&'a [u8]>,
    reason: Option<&'a [u8]>,
    model: Option<&'a [u8]>,
    /// More than one of a kind, of several choices.
    more: bool,
    models: u8,
}

/// Reads a chunk if a glance is enough; whether it was.
pub(super) fn read(payload: &[u8], reading: &mut Reading) -> bool {
    let Some(Seen { delta, reason, model, more, .. }) = Seen::in_chunk(payload, reading) else { return false };
    let known = reading.model_served.is_some();
    let Some(model) = model.filter(|_| !known).map_or(Some(""), plain) else { return false };
    let read = match (delta, reason) {
        // The last piece. Of several choices each is read in full.
        (Some(delta), Some(reason)) => !more && take_last(delta, reason, reading),
        (Some(delta), None) if !more => take_delta(delta, reading),
        (Some(_), None) => values(&DELTA, payload).all(|delta| take_delta(delta, reading)),
        (None, None) => known && texts(payload, reading),
        (None, Some(_)) => false,
    };
    if read && !model.is_empty() {
        reading.served(Some(model.to_owned()));
    }
    if read && reason.is_none() {
        reading.nothing_else();
    }
    read
}

impl<'a> Seen<'a> {
    /// Looks for every key that might matter; nothing when the chunk has more to it. One pass over the colons, of which
    /// there are few, costs a third of a search for each key.
    fn in_chunk(payload: &'a [u8], reading: &Reading) -> Option<Self> {
        let mut seen = Self::default();
        for (key, value) in keys(payload) {
            match key.last() {
                Some(b'a') if key.ends_with(b"\"delta") => seen.more |= seen.delta.replace(value).is_some(),
                Some(b'l') if key.ends_with(b"\"model") => {
                    seen.model = Some(value);
                    seen.models += 1;
                }
                Some(b'e' | b'r' | b's') if matters(key, reading) && !says_nothing(value) => return None,
                Some(b'n') if key.ends_with(b"\"finish_reason") && !says_nothing(value) => {
                    seen.more |= seen.reason.replace(value).is_some();
                }
                _ => {}
            }
        }
        // Which of several is the model's, a glance cannot say.
        (seen.models < 2 || reading.model_served.is_some()).then_some(seen)
    }
}

/// Whether a chunk with this key is to be parsed.
fn matters(key: &[u8], reading: &Reading) -> bool {
    key.ends_with(b"\"usage") || key.ends_with(b"\"error") || key.ends_with(b"\"timings") && reading.wants_timings()
}

/// A string that has no escapes.
fn plain(value: &[u8]) -> Option<&str> {
    let (text, _) = value.strip_prefix(b"\"").and_then(string_at)?;
    (!text.contains('\\')).then_some(text)
}

/// Reads a delta that comes with its finish reason; false when one of them cannot be read.
fn take_last(delta: &[u8], reason: &[u8], reading: &mut Reading) -> bool {
    let Some(reason) = plain(reason) else { return false };
    let read = delta.starts_with(b"{}") || take_delta(delta, reading);
    if read {
        reading.finished(Some(reason.to_owned()));
    }
    read
}

fn says_nothing(value: &[u8]) -> bool {
    value.starts_with(b"null") || value.starts_with(b"\"\"")
}

/// Reads a `delta`; false when it cannot be read. One that is all text needs no parser.
fn take_delta(delta: &[u8], reading: &mut Reading) -> bool {
    if let Some((text, after)) = delta.strip_prefix(b"{\"content\":\"").and_then(string_at)
        && after.starts_with(b"}")
    {
        reading.content(text);
        return true;
    }
    let delta = first_value::<Message<'_>>(delta);
    delta.inspect(|delta| take_message(delta, reading)).is_some()
}

/// Reads every `text` of a completion's chunk.
fn texts(payload: &[u8], reading: &mut Reading) -> bool {
    let mut any = false;
    for value in values(&TEXT, payload) {
        let Some(text) = first_value::<&RawValue>(value) else { return false };
        take_text(Some(text), reading);
        any = true;
    }
    any
}
