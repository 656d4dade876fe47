//! What the spool's handles and threads share: the log behind its mutex, and the way to it.
//!
//! Locks are taken in this order: `deleting`; `known`; `making` or the group's `syncing`; then `log`; then the group's
//! state.
//! No I/O happens under `log`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tracing::{error, info};

use super::directory::Directory;
use super::disk::Lock;
use super::segment::{Segment, SegmentId, SpoolId};
use super::stats::Counters;
use super::sync::Group;
use super::writer::Log;
use crate::config::WhenFull;
use crate::event::{Previous, Sequence};

/// See the module.
pub(super) struct Shared {
    pub(super) directory: Directory,
    pub(super) id: SpoolId,
    pub(super) epoch: u64,
    /// The last epoch before this one that gave out numbers.
    pub(super) previous: Option<Previous>,
    pub(super) when_full: WhenFull,
    pub(super) counters: Counters,
    /// Where damage in the log begins that was looked into.
    pub(super) known: Mutex<BTreeSet<(SegmentId, u64)>>,
    /// Present when events are to survive the loss of power.
    pub(super) group: Option<Group>,
    /// Wakes readers.
    pub(super) grown: Condvar,
    /// Wakes the preparing thread.
    pub(super) chores: Condvar,
    /// Deleting happens in one thread at a time, oldest segment first.
    pub(super) deleting: Mutex<()>,
    /// No more tickets are given out.
    pub(super) closed: AtomicBool,
    log: Mutex<Log>,
    /// The number of the segment made last: they become ready in the order of their numbers.
    making: Mutex<u64>,
    /// The last segment could not be made.
    starved: AtomicBool,
    /// Held for as long as anybody can still write.
    _lock: Lock,
}

/// What a spool is made of.
pub(super) struct Parts {
    pub(super) directory: Directory,
    pub(super) lock: Lock,
    pub(super) id: SpoolId,
    pub(super) epoch: u64,
    pub(super) previous: Option<Previous>,
    pub(super) when_full: WhenFull,
    pub(super) group: Option<Group>,
    pub(super) log: Log,
}

impl Shared {
    /// The first segment has number 1 and is the log's.
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            directory: parts.directory,
            id: parts.id,
            epoch: parts.epoch,
            previous: parts.previous,
            when_full: parts.when_full,
            counters: Counters::default(),
            known: Mutex::default(),
            group: parts.group,
            grown: Condvar::new(),
            chores: Condvar::new(),
            deleting: Mutex::new(()),
            closed: AtomicBool::new(false),
            log: Mutex::new(parts.log),
            making: Mutex::new(1),
            starved: AtomicBool::new(false),
            _lock: parts.lock,
        }
    }

    /// The place of an event with this number.
    pub(super) fn sequence(&self, number: u64) -> Sequence {
        let previous = self.previous.filter(|_| number == 1);
        Sequence { spool: self.id.as_str().into(), epoch: self.epoch, number, previous }
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    /// Gives the log back and wakes whoever waits for what happened to it.
    pub(super) fn give_back(&self, mut log: MutexGuard<'_, Log>, grown: Grown) {
        // A wake is a system call: one is made only if somebody said that he waits, and only once.
        let reader = matches!(grown, Grown::ByEvent) && std::mem::take(&mut log.signals.reader_waits);
        let preparer = log.signals.preparer_waits && log.has_chores();
        if preparer {
            log.signals.preparer_waits = false;
        }
        drop(log);
        if reader {
            self.grown.notify_all();
        }
        if preparer {
            self.chores.notify_one();
        }
    }

    /// Runs `act` on the log when a record of `bytes` is sure to fit; `None` if no segment could be made for it.
    pub(super) fn write<T>(&self, bytes: usize, grown: Grown, act: impl FnOnce(&mut Log) -> T) -> Option<T> {
        let mut log = self.log();
        while !log.fit(bytes) {
            drop(log);
            Counters::add(&self.counters.made_inline);
            // Room was reserved for what is written here, so it may take more than the limit rather than be lost.
            if !self.make_segment(|log| !log.has_spare()) {
                return None;
            }
            log = self.log();
        }
        let done = act(&mut log);
        self.give_back(log, grown);
        Some(done)
    }

    /// Makes one segment if it is still needed when it is our turn; false if it cannot be made.
    pub(super) fn make_segment(&self, needed: impl FnOnce(&Log) -> bool) -> bool {
        let mut last = lock(&self.making);
        if !needed(&self.log()) {
            return true;
        }
        // A number is used once, whatever a failure left behind.
        *last += 1;
        match self.make(SegmentId { epoch: self.epoch, number: *last }) {
            Ok(segment) => {
                self.log().add_spare(segment);
                if self.starved.swap(false, Ordering::Relaxed) {
                    info!("the spool can make segments again");
                }
                true
            }
            Err(error) => {
                if !self.starved.swap(true, Ordering::Relaxed) {
                    error!(%error, "the spool cannot make a segment: is the disk full?");
                }
                false
            }
        }
    }

    /// Whether the last segment could not be made.
    pub(super) fn is_starved(&self) -> bool {
        self.starved.load(Ordering::Relaxed)
    }

    fn make(&self, id: SegmentId) -> std::io::Result<Segment> {
        let segment = Segment::create(&self.directory, self.id, id, self.directory.disk.segment_bytes())?;
        if self.group.is_some() {
            let synced = segment.file.sync().and_then(|()| self.directory.sync_epoch(id.epoch));
            if let Err(error) = synced {
                let _ = self.directory.disk.unlink(&self.directory.segment(id));
                return Err(error);
            }
        }
        Ok(segment)
    }
}

/// Whether the log got something that readers wait for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Grown {
    /// An event.
    ByEvent,
    /// Something else, or nothing.
    Otherwise,
}

/// Takes a mutex. One that a panicking thread held is as good as before: nothing here is left half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
