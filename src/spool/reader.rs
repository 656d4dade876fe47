//! A sink's view of the log: the events after its mark, in order, until it acknowledges them.
//!
//! For the sink's own thread: it blocks, reads files and writes the mark. It costs the requests nothing: an event wakes
//! a reader only if that one has found nothing for a moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tracing::error;

use super::acknowledged::Mark;
use super::cursor::{Cursor, Record};
use super::delete::delete_delivered;
use super::position::Position;
use super::record::{Found, REWRITTEN};
use super::scan::Scan;
use super::segment::HEADER_BYTES;
use super::shared::Shared;
use super::stats::Counters;
use super::writer::Sink;

/// How often a mark is written within a segment.
const MARK_EVERY: Duration = Duration::from_millis(200);
/// Under load a reader sleeps this long instead of being woken by every event.
const DOZE: Duration = Duration::from_millis(10);

/// See the module.
pub struct Reader {
    shared: Arc<Shared>,
    sink: String,
    cursor: Cursor,
    mark: Mark,
    /// What the sink has acknowledged.
    acknowledged: Position,
    /// The same for others to see.
    ordinal: Arc<AtomicU64>,
    /// What the mark on disk says, and since when.
    written: Position,
    written_at: Instant,
    /// The last read failed, and that was said.
    failing: bool,
    /// The last write of the mark failed, and that was said.
    mark_failing: bool,
}

impl Reader {
    /// Reads the sink's mark and registers the sink; from now on nothing is deleted that it has not acknowledged. Deletes
    /// nothing itself: other sinks may yet be registered that lack what this one has.
    pub(super) fn register(shared: Arc<Shared>, sink: &str) -> Self {
        let (mark, mut position) = Mark::load(&shared.directory.disk, shared.directory.mark(sink), shared.id);
        position.ordinal = ordinal_of(&shared, position);
        let ordinal = Arc::new(AtomicU64::new(position.ordinal));
        let acknowledged = Arc::clone(&ordinal);
        let entry = Sink { name: sink.to_owned(), mark: position, acknowledged, start: position.ordinal };
        let mut log = shared.log();
        log.sinks.retain(|known| known.name != sink);
        log.sinks.push(entry);
        drop(log);
        Self {
            cursor: Cursor::after(position),
            shared,
            sink: sink.to_owned(),
            mark,
            acknowledged: position,
            ordinal,
            written: position,
            written_at: Instant::now(),
            failing: false,
            mark_failing: false,
        }
    }

    /// The next event, in log order; waits for at most `wait` if there is none yet.
    pub fn next(&mut self, wait: Duration) -> Option<Record> {
        if let Some(record) = self.read() {
            return Some(record);
        }
        self.flush_when_due();
        let until = Instant::now() + wait;
        if !wait.is_zero() {
            std::thread::sleep(wait.min(DOZE));
        }
        loop {
            let seen = self.shared.log().grown;
            if let Some(record) = self.read() {
                return Some(record);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.flush_when_due();
            self.wait_for_more(seen, left);
        }
    }

    /// Everything up to and including this event is delivered. Made durable within 200 ms, by this or another call.
    pub fn acknowledge(&mut self, position: Position) {
        if position <= self.acknowledged {
            return;
        }
        self.acknowledged = position;
        self.ordinal.store(position.ordinal, Ordering::Relaxed);
        self.flush_when_due();
    }

    /// Goes back to the first event that is not acknowledged.
    pub fn rewind(&mut self) {
        self.cursor = Cursor::after(self.acknowledged);
    }

    /// Makes what was acknowledged durable now, and deletes what nobody needs any more.
    pub fn flush(&mut self) {
        if self.written == self.acknowledged {
            return;
        }
        self.written_at = Instant::now();
        if let Err(error) = self.mark.write(self.acknowledged) {
            Counters::add(&self.shared.counters.mark_failures);
            if !self.mark_failing {
                error!(%error, sink = %self.sink, "a sink's mark cannot be written; nothing is deleted until it is");
            }
            self.mark_failing = true;
            return;
        }
        self.mark_failing = false;
        self.written = self.acknowledged;
        let mut log = self.shared.log();
        if let Some(sink) = log.sinks.iter_mut().find(|sink| sink.name == self.sink) {
            sink.mark = self.written;
        }
        if let Some(ordinal) = log.delivered_by_all() {
            log.ages.trim(ordinal);
        }
        drop(log);
        delete_delivered(&self.shared);
    }

    fn flush_when_due(&mut self) {
        let segment_done = self.acknowledged.segment != self.written.segment;
        if (segment_done && !self.mark_failing) || self.written_at.elapsed() >= MARK_EVERY {
            self.flush();
        }
    }

    /// Reads the next event if there is one. A failed read is tried again at the next call: skipping would lose events.
    fn read(&mut self) -> Option<Record> {
        match self.cursor.next(&self.shared) {
            Ok(record) => {
                self.failing = false;
                record
            }
            Err(error) => {
                Counters::add(&self.shared.counters.read_failures);
                if !self.failing {
                    error!(%error, sink = %self.sink, "the spool cannot be read; delivery waits");
                }
                self.failing = true;
                None
            }
        }
    }

    /// Waits until the log has grown since `seen`, for at most `left`.
    fn wait_for_more(&self, seen: u64, left: Duration) {
        // What is acknowledged must be durable in time even if nothing more happens.
        let left = if self.written == self.acknowledged { left } else { left.min(MARK_EVERY) };
        if self.failing {
            return std::thread::sleep(left.min(MARK_EVERY));
        }
        let mut log = self.shared.log();
        if log.grown == seen {
            log.signals.reader_waits = true;
            drop(self.shared.grown.wait_timeout(log, left).unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.flush();
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("sink", &self.sink)
            .field("acknowledged", &self.acknowledged)
            .finish_non_exhaustive()
    }
}

/// How many of the log's events are at or before a position.
fn ordinal_of(shared: &Shared, position: Position) -> u64 {
    let log = shared.log();
    let upto = log.finals - log.segments.finals_after(position.segment).min(log.finals);
    let info = log.segments.get(position.segment).cloned();
    drop(log);
    let Some(info) = info else { return upto };
    let read = shared.directory.open_segment(info.id).and_then(|file| file.read_all(info.end as usize));
    let Ok(bytes) = read else { return upto };
    let from = (position.end as usize).max(HEADER_BYTES);
    let is_event = |found: &Found<'_>| {
        found.event().is_some() && (found.head.flags & REWRITTEN == 0 || info.id.epoch != shared.epoch)
    };
    let later = Scan::new(&bytes, info.salt, from).filter(|(found, _)| is_event(found)).count();
    upto - (later as u64).min(upto)
}
