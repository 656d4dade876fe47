//! Owns the sink threads: starts them, counts for them, and joins them in the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::dead_letter::DeadLetters;
use super::feed::Feed;
use super::plan::{Plan, SinkError};
use super::stats::{Counters, Stats};
use super::stop::Stop;
use super::worker::{MakeSink, Worker};
use crate::config;

/// A thread that hangs in a system call gets this long after the deadline before it is left behind.
const GRACE: Duration = Duration::from_secs(2);

/// The running sinks. Dropping them stops them at once; what is not delivered stays in the spool.
#[derive(Debug)]
pub struct Sinks {
    stop: Arc<Stop>,
    threads: Vec<SinkThread>,
    dead: PathBuf,
}

#[derive(Debug)]
struct SinkThread {
    name: Arc<str>,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<bool>>,
}

/// The counters of all sinks.
#[derive(Clone, Debug)]
pub struct Counts(Vec<(Arc<str>, Arc<Counters>)>);

impl Counts {
    /// The counts now.
    pub fn stats(&self) -> Vec<Stats> {
        self.0.iter().map(|(name, counters)| counters.snapshot(name)).collect()
    }
}

/// How a sink's thread ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything in its feed is delivered and acknowledged.
    Drained,
    /// The deadline passed first; the rest is delivered after the next start.
    Deadline,
    /// It hangs in a system call, such as a write to a full pipe, and was left behind.
    Stuck,
}

impl Sinks {
    /// Starts each planned sink on its feed. Waits for no destination. Dead letters go to `dead/` in the spool's directory.
    pub fn start<F: Feed + 'static>(plans: Vec<(Plan, F)>, spool: &config::Spool) -> Result<Self, SinkError> {
        let mut sinks = Self { stop: Arc::default(), threads: Vec::new(), dead: spool.dir.join("dead") };
        for (plan, feed) in plans {
            let name = plan.name();
            sinks.spawn(name, feed, |counters| plan.maker(counters))?;
        }
        Ok(sinks)
    }

    pub(super) fn spawn<F: Feed + 'static>(
        &mut self,
        name: Arc<str>,
        feed: F,
        maker: impl FnOnce(Arc<Counters>) -> MakeSink,
    ) -> Result<(), SinkError> {
        let counters: Arc<Counters> = Arc::default();
        let worker = Worker {
            name: Arc::clone(&name),
            feed,
            make: maker(Arc::clone(&counters)),
            dead: DeadLetters::new(&self.dead, &name),
            counters: Arc::clone(&counters),
            stop: Arc::clone(&self.stop),
        };
        let thread = Builder::new()
            .name(format!("sink-{name}"))
            .spawn(move || worker.run())
            .map_err(|source| SinkError::Thread { sink: Arc::clone(&name), source })?;
        self.threads.push(SinkThread { name, counters, thread: Some(thread) });
        Ok(())
    }

    /// No threads yet, for tests that bring their own sinks.
    #[cfg(test)]
    pub(super) fn empty(dead: PathBuf) -> Self {
        Self { stop: Arc::default(), threads: Vec::new(), dead }
    }

    /// Each sink's counters.
    pub fn stats(&self) -> Vec<Stats> {
        self.counts().stats()
    }

    /// Reads the counters for as long as anyone likes, whatever becomes of the sinks.
    pub fn counts(&self) -> Counts {
        Counts(self.threads.iter().map(|sink| (Arc::clone(&sink.name), Arc::clone(&sink.counters))).collect())
    }

    /// Delivers what is left until the feeds are empty or the time is over, makes the marks durable and joins the threads.
    /// Blocks for up to `deadline` and a little more: call it where blocking is allowed.
    pub fn stop(mut self, deadline: Duration) -> Vec<(Arc<str>, Ending)> {
        self.finish(deadline)
    }

    fn finish(&mut self, within: Duration) -> Vec<(Arc<str>, Ending)> {
        self.stop.request(within);
        let last = Instant::now() + within + GRACE;
        let endings: Vec<_> = self.threads.iter_mut().map(|sink| (Arc::clone(&sink.name), sink.join(last))).collect();
        self.threads.clear();
        endings
    }
}

impl Drop for Sinks {
    fn drop(&mut self) {
        self.finish(Duration::ZERO);
    }
}

impl SinkThread {
    fn join(&mut self, last: Instant) -> Ending {
        let Some(thread) = self.thread.take() else { return Ending::Deadline };
        // A thread cannot be joined with a time limit, so look now and then; this runs once per process.
        while !thread.is_finished() && Instant::now() < last {
            std::thread::sleep(Duration::from_millis(5));
        }
        if !thread.is_finished() {
            warn!(sink = %self.name, "sink hangs and is left behind; its events stay in the spool");
            return Ending::Stuck;
        }
        let left = self.counters.snapshot(&self.name).in_flight;
        if matches!(thread.join(), Ok(true)) {
            info!(sink = %self.name, "sink has delivered everything");
            return Ending::Drained;
        }
        warn!(sink = %self.name, left, "sink stopped before everything was delivered; the rest stays in the spool");
        Ending::Deadline
    }
}
