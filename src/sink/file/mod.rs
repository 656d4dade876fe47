//! Appends events as lines of JSON to a file, or to standard output.
//!
//! A line counts as delivered once it is written and, in a regular file, synced to disk: all lines since the last time
//! together, once per second or as soon as they are half of what may be out, so that a busy sink never waits for the
//! second to end. Lines go out in batches with one write each. A full disk or a missing directory is waited out: the
//! lines stay here and in the spool. A file that was rotated away is left, and its path opened anew. What stands at the
//! file's end already, for an earlier process was killed after it wrote it, is synced and not written again. It does not
//! rotate files itself.

mod replay;
mod target;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::backoff::Backoff;
use super::stats::Counters;
use super::{Fate, Offer, Offered, Rejection, Restart, Settled, Sink, Ticket, Trouble, WINDOW_BYTES, WINDOW_RECORDS};
use replay::Replay;
use target::{Opened, Target};

/// No more lines are taken while this many bytes wait to be written.
const BATCH_BYTES: usize = 1 << 20;
/// So many written lines are synced at once.
const UNSYNCED_LINES: usize = WINDOW_RECORDS / 2;
/// So many written bytes are synced at once. The window fills up later, for a line is longer than its key.
const UNSYNCED_BYTES: usize = WINDOW_BYTES / 2;
/// How often fewer lines are synced.
const SYNC: Duration = Duration::from_secs(1);

/// Writes to one file.
#[derive(Debug)]
pub(super) struct FileSink {
    target: Target,
    counters: Arc<Counters>,
    buffer: Vec<u8>,
    /// How much of the buffer is written.
    written: usize,
    /// The lines in the buffer that are not wholly written: where each ends.
    lines: VecDeque<(Ticket, usize)>,
    /// Where the first of these begins.
    line_start: usize,
    unsynced: Vec<Ticket>,
    unsynced_bytes: usize,
    /// When lines were last synced; `None` before the first time.
    synced: Option<Instant>,
    refused: Vec<Settled>,
    pause: Backoff,
    /// Looked at when the first event comes.
    replay: Option<Replay>,
}

impl FileSink {
    /// For this file; `-` is standard output. Opens nothing yet.
    pub(super) fn new(path: &Path, counters: Arc<Counters>) -> Self {
        Self {
            target: Target::new(path),
            counters,
            buffer: Vec::new(),
            written: 0,
            lines: VecDeque::new(),
            line_start: 0,
            unsynced: Vec::new(),
            unsynced_bytes: 0,
            synced: None,
            refused: Vec::new(),
            pause: Backoff::new(Duration::from_millis(100), Duration::from_secs(5)),
            replay: None,
        }
    }

    fn work(&mut self, settled: &mut Vec<Settled>) -> io::Result<()> {
        if self.target.is_rotated() {
            // What was written to the old file must be safe before it is left.
            self.sync(settled);
            self.target.close();
            self.replay = Some(Replay::of(None));
        }
        if !self.lines.is_empty() {
            self.write()?;
        }
        if self.is_sync_due() {
            self.sync(settled);
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        if self.target.open()? == Opened::Now {
            // The half of a line that the last file may hold is worth nothing in this one.
            self.written = self.line_start;
        }
        let result = self.write_buffer();
        self.note_written();
        result
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        while let Some(rest) = self.buffer.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.target.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn note_written(&mut self) {
        while let Some(&(ticket, end)) = self.lines.front().filter(|line| line.1 <= self.written) {
            self.unsynced.push(ticket);
            self.unsynced_bytes += end - self.line_start;
            self.line_start = end;
            self.lines.pop_front();
        }
        if self.lines.is_empty() {
            self.buffer.clear();
            (self.written, self.line_start) = (0, 0);
        }
    }

    fn is_sync_due(&self) -> bool {
        !self.unsynced.is_empty()
            && (!self.target.needs_sync()
                || self.is_much_unsynced()
                || self.synced.is_none_or(|at| at.elapsed() >= SYNC))
    }

    fn is_much_unsynced(&self) -> bool {
        self.unsynced.len() >= UNSYNCED_LINES || self.unsynced_bytes >= UNSYNCED_BYTES
    }

    /// Settles what was written. After a failed sync nobody knows what is on disk, so it is all written again, through a new
    /// handle: a second sync of the old one may falsely succeed.
    fn sync(&mut self, settled: &mut Vec<Settled>) {
        let fate = match self.target.sync() {
            Ok(()) => Fate::Delivered,
            Err(error) => {
                self.failed(&error);
                self.target.close();
                self.replay = Some(Replay::of(None));
                Fate::Retry(Trouble::of_io(&error))
            }
        };
        settled.extend(self.unsynced.drain(..).map(|ticket| Settled { ticket, fate }));
        self.unsynced_bytes = 0;
        self.synced = Some(Instant::now());
    }

    fn failed(&mut self, error: &io::Error) {
        self.pause.fail();
        self.counters.connected(false);
        if self.counters.trouble(Trouble::of_io(error)) {
            warn!(path = %self.target, %error, "usage events cannot be written and wait in the spool");
        }
    }

    fn is_batch_full(&self) -> bool {
        self.buffer.len() >= BATCH_BYTES
    }

    fn until_sync(&self) -> Duration {
        self.synced.map_or(Duration::ZERO, |at| SYNC.saturating_sub(at.elapsed()))
    }
}

impl Sink for FileSink {
    fn offer(&mut self, offered: Offered<'_>) -> Offer {
        if self.is_batch_full() {
            return Offer::Full;
        }
        if memchr::memchr(b'\n', offered.event).is_some() {
            let fate = Fate::Rejected(Rejection { trouble: Trouble::Invalid, code: None });
            self.refused.push(Settled { ticket: offered.ticket, fate });
            return Offer::Taken;
        }
        let replay = self.replay.get_or_insert_with(|| Replay::of(self.target.path()));
        if !replay.holds(offered.event) {
            self.buffer.extend_from_slice(offered.event);
            self.buffer.push(b'\n');
        }
        self.lines.push_back((offered.ticket, self.buffer.len()));
        Offer::Taken
    }

    fn settle(&mut self, wait: Duration, settled: &mut Vec<Settled>) -> Result<(), Restart> {
        settled.append(&mut self.refused);
        let pause = self.pause.remaining();
        if !pause.is_zero() {
            std::thread::sleep(pause.min(wait));
            return Ok(());
        }
        let more = self.is_batch_full();
        match self.work(settled) {
            Ok(()) if self.pause.remaining().is_zero() => self.pause.reset(),
            Ok(()) => {}
            Err(error) => {
                self.counters.retries.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                self.failed(&error);
            }
        }
        // After a full batch more is likely to wait; otherwise some time lets the next batch grow.
        if settled.is_empty() && !more {
            std::thread::sleep(wait.min(self.until_sync()));
        }
        Ok(())
    }
}
