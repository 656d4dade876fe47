//! A cheap look at a chunk that only carries text, which nearly all do.
//!
//! A chunk is dealt with here only when nothing but its deltas can matter: the model is known, and usage, finish reason
//! and error are absent, `null` or empty. Then only the small `delta` objects are parsed. Anything else is left to the
//! full parse. Searching for a quoted key cannot be fooled by text, because a quote inside a JSON string is escaped.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde_json::value::RawValue;

use super::answer::{Message, take_message, take_text};
use crate::dialect::Reading;
use crate::dialect::scan::{first_value, keys, string_at, values};

static DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"delta\""));
static TEXT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"text\""));

/// Reads a chunk if a glance is enough; whether it was.
pub(super) fn read(payload: &[u8], reading: &mut Reading) -> bool {
    if reading.model_served.is_none() {
        return false;
    }
    let (mut delta, mut reason, mut more) = (None, None, false);
    // One pass over the colons, of which there are few, costs a third of a search for each key.
    for (key, value) in keys(payload) {
        match key.last() {
            Some(b'a') if key.ends_with(b"\"delta") => more |= delta.replace(value).is_some(),
            Some(b'e') if key.ends_with(b"\"usage") && !says_nothing(value) => return false,
            Some(b'n') if key.ends_with(b"\"finish_reason") && !says_nothing(value) => {
                more |= reason.replace(value).is_some();
            }
            Some(b'r') if key.ends_with(b"\"error") && !says_nothing(value) => return false,
            _ => {}
        }
    }
    if let Some(reason) = reason {
        // The last piece. Of several choices each is read in full.
        return !more && delta.is_some_and(|delta| take_last(delta, reason, reading));
    }
    let read = match delta {
        Some(delta) if !more => take_delta(delta, reading),
        Some(_) => values(&DELTA, payload).all(|delta| take_delta(delta, reading)),
        None => texts(payload, reading),
    };
    if read {
        reading.nothing_else();
    }
    read
}

/// Reads a delta that comes with its finish reason; false when one of them cannot be read.
fn take_last(delta: &[u8], reason: &[u8], reading: &mut Reading) -> bool {
    let Some((reason, _)) = reason.strip_prefix(b"\"").and_then(string_at) else { return false };
    let plain = !reason.contains('\\') && (delta.starts_with(b"{}") || take_delta(delta, reading));
    if plain {
        reading.finished(Some(reason.to_owned()));
    }
    plain
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
