//! Finds out what is missing from the log, keeps what was damaged, and says so in the log itself.
//!
//! A loss is reported once: the report is a record like any other, deleted after what it is about, so whoever finds the
//! damage again finds the report too. Numbers are missing that lie between those seen; of an epoch whose beginning was
//! delivered and deleted, only from the first INTENT that is still there. An append that the death of a process cut
//! off is no loss: its first word, written last, is still zero.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tracing::warn;

use super::numbers::Numbers;
use super::record::{self, CARRIED, Found, Head, Kind};
use super::segment::SegmentId;
use super::shared::{Grown, Shared};
use crate::event::{Damage, LossData, LossEvent, LossReason};
use crate::types::Timestamp;

/// What one start reports at most; the next one goes on.
const MOST: usize = 64;
/// More of a stretch is not kept.
const MOST_KEPT_BYTES: usize = 64 * 1024;

/// What is known of the numbers of earlier epochs.
#[derive(Default)]
pub(super) struct Accounts {
    seen: BTreeMap<u64, Numbers>,
    /// Numbers up to this may have been delivered and deleted.
    floors: BTreeMap<u64, u64>,
    reported: BTreeSet<(u64, u64, u64)>,
    stretches: Vec<Stretch>,
}

struct Stretch {
    epoch: u64,
    damage: Damage,
    copy: Vec<u8>,
}

impl Accounts {
    /// A record was read.
    pub(super) fn record(&mut self, segment: SegmentId, found: &Found<'_>) {
        let Head { kind, flags, epoch, number } = found.head;
        let (mut first, mut last) = (number, number);
        match kind {
            Kind::LossReport => {
                if let Some((damage, upto)) = found.loss() {
                    self.reported.insert((epoch, damage.segment, damage.offset));
                    (first, last) = (number.max(1), upto);
                }
            }
            Kind::Intent if epoch == segment.epoch && flags & CARRIED == 0 => {
                self.floors.entry(epoch).or_insert(number - 1);
            }
            Kind::Intent | Kind::Progress | Kind::Final => {}
            Kind::EpochOpen | Kind::EpochClose | Kind::Unknown => return,
        }
        if first > 0 && last >= first {
            self.seen.entry(epoch).or_default().insert(first, last);
        }
    }

    /// A segment of an epoch is there from its beginning.
    pub(super) fn begins(&mut self, segment: SegmentId) {
        if segment.number == 1 {
            self.floors.insert(segment.epoch, 0);
        }
    }

    /// A stretch of a segment is no record.
    pub(super) fn damaged(&mut self, segment: SegmentId, bytes: &[u8], stretch: &Range<usize>) {
        let damaged = bytes.get(stretch.clone()).unwrap_or_default();
        let cut_off =
            damaged.starts_with(&[0; 8]) && bytes.get(stretch.end..).is_none_or(|rest| rest.iter().all(|b| *b == 0));
        if cut_off || self.stretches.len() >= 4 * MOST {
            return;
        }
        let damage = Damage { segment: segment.number, offset: stretch.start as u64, bytes: stretch.len() as u64 };
        let copy = damaged.get(..damaged.len().min(MOST_KEPT_BYTES)).unwrap_or_default().to_vec();
        self.stretches.push(Stretch { epoch: segment.epoch, damage, copy });
    }

    /// Keeps and reports what was not reported before.
    pub(super) fn report(&self, shared: &Shared) {
        let reported = |stretch: &&Stretch| {
            self.reported.contains(&(stretch.epoch, stretch.damage.segment, stretch.damage.offset))
        };
        for stretch in self.stretches.iter().filter(|stretch| !reported(stretch)).take(MOST) {
            let kept = shared.directory.quarantine(stretch.epoch, stretch.damage, &stretch.copy);
            if let Err(error) = kept {
                warn!(%error, "damaged bytes of the spool could not be kept");
            }
            publish(shared, stretch.epoch, LossReason::Damaged, (None, Some(stretch.damage)));
        }
        for (epoch, gap) in self.gaps().take(MOST) {
            let damaged = self.stretches.iter().any(|stretch| stretch.epoch == epoch);
            let reason = if damaged { LossReason::Damaged } else { LossReason::Unrecorded };
            publish(shared, epoch, reason, (Some(gap), None));
        }
    }

    fn gaps(&self) -> impl Iterator<Item = (u64, (u64, u64))> {
        self.floors.iter().flat_map(|(epoch, floor)| {
            let gaps = self.seen.get(epoch).map(|seen| seen.gaps(*floor)).unwrap_or_default();
            gaps.into_iter().map(|gap| (*epoch, gap))
        })
    }
}

fn publish(shared: &Shared, epoch: u64, reason: LossReason, what: (Option<(u64, u64)>, Option<Damage>)) {
    let (gap, damage) = what;
    let spool = shared.id.as_str().to_owned();
    let (first, last) = (gap.map(|(first, _)| first), gap.map(|(_, last)| last));
    let event = LossEvent::new(LossData { spool, epoch, reason, first, last, damage });
    warn!(epoch, first, last, segment = damage.map(|damage| damage.segment), "events are missing from the spool");
    let place = damage.unwrap_or_default();
    let prefix = [place.segment, place.offset, last.unwrap_or(0)].map(u64::to_le_bytes).concat();
    let key = record::clamp_key(&event.subject);
    let bytes = event.encode();
    let payload: [&[u8]; 4] = [&prefix, &record::key_length(key), key.as_bytes(), &bytes];
    let size = record::size(payload.iter().map(|part| part.len()).sum());
    let head = Head { kind: Kind::LossReport, flags: 0, epoch, number: first.unwrap_or(0) };
    let now = Timestamp::now().as_millis();
    if shared.write(size, Grown::ByEvent, |log| log.complete(head, &payload, now)).is_some() {
        super::stats::Counters::add(&shared.counters.losses);
    }
}
