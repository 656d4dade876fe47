//! Records that are written and not yet synced, kept until they are.
//!
//! After a failed sync the kernel may drop what it could not write and answer the next sync with success. So nothing
//! is asked of that file again: what it held since its last good sync is written once more, into another segment.
//! Only for `sync: disk`; takes no more memory than is written between two syncs.

use super::record::{self, Head, Kind, MAX_RECORD_BYTES, REWRITTEN};
use super::segment::SegmentId;
use super::shared::{Grown, Shared};
use super::writer::Log;

/// A record and where it was written.
pub(super) struct Kept {
    pub(super) segment: SegmentId,
    /// The offset after it.
    pub(super) end: u64,
    pub(super) head: Head,
    pub(super) payload: Box<[u8]>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Unsynced {
    kept: Vec<Kept>,
    /// Of segments that could not be synced.
    lost: Vec<Kept>,
}

impl Unsynced {
    /// A record was written.
    pub(super) fn keep(&mut self, kept: Kept) {
        self.kept.push(kept);
    }

    /// The segment was synced up to here.
    pub(super) fn synced(&mut self, segment: SegmentId, end: u64) {
        self.kept.retain(|kept| kept.segment != segment || kept.end > end);
    }

    /// The segment could not be synced.
    pub(super) fn failed(&mut self, segment: SegmentId) {
        self.lost.extend(self.kept.extract_if(.., |kept| kept.segment == segment));
    }

    /// Nothing needs to be kept.
    pub(super) fn clear(&mut self) {
        self.kept.clear();
        self.lost.clear();
    }

    /// Whether something waits to be written once more.
    pub(super) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }
}

/// Writes once more what could not be synced; false if no segment can be made for it, and then it is kept.
pub(super) fn rewrite(shared: &Shared) -> bool {
    let lost = std::mem::take(&mut shared.log().unsynced.lost);
    let mut lost = lost.into_iter();
    while let Some(kept) = lost.next() {
        if shared.write(most_bytes(&kept), Grown::Otherwise, |log| rewrite_one(log, &kept)).is_none() {
            shared.log().unsynced.lost.extend(std::iter::once(kept).chain(lost));
            return false;
        }
    }
    true
}

/// What is written may be another than what was lost: what the request has come to since.
fn most_bytes(kept: &Kept) -> usize {
    match kept.head.kind {
        Kind::Intent | Kind::Progress | Kind::Further => MAX_RECORD_BYTES,
        _ => record::size(kept.payload.len()),
    }
}

fn rewrite_one(log: &mut Log, kept: &Kept) {
    let number = kept.head.number;
    let begun = match kept.head.kind {
        // An INTENT must not follow its FINAL: it is only of use while its ticket is open.
        Kind::Intent | Kind::Progress => log.begun(number).filter(|_| log.open_in(number) == Some(kept.segment)),
        // What it goes on from may be safe in an earlier segment.
        Kind::Further => log.begun(number).filter(|begun| begun.has_gone_on()),
        _ => {
            let head = Head { flags: kept.head.flags | REWRITTEN, ..kept.head };
            log.append(head, &[&kept.payload]);
            return;
        }
    };
    if let Some(begun) = begun.cloned() {
        let payload = begun.whole().into_owned();
        log.carry(number, (&begun, payload));
    }
}
