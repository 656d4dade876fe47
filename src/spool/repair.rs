//! Damage that a reader meets while the process runs: looks through the whole log again, as a start does, and publishes
//! what can be saved and what is lost.
//!
//! Slow, and in the thread of the sink that met it; nothing is deleted meanwhile. What the start has found and reported
//! is known and costs nothing again.

use std::collections::BTreeSet;
use std::io;

use super::open;
use super::recovery::{self, Found};
use super::segment::SegmentId;
use super::segments::Info;
use super::shared::{Shared, lock};
use super::stats::Counters;

/// More places are not remembered; damage beyond them is met without being looked into.
const MOST_PLACES: usize = 4096;

/// The log at one moment.
struct Moment {
    segments: Vec<Info>,
    /// Tickets with an INTENT.
    open: BTreeSet<u64>,
    /// Numbers without a record, not yet reported: none of the damage's.
    dropped: Option<(u64, u64)>,
    last: u64,
}

/// Begins with what the start has found.
pub(super) fn know(shared: &Shared, places: &BTreeSet<(SegmentId, u64)>) {
    lock(&shared.known).extend(places.iter().copied().take(MOST_PLACES));
}

/// No record begins at this place of the log, where one should.
pub(super) fn damaged(shared: &Shared, place: (SegmentId, u64)) -> io::Result<()> {
    let known = lock(&shared.known);
    if known.contains(&place) || known.len() >= MOST_PLACES {
        return Ok(());
    }
    drop(known);
    // Whoever else meets it waits, and then finds it known.
    let _nothing_is_deleted = lock(&shared.deleting);
    if lock(&shared.known).contains(&place) {
        return Ok(());
    }
    let moment = Moment::now(shared);
    let mut found = recovery::look_again(&shared.directory, (shared.id, shared.epoch), &moment.segments)?;
    forget_spoiled(shared, &moment, &found);
    publish(shared, &moment, &mut found)?;
    let mut known = lock(&shared.known);
    known.extend(found.accounts.places().iter().copied());
    known.insert(place);
    Ok(())
}

impl Moment {
    fn now(shared: &Shared) -> Self {
        let log = shared.log();
        Self {
            segments: log.segments.iter().cloned().collect(),
            open: log.open_numbers().collect(),
            dropped: log.numbering.unreported(),
            last: log.numbering.last(),
        }
    }
}

/// Events that are gone are waited for no longer.
fn forget_spoiled(shared: &Shared, moment: &Moment, found: &Found) {
    let mut log = shared.log();
    for before in &moment.segments {
        let left = found.segments.get(before.id).map_or(0, |info| info.finals);
        let gone = before.finals.saturating_sub(left);
        if let Some(info) = log.segments.get_mut(before.id) {
            info.finals -= gone;
        }
        log.finals -= gone;
        log.balance.spoiled += gone;
    }
}

fn publish(shared: &Shared, moment: &Moment, found: &mut Found) -> io::Result<()> {
    let epoch = shared.epoch;
    let accounts = &mut found.accounts;
    accounts.given_out(epoch, moment.last);
    moment.open.iter().for_each(|number| accounts.excuse(epoch, (*number, *number)));
    moment.dropped.iter().for_each(|range| accounts.excuse(epoch, *range));
    for ((epoch, number), begun) in std::mem::take(&mut found.open) {
        if epoch != shared.epoch || !moment.open.contains(&number) {
            open::interrupt(shared, epoch, number, &begun.whole())?;
        }
    }
    let stretches = found.accounts.report(shared, &lock(&shared.known));
    Counters::add_many(&shared.counters.damaged, stretches);
    Ok(())
}
