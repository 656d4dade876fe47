//! The log in memory: the segment being written, those ready to follow, and what is open and reserved.
//!
//! Everything here happens under one mutex and does no I/O: an append is a copy into mapped memory. Making, deleting,
//! syncing and reading segments happen elsewhere, without the mutex.

mod oldest;
mod requests;
mod syncing;

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;

use super::ages::Ages;
use super::balance::Balance;
use super::begun::Begun;
use super::numbering::Numbering;
use super::record::{self, Head, Kind};
use super::room::Room;
use super::segment::{HEADER_BYTES, Segment, SegmentId};
use super::segments::{Info, Segments};
use super::unsynced::{Kept, Unsynced};
pub(super) use oldest::{Oldest, Sink};
pub(super) use syncing::Unfinished;

/// A ticket with an INTENT and no FINAL.
struct Open {
    /// Where its payload stands.
    segment: SegmentId,
    begun: Begun,
}

/// See the module.
pub(super) struct Log {
    pub(super) segments: Segments,
    pub(super) sinks: Vec<Sink>,
    pub(super) ages: Ages,
    /// Events in the log since it was opened, those found then included.
    pub(super) finals: u64,
    pub(super) balance: Balance,
    pub(super) numbering: Numbering,
    /// Changes whenever there may be more to read.
    pub(super) grown: u64,
    /// Open tickets that record.
    pub(super) tickets: u64,
    pub(super) signals: Signals,
    /// Segments written full, to be unmapped where it delays nobody.
    pub(super) retired: Vec<Segment>,
    epoch: u64,
    most_bytes: u64,
    /// Whether what is written is remembered until it is synced, and not read before.
    keep_rolled: bool,
    active: Segment,
    at: usize,
    spares: VecDeque<Segment>,
    open: HashMap<u64, Open, FixedState>,
    reserved: u64,
    rolled: Vec<Unfinished>,
    poisoned: bool,
    pub(super) unsynced: Unsynced,
}

/// What threads tell each other.
#[derive(Default)]
pub(super) struct Signals {
    /// A reader waits for the next event.
    pub(super) reader_waits: bool,
    /// The preparing thread waits for work.
    pub(super) preparer_waits: bool,
    /// The preparing thread should end.
    pub(super) stopping: bool,
}

/// What a log begins with.
pub(super) struct Beginning {
    pub(super) epoch: u64,
    pub(super) most_bytes: u64,
    pub(super) keep_rolled: bool,
    pub(super) active: Segment,
    pub(super) segments: Segments,
    pub(super) ages: Ages,
    pub(super) finals: u64,
}

impl Log {
    pub(super) fn new(beginning: Beginning) -> Self {
        let Beginning { epoch, most_bytes, keep_rolled, active, mut segments, ages, finals } = beginning;
        segments.push(Info::fresh(&active));
        Self {
            segments,
            sinks: Vec::new(),
            ages,
            finals,
            balance: Balance { inherited: finals, ..Balance::default() },
            numbering: Numbering::default(),
            grown: 0,
            tickets: 0,
            signals: Signals::default(),
            retired: Vec::new(),
            epoch,
            most_bytes,
            keep_rolled,
            active,
            at: HEADER_BYTES,
            spares: VecDeque::new(),
            open: HashMap::default(),
            reserved: 0,
            rolled: Vec::new(),
            poisoned: false,
            unsynced: Unsynced::default(),
        }
    }

    /// Makes sure that a record of so many bytes fits into the active segment; false if a segment must be made first.
    pub(super) fn fit(&mut self, bytes: usize) -> bool {
        (!self.poisoned && self.at + bytes <= self.active.bytes) || self.roll()
    }

    /// Appends a FINAL; `fit` must have said yes.
    pub(super) fn complete(&mut self, head: Head, payload: &[&[u8]], now_ms: u64) {
        let end = self.append(head, payload);
        if self.delivered_by_all() == Some(self.finals) {
            self.ages.clear();
        }
        self.finals += 1;
        self.grown += 1;
        self.balance.recorded(head);
        self.ages.note(self.finals, now_ms);
        if let Some(info) = self.segments.active_mut() {
            info.last_final = Some(end);
            info.finals += 1;
        }
    }

    /// Appends any record; the offset after it. `fit` must have said yes.
    pub(super) fn append(&mut self, head: Head, payload: &[&[u8]]) -> u64 {
        let encoded = record::encode(self.active.salt, head, payload);
        let written = self.active.mapped.write(self.at, &encoded, payload);
        debug_assert!(written, "the caller made it fit");
        self.at += record::size(payload.iter().map(|part| part.len()).sum());
        let end = self.at as u64;
        if let Some(info) = self.segments.active_mut() {
            info.end = end;
            if !self.keep_rolled {
                info.readable = end;
            }
        }
        if self.keep_rolled {
            self.unsynced.keep(Kept { segment: self.active.id, end, head, payload: payload.concat().into() });
        }
        end
    }

    /// The head of a record of this process.
    pub(super) fn head(&self, kind: Kind, number: u64) -> Head {
        Head { kind, flags: 0, epoch: self.epoch, number }
    }

    /// What an open request comes to if nothing more is recorded of it.
    pub(super) fn begun(&self, number: u64) -> Option<&Begun> {
        self.open.get(&number).map(|open| &open.begun)
    }

    /// The numbers of open INTENTs.
    pub(super) fn open_numbers(&self) -> impl Iterator<Item = u64> {
        self.open.keys().copied()
    }

    /// Where an open INTENT is.
    pub(super) fn open_in(&self, number: u64) -> Option<SegmentId> {
        self.open.get(&number).map(|open| open.segment)
    }

    pub(super) fn room(&self) -> Room {
        let spares = self.spares.len() as u64;
        let segment = self.active.bytes as u64;
        Room {
            segment,
            most: self.most_bytes,
            on_disk: self.segments.bytes() + spares * segment,
            active: if self.poisoned { 0 } else { segment - self.at as u64 },
            spares,
            reserved: self.reserved,
        }
    }

    /// Whether a segment is ready to follow the active one.
    pub(super) fn has_spare(&self) -> bool {
        !self.spares.is_empty()
    }

    /// Adds a segment; they are made in the order of their numbers.
    pub(super) fn add_spare(&mut self, segment: Segment) {
        self.spares.push_back(segment);
    }

    /// The next segment, if its pages should be made present now.
    pub(super) fn next_to_prefault(&mut self) -> Option<&mut Segment> {
        let near = self.at > self.active.bytes / 2;
        self.spares.front_mut().filter(|next| near && !next.prefaulted)
    }

    /// Whether the preparing thread has something to do.
    pub(super) fn has_chores(&mut self) -> bool {
        let due = self.owes_report() && self.room().holds(self.ticket_share());
        due || !self.retired.is_empty() || self.next_to_prefault().is_some() || self.room().is_short()
    }

    fn roll(&mut self) -> bool {
        let Some(next) = self.spares.pop_front() else { return false };
        // A poisoned file is never synced again.
        if self.keep_rolled && !self.poisoned {
            self.rolled.push(self.active_unsynced());
        }
        self.segments.push(Info::fresh(&next));
        let full = std::mem::replace(&mut self.active, next);
        self.retired.push(full);
        self.at = HEADER_BYTES;
        self.poisoned = false;
        self.append(self.head(Kind::Follows, self.numbering.settled()), &[]);
        true
    }

    fn remember(&mut self, number: u64, payload: Vec<u8>) {
        let segment = self.active.id;
        self.open.insert(number, Open { segment, begun: Begun::new(payload) });
        if let Some(info) = self.segments.active_mut() {
            info.open += 1;
        }
    }

    fn forget(&mut self, number: u64) {
        let Some(open) = self.open.remove(&number) else { return };
        if let Some(info) = self.segments.get_mut(open.segment) {
            info.open -= 1;
        }
    }
}
