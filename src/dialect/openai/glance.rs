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
use crate::dialect::scan::{first_value, values};

struct Finders {
    /// Keys whose value, when it says anything, asks for a full parse.
    decisive: [Finder<'static>; 3],
    delta: Finder<'static>,
    text: Finder<'static>,
}

static FINDERS: LazyLock<Finders> = LazyLock::new(|| Finders {
    decisive: [Finder::new(b"\"usage\""), Finder::new(b"\"finish_reason\""), Finder::new(b"\"error\"")],
    delta: Finder::new(b"\"delta\""),
    text: Finder::new(b"\"text\""),
});

/// Reads a chunk if a glance is enough; whether it was.
pub(super) fn read(payload: &[u8], reading: &mut Reading) -> bool {
    let plain = reading.model_served.is_some() && FINDERS.decisive.iter().all(|key| says_nothing(key, payload));
    plain && if FINDERS.delta.find(payload).is_some() { deltas(payload, reading) } else { texts(payload, reading) }
}

fn says_nothing(key: &Finder<'_>, payload: &[u8]) -> bool {
    values(key, payload).all(|value| value.starts_with(b"null") || value.starts_with(b"\"\""))
}

/// Reads every `delta`; false when there is none, or one that cannot be read.
fn deltas(payload: &[u8], reading: &mut Reading) -> bool {
    let mut any = false;
    for value in values(&FINDERS.delta, payload) {
        let Some(delta) = first_value::<Message<'_>>(value) else { return false };
        take_message(&delta, reading);
        any = true;
    }
    any
}

/// Reads every `text` of a completion's chunk.
fn texts(payload: &[u8], reading: &mut Reading) -> bool {
    let mut any = false;
    for value in values(&FINDERS.text, payload) {
        let Some(text) = first_value::<&RawValue>(value) else { return false };
        take_text(Some(text), reading);
        any = true;
    }
    any
}
