//! The tasks in which hyper runs the streams of one HTTP/2 connection, owned by that connection: they end with it.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::rt::Executor;
use tokio::task::JoinSet;

use super::stats::Counts;

/// Runs streams. Clones share the tasks.
#[derive(Clone)]
pub(super) struct Streams {
    tasks: Arc<Mutex<JoinSet<()>>>,
    counts: Counts,
}

/// Aborts the streams when dropped. Apart from `Streams` because each stream holds a clone of that.
pub(super) struct Owner(Streams);

impl Streams {
    pub(super) fn new(counts: Counts) -> (Self, Owner) {
        let streams = Self { tasks: Arc::default(), counts };
        (streams.clone(), Owner(streams))
    }

    fn lock(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let mut tasks = self.lock();
        // Taking up a stream clears away those that are over, so that the set holds no more than are open at once.
        while let Some(over) = tasks.try_join_next() {
            count_panic(&over, &self.counts);
        }
        tasks.spawn(async {
            stream.await;
        });
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let mut tasks = self.0.lock();
        while let Some(over) = tasks.try_join_next() {
            count_panic(&over, &self.0.counts);
        }
        tasks.abort_all();
    }
}

/// Counts and reports the end of a task if it was a panic.
pub(super) fn count_panic(over: &Result<(), tokio::task::JoinError>, counts: &Counts) {
    if over.as_ref().is_err_and(tokio::task::JoinError::is_panic) {
        counts.panic();
        tracing::error!("a request's task panicked: its connection or stream was cut");
    }
}
