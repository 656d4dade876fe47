//! One admitted request from its INTENT to its FINAL.
//!
//! An exchange is sealed exactly once: by the end of the answer, by a failure, or by being dropped, which is how a
//! client that leaves shows itself. Sealing writes the event to the spool; only where tokens must be counted here does
//! it go by way of the counting threads, never by an async one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::oneshot;

use super::draft::{Draft, Ending};
use crate::spool::Commit;
use crate::upstream::{Blame, Failure, PassCredential, Step};

/// See the module.
#[derive(Debug)]
pub struct Exchange {
    draft: Option<Box<Draft>>,
}

/// Resolves when the event of a sealed exchange is recorded as firmly as the spool promises.
#[derive(Debug)]
pub struct Sealing(State);

#[derive(Debug)]
enum State {
    Counting(oneshot::Receiver<Commit>),
    Committing(Commit),
    Done,
}

impl Exchange {
    pub(super) fn new(draft: Box<Draft>) -> Self {
        Self { draft: Some(draft) }
    }

    /// Whether the client's own credential may go upstream; only in mode `open`.
    pub fn credential(&self) -> PassCredential {
        match &self.draft {
            Some(draft) if draft.permit.passes_credential() => PassCredential::ClientsOwn,
            _ => PassCredential::Never,
        }
    }

    /// The request goes upstream now; `waited` of the time since its arrival was spent on the client.
    pub fn leaves(&mut self, waited: Duration) {
        if let Some(draft) = &mut self.draft {
            draft.reached = true;
            draft.marks.leaves(waited);
            draft.meter.metrics.overhead.observe(draft.marks.overhead_us as f64 / 1e6);
        }
    }

    /// The head of the upstream's answer is here.
    pub(super) fn answered(&mut self, status: u16) {
        if let Some(draft) = &mut self.draft {
            draft.marks.answered();
            draft.event.data.upstream_status = Some(status);
            draft.event.data.status = Some(status);
        }
    }

    /// The facts, while the exchange is not sealed.
    pub(super) fn draft(&mut self) -> Option<&mut Draft> {
        self.draft.as_deref_mut()
    }

    /// The answer came whole.
    pub(super) fn complete(&mut self) -> Sealing {
        self.seal(Ending::Complete)
    }

    /// A step failed; who is to blame decides the outcome.
    pub fn failed(&mut self, failure: &Failure, status: Option<u16>) -> Sealing {
        if let Some(draft) = &mut self.draft {
            draft.event.data.status = status.or(draft.event.data.status);
            draft.reached &= !failure.may_retry() && failure.step != Step::Rewrite;
        }
        match failure.blame() {
            Blame::Client => self.seal(Ending::ClientLeft(failure.code())),
            Blame::Ours => self.seal(Ending::Interrupted(failure.code())),
            Blame::Upstream => self.seal(Ending::UpstreamFailed(failure.code())),
        }
    }

    /// Ends the exchange.
    pub(super) fn seal(&mut self, ending: Ending) -> Sealing {
        let Some(mut draft) = self.draft.take() else { return Sealing(State::Done) };
        draft.conclude(ending);
        if !draft.needs_counting() {
            return Sealing(State::Committing(draft.seal()));
        }
        let meter = std::sync::Arc::clone(&draft.meter);
        match meter.counting.submit(draft) {
            Ok(done) => Sealing(State::Counting(done)),
            Err(draft) => Sealing(State::Committing(draft.seal_estimated())),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // A defect of ours unwinds through here: then it was not the client who left.
        let ending = if std::thread::panicking() { Ending::Panicked } else { Ending::ClientLeft("client_left") };
        drop(self.seal(ending));
    }
}

impl Sealing {
    /// Moves on; ready when the event is recorded.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.0 = match &mut self.0 {
                // A counting thread that died has sealed by dropping; there is nothing left to wait for.
                State::Counting(done) => match ready!(Pin::new(done).poll(cx)) {
                    Ok(commit) => State::Committing(commit),
                    Err(_) => State::Done,
                },
                State::Committing(commit) => {
                    ready!(Pin::new(commit).poll(cx));
                    State::Done
                }
                State::Done => return Poll::Ready(()),
            };
        }
    }
}

impl Future for Sealing {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Sealing::poll(&mut self, cx)
    }
}
