//! How the process ends: a phase that goes from running through draining to ended, and a count of what still lives.
//!
//! `Shutdown` is cheap to clone and tells everyone the phase; the one `Trigger` moves it and waits until every `Guard`
//! is gone, for as long as its caller allows. A phase never goes back. Nothing is aborted here: whoever owns a task
//! awaits `ended` and aborts it. Counting is done by the receivers of a `watch` channel, as in hyper-util, because it
//! needs neither a lock nor a list of what is counted.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How far the end has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    #[default]
    Running,
    Draining,
    Ended,
}

/// Tells the phase and makes guards.
#[derive(Clone, Debug)]
pub struct Shutdown {
    phase: watch::Receiver<Phase>,
    live: Arc<watch::Sender<()>>,
}

/// Moves the phase. Dropping it ends everything, so that a lost owner cannot leave tasks waiting for ever.
#[derive(Debug)]
pub struct Trigger {
    phase: watch::Sender<Phase>,
    live: Arc<watch::Sender<()>>,
}

/// Held by a connection, a request or whatever else must be over before the process may end.
#[derive(Debug)]
pub struct Guard {
    _live: watch::Receiver<()>,
}

impl Shutdown {
    /// A running process's phase, and what moves it.
    pub fn new() -> (Trigger, Self) {
        let (phase, seen) = watch::channel(Phase::Running);
        let live = Arc::new(watch::Sender::new(()));
        let shutdown = Self { phase: seen, live: Arc::clone(&live) };
        (Trigger { phase, live }, shutdown)
    }

    /// Resolves once draining has begun: take nothing new on, finish what runs.
    pub async fn draining(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Resolves once the time for draining is over: abort what still runs.
    pub async fn ended(&self) {
        self.reached(Phase::Ended).await;
    }

    /// Whether draining has begun, or is over.
    pub fn is_draining(&self) -> bool {
        // Looked at for every chunk of every stream: nobody has changed the phase, nearly always, and that takes no lock.
        self.phase.has_changed().unwrap_or(true) && *self.phase.borrow() >= Phase::Draining
    }

    /// Counts as alive until dropped.
    pub fn guard(&self) -> Guard {
        Guard { _live: self.live.subscribe() }
    }

    async fn reached(&self, phase: Phase) {
        // An error means that the trigger is gone, and it ends everything when it goes.
        let _ = self.phase.clone().wait_for(|now| *now >= phase).await;
    }
}

impl Trigger {
    /// Begins draining.
    pub fn drain(&self) {
        self.advance(Phase::Draining);
    }

    /// Ends draining: what still runs is to be aborted.
    pub fn end(&self) {
        self.advance(Phase::Ended);
    }

    /// How many guards are alive.
    pub fn held(&self) -> usize {
        self.live.receiver_count()
    }

    /// Waits until every guard is gone, at most for `patience`. Says how many are left: 0 when all are gone.
    pub async fn gone(&self, patience: Duration) -> usize {
        // A timeout is an answer here, not an error: the count below gives it.
        let _ = tokio::time::timeout(patience, self.live.closed()).await;
        self.held()
    }

    /// Drains, waits at most for `patience`, then ends. Says how many guards were cut off by the end.
    pub async fn drain_then_end(&self, patience: Duration) -> usize {
        self.drain();
        let left = self.gone(patience).await;
        self.end();
        left
    }

    fn advance(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let moves = *now < phase;
            *now = phase.max(*now);
            moves
        });
    }
}

impl Drop for Trigger {
    fn drop(&mut self) {
        self.end();
    }
}

/// SIGTERM and SIGINT, heard from the moment this is made: as process 1 of a container nothing else hears them.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen. Fails when the signals cannot be listened to.
    pub fn listen() -> io::Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt })
    }

    /// Resolves on the next of them.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn a_phase_reaches_every_clone_and_never_goes_back() {
        let (trigger, shutdown) = Shutdown::new();
        let clone = shutdown.clone();
        assert!(!shutdown.is_draining());
        trigger.drain();
        clone.draining().await;
        assert!(shutdown.is_draining());
        trigger.end();
        trigger.drain();
        shutdown.ended().await;
    }

    #[tokio::test]
    async fn a_lost_trigger_ends_everything() {
        let (trigger, shutdown) = Shutdown::new();
        drop(trigger);
        shutdown.ended().await;
        assert!(shutdown.is_draining());
    }

    #[tokio::test(start_paused = true)]
    async fn draining_ends_as_soon_as_the_last_guard_is_gone() {
        let (trigger, shutdown) = Shutdown::new();
        let guards = [shutdown.guard(), shutdown.guard()];
        assert_eq!(trigger.held(), 2);
        let begun = Instant::now();
        let worker = async {
            shutdown.draining().await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            drop(guards);
        };
        let (left, ()) = tokio::join!(trigger.drain_then_end(Duration::from_mins(1)), worker);
        assert_eq!(left, 0);
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_is_bounded_and_the_rest_is_counted() {
        let (trigger, shutdown) = Shutdown::new();
        let _guard = shutdown.guard();
        let begun = Instant::now();
        assert_eq!(trigger.drain_then_end(Duration::from_secs(5)).await, 1);
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
        shutdown.ended().await;
    }
}
