//! Group commit: one `fdatasync` for all events that were recorded while the one before it ran.
//!
//! Only for `sync: disk`. A thread of its own syncs as long as somebody waits. A file whose sync failed is never synced
//! again, because the kernel may have dropped the pages and would answer that all is well: what it held is written into a
//! new segment, and that is synced before any commit completes. When that fails too, the events may not survive a loss
//! of power and are counted; their commits complete, because no client should hang on our disk, and no new request is
//! let in while no segment can be made.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tracing::error;

use super::shared::{Grown, Shared, lock};
use super::stats::Counters;
use super::unsynced;

/// How many segments in a row may fail to be synced before their events count as not durable.
const ATTEMPTS: usize = 3;

/// The commits that wait for the disk.
#[derive(Default)]
pub(super) struct Group {
    state: Mutex<State>,
    asked: Condvar,
    /// One round at a time: what a round has taken is durable, or counted, when it ends.
    syncing: Mutex<()>,
}

#[derive(Default)]
struct State {
    joined: u64,
    synced: u64,
    wakers: BTreeMap<u64, Waker>,
    idle: bool,
    stopped: bool,
}

/// Ready when the event survives what the spool was told to survive. Dropping it takes nothing back.
#[must_use = "the end of the answer must wait for it"]
pub struct Commit {
    waits: Option<(Arc<Shared>, u64)>,
}

impl Commit {
    /// Nothing to wait for.
    pub fn ready() -> Self {
        Self { waits: None }
    }

    /// For an event that was just appended.
    pub(super) fn join(shared: &Arc<Shared>) -> Self {
        let Some(group) = &shared.group else { return Self::ready() };
        match group.join() {
            Joined::Waits(number) => Self { waits: Some((Arc::clone(shared), number)) },
            Joined::NobodySyncs => {
                group.round(shared);
                Self::ready()
            }
        }
    }

    /// Whether there is nothing left to wait for.
    pub fn is_ready(&self) -> bool {
        self.waits.as_ref().is_none_or(|(shared, number)| shared.group.as_ref().is_none_or(|g| g.has_synced(*number)))
    }
}

impl Future for Commit {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some((shared, number)) = &self.waits else { return Poll::Ready(()) };
        match &shared.group {
            Some(group) => group.poll(*number, context.waker()),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        if let Some((shared, number)) = &self.waits
            && let Some(group) = &shared.group
        {
            lock(&group.state).wakers.remove(number);
        }
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit").field("ready", &self.is_ready()).finish()
    }
}

enum Joined {
    Waits(u64),
    /// The thread has ended.
    NobodySyncs,
}

impl Group {
    fn join(&self) -> Joined {
        let mut state = lock(&self.state);
        state.joined += 1;
        if state.stopped {
            return Joined::NobodySyncs;
        }
        let wake = std::mem::take(&mut state.idle);
        let number = state.joined;
        drop(state);
        if wake {
            self.asked.notify_one();
        }
        Joined::Waits(number)
    }

    fn has_synced(&self, number: u64) -> bool {
        lock(&self.state).synced >= number
    }

    fn poll(&self, number: u64, waker: &Waker) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.synced >= number {
            return Poll::Ready(());
        }
        state.wakers.insert(number, waker.clone());
        Poll::Pending
    }

    /// Makes everything durable that was appended before; false if some of it may not be.
    pub(super) fn round(&self, shared: &Shared) -> bool {
        let _one = lock(&self.syncing);
        // Whoever has joined by now had appended before, so the files taken next hold all of it.
        let target = lock(&self.state).joined;
        let clean = sync_files(shared);
        let mut state = lock(&self.state);
        if !clean {
            Counters::add_many(&shared.counters.sync_failures, target - state.synced);
        }
        state.synced = target;
        let later = state.wakers.split_off(&(target + 1));
        let done = std::mem::replace(&mut state.wakers, later);
        drop(state);
        done.into_values().for_each(Waker::wake);
        clean
    }

    /// The thread's life: until `stop`, and then once more.
    pub(super) fn run(&self, shared: &Shared) {
        while self.wait_for_work() {
            self.round(shared);
        }
        self.round(shared);
    }

    /// Ends the thread; later commits sync on their own.
    pub(super) fn stop(&self) {
        lock(&self.state).stopped = true;
        self.asked.notify_all();
    }

    /// False when the thread should end.
    fn wait_for_work(&self) -> bool {
        let mut state = lock(&self.state);
        while state.joined == state.synced && !state.stopped {
            state.idle = true;
            state = self.asked.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.idle = false;
        !state.stopped
    }
}

/// Syncs every file with records that may not be on the disk. What a file held that could not be synced is written
/// into the next, and that is synced; false if that does not help either.
pub(super) fn sync_files(shared: &Shared) -> bool {
    for _ in 0..ATTEMPTS {
        // What an earlier round could not write once more comes first.
        let rewritten = unsynced::rewrite(shared);
        sync_once(shared);
        if rewritten && !shared.log().unsynced.has_lost() {
            return true;
        }
    }
    false
}

fn sync_once(shared: &Shared) {
    let unsynced = shared.log().take_unsynced();
    for part in &unsynced {
        let synced = part.file.sync();
        let mut log = shared.log();
        match synced {
            Ok(()) => log.synced(part),
            Err(error) => {
                error!(%error, "a segment of the spool could not be synced; the log goes on in another");
                log.poison(part);
                Counters::add(&shared.counters.poisoned);
            }
        }
        shared.give_back(log, Grown::ByEvent);
    }
}
