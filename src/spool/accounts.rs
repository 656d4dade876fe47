//! Finds out which numbers are missing from the log, keeps what was damaged, and reports both.
//!
//! Missing is a number that was given out, whose first record would be in a segment that is still there, and that has
//! no record. Each segment says up to where numbers were given out before it; the file of numbers says how many there
//! are. Where a segment cannot be read and is the oldest of its epoch but not the first, nobody knows where it began:
//! then its damage alone is reported. An append that the death of a process cut off is no loss: its first word, written
//! last, is still zero.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tracing::warn;

use super::given::Noted;
use super::loss::{self, Report};
use super::numbers::Numbers;
use super::record::{CARRIED, Found, Kind};
use super::segment::{HEADER_BYTES, SegmentId};
use super::shared::Shared;
use crate::event::{Damage, LossData, LossReason, Previous};

/// Of further stretches in one segment each becomes part of the last.
const MOST_IN_SEGMENT: usize = 16;
/// More of a stretch is not kept.
const MOST_KEPT_BYTES: usize = 64 * 1024;
/// More of all stretches is not kept.
const MOST_KEPT_IN_ALL: usize = 4 * 1024 * 1024;

/// What is known of the numbers in the log.
#[derive(Default)]
pub(super) struct Accounts {
    seen: BTreeMap<u64, Numbers>,
    /// Numbers up to this may have been delivered and deleted.
    floors: BTreeMap<u64, u64>,
    /// Numbers up to this were given out.
    given: BTreeMap<u64, u64>,
    /// Epochs that ended in order.
    clean: BTreeSet<u64>,
    /// Told by records and by the file of numbers: what came before an epoch.
    before: BTreeMap<u64, Previous>,
    reported: BTreeSet<(SegmentId, u64)>,
    /// Where all that is no record begins, appends that were cut off included.
    places: BTreeSet<(SegmentId, u64)>,
    stretches: Vec<Stretch>,
    kept_bytes: usize,
}

struct Stretch {
    segment: SegmentId,
    /// The offset after it.
    end: u64,
    damage: Damage,
    copy: Vec<u8>,
}

impl Accounts {
    /// What the file of numbers says.
    pub(super) fn noted(&mut self, noted: &Noted) {
        self.give(noted.epoch, noted.number);
        if let Some(previous) = noted.previous {
            self.before.insert(noted.epoch, previous);
        }
    }

    /// A record was read.
    pub(super) fn record(&mut self, segment: SegmentId, found: &Found<'_>) {
        let (kind, epoch, number) = (found.head.kind, found.head.epoch, found.head.number);
        match kind {
            Kind::LossReport => self.lost(found),
            Kind::Intent if epoch == segment.epoch && found.head.flags & CARRIED == 0 => {
                self.floors.entry(epoch).or_insert(number.saturating_sub(1));
                self.see(epoch, (number, number));
            }
            Kind::Intent | Kind::Progress | Kind::Final => self.see(epoch, (number, number)),
            Kind::Follows => {
                self.floors.entry(epoch).or_insert(number);
                self.give(epoch, number);
            }
            // Alone it is no event: without the record that it goes on from, its number is lost.
            Kind::Further => self.give(epoch, number),
            Kind::EpochOpen => drop(found.previous().map(|previous| self.before.insert(epoch, previous))),
            Kind::EpochClose => {
                self.give(epoch, number);
                self.clean.insert(epoch);
            }
            Kind::Unknown => {}
        }
    }

    fn lost(&mut self, found: &Found<'_>) {
        let (epoch, number) = (found.head.epoch, found.head.number);
        let Some((damage, upto)) = found.loss() else { return self.see(epoch, (number, number)) };
        self.reported.insert((SegmentId { epoch, number: damage.segment }, damage.offset));
        self.see(epoch, (number, upto));
    }

    fn see(&mut self, epoch: u64, (first, last): (u64, u64)) {
        if first > 0 && last >= first {
            self.seen.entry(epoch).or_default().insert(first, last);
        }
    }

    fn give(&mut self, epoch: u64, number: u64) {
        let given = self.given.entry(epoch).or_default();
        *given = number.max(*given);
    }

    /// These numbers are accounted for elsewhere.
    pub(super) fn excuse(&mut self, epoch: u64, range: (u64, u64)) {
        self.see(epoch, range);
    }

    /// So many numbers of this epoch were given out.
    pub(super) fn given_out(&mut self, epoch: u64, last: u64) {
        self.give(epoch, last);
    }

    /// A segment of an epoch is there from its beginning.
    pub(super) fn begins(&mut self, segment: SegmentId) {
        if segment.number == 1 {
            self.floors.insert(segment.epoch, 0);
        }
    }

    /// A segment's header is damaged.
    pub(super) fn without_header(&mut self, segment: SegmentId, bytes: &[u8]) {
        self.keep(segment, bytes, &(0..bytes.len().min(HEADER_BYTES)));
    }

    /// A segment cannot be read at all.
    pub(super) fn unreadable(&mut self, segment: SegmentId) {
        self.begins(segment);
        self.keep(segment, &[], &(0..0));
    }

    /// A stretch of a segment is no record.
    pub(super) fn damaged(&mut self, segment: SegmentId, bytes: &[u8], stretch: &Range<usize>) {
        let damaged = bytes.get(stretch.clone()).unwrap_or_default();
        let cut_off =
            damaged.starts_with(&[0; 8]) && bytes.get(stretch.end..).is_none_or(|rest| rest.iter().all(|b| *b == 0));
        if cut_off {
            self.places.insert((segment, stretch.start as u64));
        } else {
            self.keep(segment, bytes, stretch);
        }
    }

    fn keep(&mut self, segment: SegmentId, bytes: &[u8], stretch: &Range<usize>) {
        self.places.insert((segment, stretch.start as u64));
        let in_segment = self.stretches.iter().rev().take_while(|known| known.segment == segment).count();
        if let Some(last) = self.stretches.last_mut().filter(|_| in_segment >= MOST_IN_SEGMENT) {
            last.end = stretch.end as u64;
            last.damage.bytes = last.end - last.damage.offset;
            return;
        }
        let damage = Damage { segment: segment.number, offset: stretch.start as u64, bytes: stretch.len() as u64 };
        let most = MOST_KEPT_BYTES.min(MOST_KEPT_IN_ALL.saturating_sub(self.kept_bytes));
        let damaged = bytes.get(stretch.clone()).unwrap_or_default();
        let copy = damaged.get(..damaged.len().min(most)).unwrap_or_default().to_vec();
        self.kept_bytes += copy.len();
        let end = if stretch.is_empty() { u64::MAX } else { stretch.end as u64 };
        self.stretches.push(Stretch { segment, end, damage, copy });
    }

    /// Every sink has delivered all up to `mark`. An epoch that ended in order and is damaged only before that has lost
    /// nothing: what the damage took was delivered, so its requests must not come again as interrupted ones.
    pub(super) fn delivered(&mut self, mark: (SegmentId, u64)) -> BTreeSet<u64> {
        // A header takes no event with it.
        let hurt = self.stretches.iter().filter(|stretch| stretch.end > HEADER_BYTES as u64);
        let last_hurt = hurt.map(|stretch| (stretch.segment, stretch.end)).max();
        if last_hurt.is_none_or(|hurt| hurt > mark) {
            return BTreeSet::new();
        }
        let spared = self.clean.clone();
        self.floors.retain(|epoch, _| !spared.contains(epoch));
        spared
    }

    /// The last epoch that gave out numbers, where this process's own has not begun.
    pub(super) fn previous(&self) -> Option<Previous> {
        let told = self.before.values().filter(|previous| previous.number > 0).max_by_key(|told| told.epoch).copied();
        let given = self.given.iter().map(|(epoch, number)| (*epoch, *number));
        let seen = self.seen.iter().filter_map(|(epoch, seen)| Some((*epoch, seen.ranges().last()?.1)));
        let (epoch, number) = given.chain(seen).filter(|(_, number)| *number > 0).max().unwrap_or_default();
        let found = Previous { epoch, number, clean: self.clean.contains(&epoch) };
        match told {
            Some(told) if told.epoch > epoch => Some(told),
            // What the log has lost the epoch after it may have kept.
            Some(told) if told.epoch == epoch => {
                Some(Previous { epoch, number: number.max(told.number), clean: told.clean || found.clean })
            }
            _ => Some(found).filter(|found| found.number > 0),
        }
    }

    /// Keeps and reports what was not reported before, here or at a place that is `known`; the number of new stretches.
    pub(super) fn report(&self, shared: &Shared, known: &BTreeSet<(SegmentId, u64)>) -> u64 {
        let mut reported = 0;
        for Stretch { segment, damage, copy, .. } in &self.stretches {
            let place = (*segment, damage.offset);
            if self.reported.contains(&place) || known.contains(&place) {
                continue;
            }
            reported += 1;
            if !copy.is_empty()
                && let Err(error) = shared.directory.quarantine(segment.epoch, *damage, copy)
            {
                warn!(%error, "damaged bytes of the spool could not be kept");
            }
            loss::of_damage(shared, segment.epoch, *damage).publish(shared);
        }
        for (epoch, gap) in self.gaps() {
            self.gap_report(shared, epoch, gap).publish(shared);
        }
        reported
    }

    /// Where all that is no record begins.
    pub(super) fn places(&self) -> &BTreeSet<(SegmentId, u64)> {
        &self.places
    }

    fn gap_report(&self, shared: &Shared, epoch: u64, (first, last): (u64, u64)) -> Report {
        let damaged = self.stretches.iter().any(|stretch| stretch.segment.epoch == epoch);
        let reason = if damaged { LossReason::Damaged } else { LossReason::Unrecorded };
        let previous = if epoch == shared.epoch { shared.previous } else { self.before.get(&epoch).copied() };
        let previous = previous.filter(|previous| first == 1 && previous.number > 0);
        let spool = shared.id.as_str().to_owned();
        Report::new(LossData { spool, epoch, reason, first: Some(first), last: Some(last), damage: None, previous })
    }

    fn gaps(&self) -> impl Iterator<Item = (u64, (u64, u64))> {
        self.floors.iter().flat_map(|(epoch, floor)| {
            let upto = self.given.get(epoch).copied().unwrap_or(0);
            let seen = self.seen.get(epoch).cloned().unwrap_or_default();
            seen.gaps(*floor, upto).into_iter().map(|gap| (*epoch, gap))
        })
    }
}
