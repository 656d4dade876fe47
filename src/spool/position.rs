//! Where an event stands in the log.

use super::segment::SegmentId;

/// The place of an event in the log; later events have greater ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct Position {
    pub(super) segment: SegmentId,
    /// The offset after the record.
    pub(super) end: u64,
    /// How many events the log had up to and including it, since the spool was opened. Only for counting.
    pub(super) ordinal: u64,
}

impl Position {
    /// What order and equality rest on.
    pub(super) fn place(&self) -> (SegmentId, u64) {
        (self.segment, self.end)
    }
}

impl PartialEq for Position {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Position {}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}
