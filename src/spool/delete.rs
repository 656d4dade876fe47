//! Deletes delivered segments, strictly oldest first.
//!
//! The order is what keeps events: every sink's mark is durable, then the file goes, then its directory is synced. An
//! INTENT never outlives its FINAL, because it stands before it. A request that stays open for long does not hold the
//! log: its INTENT is copied onward first.

use tracing::warn;

use super::record;
use super::room::RECORD_SHARE;
use super::segment::SegmentId;
use super::shared::{Grown, Shared, lock};
use super::stats::Counters;
use super::writer::Oldest;

/// Deletes what every sink has durably acknowledged.
pub(super) fn delete_delivered(shared: &Shared) {
    let _one = lock(&shared.deleting);
    while let Some(id) = next(shared) {
        if !delete(shared, id) {
            return;
        }
    }
}

/// The oldest segment if it can go, after carrying onward what holds it.
fn next(shared: &Shared) -> Option<SegmentId> {
    loop {
        let oldest = shared.log().oldest();
        match oldest {
            Oldest::Held => return None,
            Oldest::Free(id) => return Some(id),
            Oldest::Pinned(numbers) => {
                if !numbers.into_iter().all(|number| carry(shared, number)) {
                    return None;
                }
            }
        }
    }
}

/// Copies one open INTENT onward; false if there is no room for it that no ticket has reserved.
fn carry(shared: &Shared, number: u64) -> bool {
    loop {
        let Some(begun) = shared.log().begun(number).cloned() else { return true };
        // Made without the log, which nobody should wait for so long.
        let payload = begun.whole().into_owned();
        let bytes = record::size(payload.len());
        let mut log = shared.log();
        let room = log.room();
        if room.holds(bytes as u64 + RECORD_SHARE) && log.fit(bytes) {
            let carried = log.carry(number, (&begun, payload));
            shared.give_back(log, Grown::Otherwise);
            if carried {
                Counters::add(&shared.counters.carried);
                return true;
            }
            continue;
        }
        drop(log);
        let needed = |log: &super::writer::Log| !log.room().holds(bytes as u64 + RECORD_SHARE) || !log.has_spare();
        if !room.may_use_last() || !shared.make_segment(needed) {
            return false;
        }
    }
}

fn delete(shared: &Shared, id: SegmentId) -> bool {
    // What replaces this segment's INTENTs must be as durable as they are.
    if shared.group.as_ref().is_some_and(|group| !group.round(shared)) {
        return false;
    }
    if let Err(error) = shared.directory.delete_segment(id) {
        warn!(%error, "a delivered segment of the spool could not be deleted");
        Counters::add(&shared.counters.delete_failures);
        return false;
    }
    let mut log = shared.log();
    log.segments.pop();
    let last_of_epoch = id.epoch != shared.epoch && !log.segments.begins_with_epoch(id.epoch);
    // There may be room again for what the preparing thread could not do.
    shared.give_back(log, Grown::Otherwise);
    lock(&shared.known).retain(|(segment, _)| *segment != id);
    if last_of_epoch {
        shared.directory.remove_epoch(id.epoch);
    }
    true
}
