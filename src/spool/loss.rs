//! Says in the log that events are missing: a loss event, delivered like any other.
//!
//! A report is a record like any other, deleted after what it is about, so whoever finds the loss again finds the
//! report too, and the loss is reported once. What is dropped for want of room is reported as soon as there is room,
//! before the next number is given out, and as one report however long it lasted.

use tracing::warn;

use super::record::{self, Head, Kind};
use super::shared::{Grown, Shared};
use super::writer::Log;
use crate::event::{Damage, LossData, LossEvent, LossReason};
use crate::types::Timestamp;

/// No report takes more bytes in the log.
pub(super) const LOSS_SHARE: u64 = 1024;

/// A report, ready to be appended.
pub(super) struct Report {
    head: Head,
    last: Option<u64>,
    payload: Vec<u8>,
}

impl Report {
    /// Says what `data` says; a loss of a spool's own numbers or of damage in it.
    pub(super) fn new(data: LossData) -> Self {
        let (epoch, first, last, damage) = (data.epoch, data.first, data.last, data.damage);
        let place = damage.unwrap_or_default();
        let mut payload = [place.segment, place.offset, last.unwrap_or(0)].map(u64::to_le_bytes).concat();
        let event = LossEvent::new(data);
        let key = record::clamp_key(&event.subject);
        payload.extend_from_slice(&record::key_length(key));
        payload.extend_from_slice(key.as_bytes());
        payload.extend_from_slice(&event.encode());
        debug_assert!(record::size(payload.len()) as u64 <= LOSS_SHARE, "all of it is of bounded length");
        Self { head: Head { kind: Kind::LossReport, flags: 0, epoch, number: first.unwrap_or(0) }, last, payload }
    }

    /// Of numbers of this process that have no record.
    pub(super) fn unrecorded(shared: &Shared, (first, last): (u64, u64)) -> Self {
        Self::new(LossData {
            spool: shared.id.as_str().to_owned(),
            epoch: shared.epoch,
            reason: LossReason::Unrecorded,
            first: Some(first),
            last: Some(last),
            damage: None,
            previous: shared.previous.filter(|_| first == 1),
        })
    }

    /// Bytes that it takes in the log.
    pub(super) fn size(&self) -> usize {
        record::size(self.payload.len())
    }

    /// Appends it; `fit` must have said yes.
    pub(super) fn append(&self, log: &mut Log) {
        log.complete(self.head, &[&self.payload], Timestamp::now().as_millis());
    }

    /// Appends it even where that takes more than the spool may; where no segment can be made, the next start finds the
    /// loss again.
    pub(super) fn publish(&self, shared: &Shared) {
        let (epoch, first, last) = (self.head.epoch, self.head.number, self.last);
        warn!(epoch, first, last, "usage events are missing from the spool");
        shared.write(self.size(), Grown::ByEvent, |log| self.append(log));
    }
}

/// What a damaged stretch is reported as.
pub(super) fn of_damage(shared: &Shared, epoch: u64, damage: Damage) -> Report {
    let spool = shared.id.as_str().to_owned();
    Report::new(LossData { spool, epoch, reason: LossReason::Damaged, damage: Some(damage), ..LossData::default() })
}

/// Reports what was dropped, if it fits without taking what is reserved; whether it did so.
pub(super) fn tell(shared: &Shared, log: &mut Log) -> bool {
    let Some(range) = log.numbering.unreported().filter(|_| log.room().holds(log.ticket_share())) else { return false };
    let report = Report::unrecorded(shared, range);
    let fits = log.fit(report.size());
    if fits {
        report.append(log);
        log.numbering.reported(range.1);
    }
    fits
}

/// Reports what was dropped, if there is room.
pub(super) fn tell_when_due(shared: &Shared) {
    let mut log = shared.log();
    let grown = if tell(shared, &mut log) { Grown::ByEvent } else { Grown::Otherwise };
    shared.give_back(log, grown);
}

/// Reports what was dropped, for this process ends: even where that takes more than the spool may.
pub(super) fn tell_at_end(shared: &Shared) {
    let Some(range) = shared.log().numbering.unreported() else { return };
    let report = Report::unrecorded(shared, range);
    shared.write(report.size(), Grown::ByEvent, |log| {
        report.append(log);
        log.numbering.reported(range.1);
    });
}
