//! The loop of one sink: read in order, offer, settle, bury what is refused, acknowledge.
//!
//! It promises that nothing is acknowledged before it is delivered or buried, that the mark moves over a contiguous prefix
//! only, and that it goes on whatever the sink does: a sink that fails or panics is made anew after a pause, and everything
//! after the mark is sent again.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::backoff::Backoff;
use super::dead_letter::DeadLetters;
use super::feed::Feed;
use super::stats::{Counters, Trouble};
use super::stop::Stop;
use super::window::Window;
use super::{Fate, Offer, Restart, Settled, Sink};

/// How long an idle worker waits for a record before it looks after its sink and its orders.
const IDLE: Duration = Duration::from_millis(200);
/// How long a busy worker waits for records to settle. Meanwhile the next batch grows: each costs a wake-up and some calls
/// of the system, on a core that requests are served on.
const BUSY: Duration = Duration::from_millis(50);
/// The acknowledged mark becomes durable at most this often.
const FLUSH: Duration = Duration::from_secs(1);

/// Makes a sink, now and whenever it must be made anew. On the worker's thread, so a sink need not be `Send`.
pub(super) type MakeSink = Box<dyn FnMut() -> Result<Box<dyn Sink>, Restart> + Send>;

/// One sink's thread.
pub(super) struct Worker<F: Feed> {
    pub(super) name: Arc<str>,
    pub(super) feed: F,
    pub(super) make: MakeSink,
    pub(super) dead: DeadLetters,
    pub(super) counters: Arc<Counters>,
    pub(super) stop: Arc<Stop>,
}

impl<F: Feed> fmt::Debug for Worker<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One incarnation of a sink, and what it has out.
struct Session<'a, F: Feed> {
    worker: &'a mut Worker<F>,
    sink: Box<dyn Sink>,
    window: Window<F::Position>,
    settled: Vec<Settled>,
    retry: Backoff,
    burial: Backoff,
    flushed: Instant,
    dirty: Dirty,
}

/// Whether the acknowledged mark moved since it was last made durable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dirty {
    No,
    Yes,
}

/// What the feed had.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filled {
    /// Nothing more for now.
    Dry,
    /// More, or it was not asked.
    Perhaps,
}

impl<F: Feed> Worker<F> {
    /// Runs until asked to stop and either everything is delivered (true) or the time is over.
    pub(super) fn run(mut self) -> bool {
        let mut pause = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        let drained = loop {
            let delivered = self.counters.delivered.load(Relaxed);
            let ended = catch_unwind(AssertUnwindSafe(|| self.session()));
            let trouble = match ended {
                Ok(Ok(drained)) => break drained,
                Ok(Err(Restart(trouble))) => trouble,
                Err(_) => Trouble::Panic,
            };
            if self.counters.delivered.load(Relaxed) > delivered {
                pause.reset();
            }
            self.restarted(trouble);
            pause.fail();
            self.stop.pause(pause.remaining());
            if self.stop.expired() {
                break false;
            }
        };
        self.feed.flush();
        drained
    }

    fn restarted(&mut self, trouble: Trouble) {
        self.counters.restarts.fetch_add(1, Relaxed);
        if self.counters.trouble(trouble) {
            error!(
                sink = %self.name,
                reason = trouble.as_str(),
                "sink failed and is made anew; events wait in the spool"
            );
        }
        self.feed.rewind();
        self.counters.in_flight.store(0, Relaxed);
    }

    fn session(&mut self) -> Result<bool, Restart> {
        let sink = (self.make)()?;
        let mut session = Session {
            sink,
            window: Window::new(),
            settled: Vec::new(),
            retry: Backoff::new(Duration::from_millis(100), Duration::from_secs(5)),
            burial: Backoff::new(Duration::from_millis(100), Duration::from_secs(5)),
            flushed: Instant::now(),
            dirty: Dirty::No,
            worker: self,
        };
        session.run()
    }
}

impl<F: Feed> Session<'_, F> {
    /// True when everything that the feed has is acknowledged, false when the time is over.
    fn run(&mut self) -> Result<bool, Restart> {
        loop {
            if self.worker.stop.expired() {
                return Ok(false);
            }
            let stopping = self.worker.stop.requested();
            let filled = self.fill();
            let settled = self.settle();
            self.bury();
            self.acknowledge();
            // Only now: what was delivered before the sink failed need not be sent again.
            settled?;
            self.flush_when_due();
            if stopping && filled == Filled::Dry && self.window.is_empty() {
                return Ok(true);
            }
        }
    }

    /// Offers what waits, in order, and reads on while there is room.
    fn fill(&mut self) -> Filled {
        if !self.retry.remaining().is_zero() {
            return Filled::Perhaps;
        }
        loop {
            while let Some(offered) = self.window.first_waiting() {
                let ticket = offered.ticket;
                match self.sink.offer(offered) {
                    Offer::Taken => self.window.taken(ticket),
                    Offer::Full => return Filled::Perhaps,
                }
            }
            if !self.window.has_room() {
                return Filled::Perhaps;
            }
            let idle = self.window.is_empty() && !self.worker.stop.requested();
            match self.worker.feed.next(if idle { IDLE } else { Duration::ZERO }) {
                Some(record) => self.window.push(record),
                None => return Filled::Dry,
            }
        }
    }

    fn settle(&mut self) -> Result<(), Restart> {
        let wait = if self.window.is_empty() { Duration::ZERO } else { BUSY };
        let result = self.sink.settle(wait, &mut self.settled);
        for settled in self.settled.drain(..) {
            if !self.window.settle(settled) {
                continue;
            }
            match settled.fate {
                Fate::Delivered => {
                    self.retry.reset();
                    if self.worker.counters.works() {
                        info!(sink = %self.worker.name, "sink delivers again");
                    }
                }
                Fate::Retry(trouble) => {
                    self.retry.fail();
                    self.worker.counters.retries.fetch_add(1, Relaxed);
                    if self.worker.counters.trouble(trouble) {
                        let sink = &self.worker.name;
                        warn!(%sink, reason = trouble.as_str(), "delivery failed and is tried again");
                    }
                }
                Fate::Rejected(_) | Fate::Skipped => {}
            }
        }
        result
    }

    fn bury(&mut self) {
        let (Some(first), true) = (self.window.refused().next(), self.burial.remaining().is_zero()) else { return };
        let (reason, code) = (first.rejection.trouble, first.rejection.code);
        let count = self.window.refused().count();
        let name = Arc::clone(&self.worker.name);
        match self.worker.dead.bury(self.window.refused()) {
            Ok(()) => {
                self.burial.reset();
                self.window.buried();
                self.worker.counters.trouble(reason);
                error!(
                    sink = %name,
                    count,
                    reason = reason.as_str(),
                    code,
                    "events refused for good are in the dead-letter file"
                );
            }
            Err(error) => {
                self.burial.fail();
                self.worker.counters.dead_letter_failures.fetch_add(1, Relaxed);
                self.worker.counters.trouble(Trouble::of_io(&error));
                error!(sink = %name, count, %error, "dead-letter file cannot be written; the events stay in the spool");
            }
        }
    }

    fn acknowledge(&mut self) {
        if let Some(prefix) = self.window.take_prefix() {
            self.worker.counters.delivered.fetch_add(prefix.delivered, Relaxed);
            self.worker.counters.rejected.fetch_add(prefix.rejected, Relaxed);
            self.worker.counters.skipped.fetch_add(prefix.skipped, Relaxed);
            self.worker.feed.acknowledge(prefix.last);
            self.dirty = Dirty::Yes;
        }
        self.worker.counters.in_flight.store(self.window.len() as u64, Relaxed);
    }

    fn flush_when_due(&mut self) {
        if self.dirty == Dirty::Yes && self.flushed.elapsed() >= FLUSH {
            self.worker.feed.flush();
            self.flushed = Instant::now();
            self.dirty = Dirty::No;
        }
    }
}
