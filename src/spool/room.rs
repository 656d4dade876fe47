//! How much more the spool may take: the arithmetic of reservations, and nothing else.
//!
//! A ticket is given out only if its INTENT and FINAL will fit whatever else happens. Records don't span segments, so a
//! segment is sure to hold only what is left after the longest record that did not fit. One segment is kept back for
//! the spool's own records: carrying an open INTENT onward must be possible when the spool is full.

use super::record::{self, MAX_RECORD_BYTES};
use super::segment::{HEADER_BYTES, SEGMENT_BYTES};

/// What a ticket reserves for each of its two records.
pub(super) const RECORD_SHARE: u64 = MAX_RECORD_BYTES as u64;
/// What a ticket reserves.
pub(super) const TICKET_SHARE: u64 = 2 * RECORD_SHARE;
/// What a segment that follows another begins with.
const FIRST_RECORD: u64 = record::size(0) as u64;
/// The least that a spool may be allowed to take: active, one ready, one kept back, one not delivered.
pub(super) const LEAST_BYTES: u64 = LEAST_SEGMENTS * SEGMENT_BYTES as u64;
/// The same in segments.
pub(super) const LEAST_SEGMENTS: u64 = 4;

/// The spool's size at one moment, in bytes unless said otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// The size of a segment.
    pub(super) segment: u64,
    /// The most that it may take on disk.
    pub(super) most: u64,
    /// What it takes now, ready segments included.
    pub(super) on_disk: u64,
    /// Not yet written in the active segment.
    pub(super) active: u64,
    /// Number of segments ready to be written.
    pub(super) spares: u64,
    /// Reserved by open tickets and not yet written.
    pub(super) reserved: u64,
}

impl Room {
    /// Whether one more ticket may be given out.
    pub(super) fn admits(&self) -> bool {
        self.reserved + TICKET_SHARE <= self.prepared() + self.permitted() * self.sure()
    }

    /// Whether so many bytes more than are reserved surely fit into the segments that exist.
    pub(super) fn holds(&self, bytes: u64) -> bool {
        self.reserved + bytes <= self.prepared()
    }

    /// Whether so many bytes may be taken for what can be done without: only of what nobody has reserved, and not while
    /// an outage fills the spool, which should then last for events.
    pub(super) fn spares_bytes(&self, bytes: u64) -> bool {
        self.holds(bytes + RECORD_SHARE) && self.on_disk <= self.most / 2
    }

    /// Whether another segment should be made ahead of need, and may be.
    pub(super) fn is_short(&self) -> bool {
        // Half a segment ahead gives the preparing thread time, and costs an idle process nothing.
        !self.holds(TICKET_SHARE + RECORD_SHARE + self.segment / 2) && self.permitted() > 0
    }

    /// Whether the segment that is kept back may be made.
    pub(super) fn may_use_last(&self) -> bool {
        self.on_disk + self.segment <= self.most
    }

    /// Bytes of records that the existing segments are sure to hold.
    fn prepared(&self) -> u64 {
        self.active.saturating_sub(RECORD_SHARE) + self.spares * self.sure()
    }

    /// Number of segments that may yet be made for tickets.
    fn permitted(&self) -> u64 {
        self.most.saturating_sub(self.segment).saturating_sub(self.on_disk) / self.segment
    }

    /// Bytes of records that any segment is sure to hold.
    fn sure(&self) -> u64 {
        self.segment - HEADER_BYTES as u64 - FIRST_RECORD - RECORD_SHARE
    }
}

#[cfg(test)]
mod tests {
    use super::{LEAST_BYTES, Room, SEGMENT_BYTES, TICKET_SHARE};

    const SEGMENT: u64 = SEGMENT_BYTES as u64;

    fn fresh() -> Room {
        Room { segment: SEGMENT, most: LEAST_BYTES, on_disk: SEGMENT, active: SEGMENT - 64, spares: 0, reserved: 0 }
    }

    #[test]
    fn tickets_never_use_the_segment_that_is_kept_back() {
        let mut room = fresh();
        let mut tickets = 0;
        while room.admits() {
            room.reserved += TICKET_SHARE;
            tickets += 1;
        }
        assert!(tickets > 400, "{tickets}");
        assert!(room.reserved < LEAST_BYTES - SEGMENT);
        room.on_disk = LEAST_BYTES - SEGMENT;
        assert!(!room.is_short() && room.may_use_last());
    }

    #[test]
    fn an_idle_spool_prepares_nothing_and_a_half_full_segment_asks_for_the_next() {
        assert!(!fresh().is_short());
        assert!(Room { active: SEGMENT / 2, ..fresh() }.is_short());
        assert!(!Room { active: SEGMENT / 2, spares: 1, ..fresh() }.is_short());
    }

    #[test]
    fn open_tickets_ask_for_as_many_segments_as_they_may_fill() {
        let mut room = Room { most: 100 * SEGMENT, reserved: 1000 * TICKET_SHARE, ..fresh() };
        while room.is_short() {
            room.spares += 1;
            room.on_disk += SEGMENT;
        }
        assert!(room.holds(TICKET_SHARE));
        assert_eq!(room.spares, 4);
    }
}
