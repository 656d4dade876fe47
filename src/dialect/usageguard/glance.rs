//! A cheap look at a chunk that only carries text, which all but the last two do.
//!
//! It is dealt with here when the model is known and nothing in it speaks of usage, an end or an error. Then only its
//! text is parsed.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::answer::take_text;
use crate::dialect::Reading;
use crate::dialect::scan::{first_value, values};

static DECISIVE: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| ["\"usage\"", "\"stop_reason\"", "\"error\""].map(Finder::new));
static CONTENT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"content\""));

/// Reads a chunk if a glance is enough; whether it was.
pub(super) fn read(payload: &[u8], reading: &mut Reading) -> bool {
    // Without its end it is half of one.
    let plain = reading.model_served.is_some() && payload.ends_with(b"}");
    if !plain || DECISIVE.iter().any(|key| key.find(payload).is_some()) {
        return false;
    }
    let mut any = false;
    for value in values(&CONTENT, payload) {
        let Some(text) = first_value(value) else { return false };
        take_text(text, reading);
        any = true;
    }
    if any {
        reading.nothing_else();
    }
    any
}
