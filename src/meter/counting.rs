//! The threads that count tokens which no provider reported.
//!
//! Counting takes milliseconds and, the first time, loads a vocabulary: it happens neither on an async thread nor in a
//! `Drop`. The queue is bounded; what does not fit is estimated by the caller and counted here as refused. Threads
//! end when the counting is dropped, after they have worked off the queue.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::draft::Draft;
use crate::spool::Commit;

const THREADS: usize = 2;
const LONGEST_QUEUE: usize = 4096;

struct Job {
    draft: Box<Draft>,
    done: oneshot::Sender<Commit>,
}

/// A handle on the counting threads.
#[derive(Debug)]
pub(super) struct Counting {
    queue: Mutex<Option<SyncSender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    refused: AtomicU64,
}

impl Counting {
    /// Starts the threads.
    pub(super) fn start() -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(LONGEST_QUEUE);
        let receiver = Arc::new(Mutex::new(receiver));
        let thread = |_| {
            let receiver = Arc::clone(&receiver);
            std::thread::Builder::new().name("count".to_owned()).spawn(move || work(&receiver))
        };
        let threads = (0..THREADS).map(thread).collect::<Result<_, _>>()?;
        Ok(Self { queue: Mutex::new(Some(sender)), threads: Mutex::new(threads), refused: AtomicU64::new(0) })
    }

    /// Hands a draft over to be counted and sealed, or gives it back when the queue is full or closed.
    pub(super) fn submit(&self, draft: Box<Draft>) -> Result<oneshot::Receiver<Commit>, Box<Draft>> {
        let (done, receiver) = oneshot::channel();
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = queue.as_ref() else { return Err(self.refuse(draft)) };
        match sender.try_send(Job { draft, done }) {
            Ok(()) => Ok(receiver),
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => Err(self.refuse(job.draft)),
        }
    }

    fn refuse(&self, draft: Box<Draft>) -> Box<Draft> {
        self.refused.fetch_add(1, Ordering::Relaxed);
        draft
    }

    /// How many drafts did not fit into the queue.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Works off the queue and ends the threads.
    pub(super) fn stop(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a counting thread had panicked");
            }
        }
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { draft, done }) = job else { return };
        // The client may have stopped waiting; the event is recorded all the same.
        drop(done.send(draft.seal_counted()));
    }
}
