//! A spool's life on a recording disk, and what must be true of it after a crash at any moment.

use std::collections::BTreeMap;
use std::mem::forget;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::config::{self, SyncMode, WhenFull};
use crate::spool::disk::Disk;
use crate::spool::disk::recorded::{Recorder, root};
use crate::spool::{Owner, Position, Reader, Record, Spool, Ticket, loss, open};

/// Small, so that a short life has many segments; any record still fits.
pub(super) const SEGMENT: usize = 56 * 1024;
/// So that one record nearly fills a sixth of a segment.
pub(super) const BIG: usize = 8000;

const NEVER: usize = usize::MAX;

/// Epoch and number.
pub(super) type Id = (u64, u64);

/// What became of one number, by the count of operations when it did.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) intent: Option<Vec<u8>>,
    pub(super) intended: usize,
    /// Snapshots, and when each began and was there.
    pub(super) progress: Vec<(usize, usize, Vec<u8>)>,
    pub(super) last: Option<Vec<u8>>,
    pub(super) sealing: usize,
    pub(super) sealed: usize,
    /// The loss of power cannot take it any more.
    pub(super) committed: usize,
    pub(super) acknowledged: Option<Position>,
}

/// See the module.
pub(super) struct History {
    pub(super) recorder: Arc<Recorder>,
    pub(super) sync: SyncMode,
    pub(super) entries: BTreeMap<Id, Entry>,
    /// When INTENTs became durable: operations before the first number are after the second.
    pub(super) rounds: Vec<(usize, usize)>,
    pub(super) spool: Spool,
    reader: Option<Reader>,
}

/// Opens a spool without its threads, so that what happens is the same every time.
pub(super) fn open_on(recorder: &Arc<Recorder>, sync: SyncMode) -> Result<Spool, open::OpenError> {
    open_with(recorder, (64, WhenFull::Reject, sync))
}

/// As [`open_on`], with at most so many segments.
pub(super) fn open_with(
    recorder: &Arc<Recorder>,
    (segments, when_full, sync): (u64, WhenFull, SyncMode),
) -> Result<Spool, open::OpenError> {
    let config = config::Spool { dir: root(), max_bytes: segments * recorder.segment_bytes() as u64, when_full, sync };
    let shared = Arc::new(open::open(&config, Disk::Recorded(Arc::clone(recorder)))?);
    Ok(Spool(Arc::new(Owner { shared, threads: Mutex::default() })))
}

/// All events but reports of losses.
pub(super) fn read_all(reader: &mut Reader) -> Vec<Record> {
    let records = std::iter::from_fn(|| reader.next(Duration::ZERO));
    records.filter(|record| !super::is_loss(&record.event)).collect()
}

/// The number that an event of these tests is of; `None` if it is no event of these tests.
pub(super) fn id_of(event: &[u8]) -> Option<Id> {
    let text = std::str::from_utf8(event).ok()?;
    let (epoch, number) = text.split(' ').nth(1)?.split_once('-')?;
    Some((epoch.parse().ok()?, number.parse().ok()?))
}

fn text(kind: &str, (epoch, number): Id, bytes: usize) -> Vec<u8> {
    format!("{:bytes$}", format!("{kind} {epoch}-{number} ")).into_bytes()
}

impl History {
    pub(super) fn begin(sync: SyncMode) -> Self {
        let recorder = Recorder::new(SEGMENT);
        let spool = open_on(&recorder, sync).unwrap();
        let reader = Some(spool.reader("kafka"));
        Self { recorder, sync, entries: BTreeMap::new(), rounds: Vec::new(), spool, reader }
    }

    /// The next number is given out, as this.
    fn next(&mut self, kind: &str, bytes: usize) -> (Id, Vec<u8>) {
        let id = (self.spool.epoch(), self.spool.0.shared.log().numbering.next());
        let entry = Entry {
            intent: None,
            intended: NEVER,
            progress: Vec::new(),
            last: None,
            sealing: NEVER,
            sealed: NEVER,
            committed: NEVER,
            acknowledged: None,
        };
        self.entries.insert(id, entry);
        (id, text(kind, id, bytes))
    }

    pub(super) fn intend(&mut self, bytes: usize) -> (Id, Ticket) {
        let (id, event) = self.next("intent", bytes);
        self.entry(id).intent = Some(event.clone());
        let ticket = self.spool.begin_raw("org", &event).unwrap();
        self.entry(id).intended = self.recorder.now();
        (id, ticket)
    }

    pub(super) fn progress(&mut self, (id, ticket): &mut (Id, Ticket), bytes: usize) {
        let before = self.recorder.now();
        let event = super::estimate(&format!("after{before} {}-{}", id.0, id.1), bytes);
        assert!(ticket.progress("org", &event), "there is room");
        let after = self.recorder.now();
        self.entry(*id).progress.push((before, after, event));
    }

    /// The numbers of the last snapshot change.
    pub(super) fn further(&mut self, (id, ticket): &mut (Id, Ticket)) {
        let before = self.recorder.now();
        let numbers = super::numbers(before as u64);
        assert!(ticket.progress_further(&numbers), "there is room");
        let after = self.recorder.now();
        let progress = &mut self.entry(*id).progress;
        let event = numbers.apply(&progress.last().unwrap().2).unwrap();
        progress.push((before, after, event));
    }

    pub(super) fn seal(&mut self, (id, ticket): (Id, Ticket), bytes: usize) {
        let event = text("final", id, bytes);
        let now = self.recorder.now();
        self.entry(id).last = Some(event.clone());
        self.entry(id).sealing = now;
        drop(ticket.seal("org", &event));
        self.entry(id).sealed = self.recorder.now();
    }

    pub(super) fn request(&mut self, bytes: usize) {
        let ticket = self.intend(bytes);
        self.seal(ticket, bytes);
    }

    /// Without an INTENT, as refusals are recorded.
    pub(super) fn refuse(&mut self, bytes: usize) {
        let (id, event) = self.next("final", bytes);
        self.entry(id).last = Some(event.clone());
        self.entry(id).sealing = self.recorder.now();
        drop(self.spool.settle_raw("org", &event));
        self.entry(id).sealed = self.recorder.now();
    }

    /// Without room for a record; told as lost.
    pub(super) fn lose(&mut self) {
        let shared = &self.spool.0.shared;
        shared.log().drop_next();
        loss::tell_when_due(shared);
    }

    /// A ticket dropped with its INTENT ends as that.
    pub(super) fn interrupt(&mut self, bytes: usize) {
        let (id, ticket) = self.intend(bytes);
        let now = self.recorder.now();
        let entry = self.entry(id);
        entry.last.clone_from(&entry.intent);
        entry.sealing = now;
        drop(ticket);
        self.entry(id).sealed = self.recorder.now();
    }

    /// What `Commit`s wait for.
    pub(super) fn commit(&mut self) {
        let Some(group) = &self.spool.0.shared.group else { return };
        let before = self.recorder.now();
        assert!(group.round(&self.spool.0.shared));
        let after = self.recorder.now();
        self.rounds.push((before, after));
        for entry in self.entries.values_mut().filter(|entry| entry.sealed <= before && entry.committed == NEVER) {
            entry.committed = after;
        }
    }

    /// The sink delivers the next events, and says so.
    pub(super) fn deliver(&mut self, most: usize) {
        let Some(mut reader) = self.reader.take() else { return };
        for _ in 0..most {
            let Some(record) = reader.next(Duration::ZERO) else { break };
            if let Some(entry) = id_of(&record.event).and_then(|id| self.entries.get_mut(&id)) {
                entry.acknowledged = Some(record.position);
            }
            reader.acknowledge(record.position);
        }
        reader.flush();
        self.reader = Some(reader);
    }

    /// The process dies, and starts again.
    pub(super) fn kill(&mut self, open: Vec<(Id, Ticket)>) {
        forget(open);
        forget(self.reader.take());
        self.recorder.break_locks();
        let spool = open_on(&self.recorder, self.sync).unwrap();
        forget(std::mem::replace(&mut self.spool, spool));
        self.reader = Some(self.spool.reader("kafka"));
    }

    /// The process ends in order, and starts again.
    pub(super) fn restart(&mut self) {
        self.spool.close();
        self.kill(Vec::new());
    }

    /// Makes a segment ahead of need, as the preparing thread does.
    pub(super) fn prepare(&self) {
        assert!(self.spool.0.shared.make_segment(|_| true));
    }

    fn entry(&mut self, id: Id) -> &mut Entry {
        self.entries.get_mut(&id).unwrap()
    }
}
