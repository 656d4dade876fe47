//! A cheap look at an event that only carries a piece of content, which nearly all do.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::answer::Delta;
use crate::dialect::Reading;
use crate::dialect::scan::{begins_with_type, first_value, string_at, values};

static DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"delta\""));

/// Reads an event if a glance is enough; whether it was. Anthropic writes the type first; who does not is read in full.
pub(super) fn read(payload: &[u8], reading: &mut Reading) -> bool {
    if !begins_with_type(payload, b"content_block_delta") {
        return false;
    }
    let Some(value) = values(&DELTA, payload).next() else { return false };
    if let Some(text) = only_text(value) {
        reading.content(text);
    } else {
        let Some(delta) = first_value::<Delta<'_>>(value) else { return false };
        delta.note(reading);
    }
    reading.nothing_else();
    true
}

/// The text of a delta that is nothing else: it needs no parser.
fn only_text(delta: &[u8]) -> Option<&str> {
    let (text, after) = string_at(delta.strip_prefix(b"{\"type\":\"text_delta\",\"text\":\"")?)?;
    after.starts_with(b"}").then_some(text)
}
