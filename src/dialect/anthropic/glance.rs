//! A cheap look at an event that only carries a piece of content, which nearly all do.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::answer::Delta;
use crate::dialect::Reading;
use crate::dialect::scan::{begins_with_type, first_value, values};

static DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"delta\""));

/// Reads an event if a glance is enough; whether it was. Anthropic writes the type first; who does not is read in full.
pub(super) fn read(payload: &[u8], reading: &mut Reading) -> bool {
    if !begins_with_type(payload, b"content_block_delta") {
        return false;
    }
    let Some(delta) = values(&DELTA, payload).next().and_then(first_value::<Delta<'_>>) else { return false };
    delta.note(reading);
    true
}
