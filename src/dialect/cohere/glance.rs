//! A cheap look at an event that only carries a piece of text, which nearly all do.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;

use super::answer::Content;
use crate::dialect::Reading;
use crate::dialect::scan::{Raw, begins_with_type, first_value, string, values};

struct Finders {
    content: Finder<'static>,
    generation: Finder<'static>,
}

static FINDERS: LazyLock<Finders> = LazyLock::new(|| Finders {
    content: Finder::new(b"\"content\""),
    generation: Finder::new(b"\"event_type\":\"text-generation\""),
});

/// A piece of text in version 1.
#[derive(Deserialize)]
struct Generation<'a> {
    #[serde(borrow, default)]
    event_type: Raw<'a>,
    #[serde(borrow, default)]
    text: Raw<'a>,
}

/// Reads an event if a glance is enough; whether it was. What is written otherwise than Cohere writes it is read in full.
pub(super) fn read(payload: &[u8], reading: &mut Reading) -> bool {
    if begins_with_type(payload, b"content-delta") {
        let content = values(&FINDERS.content, payload).next().and_then(first_value::<Content<'_>>);
        let Some(content) = content else { return false };
        content.note(reading);
        reading.nothing_else();
        true
    } else if FINDERS.generation.find(payload).is_some() {
        let Some(generation) = first_value::<Generation<'_>>(payload) else { return false };
        // In another event these words may stand deeper.
        let plain = string(generation.event_type) == "text-generation";
        if plain {
            reading.content(string(generation.text));
            reading.nothing_else();
        }
        plain
    } else {
        false
    }
}
