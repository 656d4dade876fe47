//! A cheap look at an event whose name says that it only carries a piece: what else it holds, padding foremost, is not
//! parsed.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::converse::Block;
use crate::dialect::Reading;
use crate::dialect::scan::{first_value, values};

static DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"delta\""));
static BYTES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"bytes\""));

/// Reads the piece of a block in a `contentBlockDelta`; whether it could be read so.
pub(super) fn delta(data: &[u8], reading: &mut Reading) -> bool {
    let Some(block) = values(&DELTA, data).next().and_then(first_value::<Block<'_>>) else { return false };
    block.note(reading);
    reading.nothing_else();
    true
}

/// The bytes in a `chunk` of `invoke-with-response-stream`, in base64.
pub(super) fn bytes(data: &[u8]) -> Option<Cow<'_, str>> {
    values(&BYTES, data).next().and_then(first_value)
}
