//! What may end a connection from outside: the process drains, or it is time to look at the connection's clocks.
//!
//! A connection is polled for every chunk that passes, and nearly never is there anything of this. So both are polled
//! only when one of them may have something to say, or when another task asks than the one that they would wake.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::time::{Instant, Sleep};

use crate::shutdown::Shutdown;

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// The process drains; told once.
    Draining,
    /// It is time to look at the clocks; told until [`Alarm::look_at`] says when the next time is.
    Look,
}

/// The alarm of one connection.
pub(super) struct Alarm<'a, D> {
    shutdown: &'a Shutdown,
    /// Until it has been told.
    draining: Option<Pin<&'a mut D>>,
    look: Pin<&'a mut Sleep>,
    waker: Option<Waker>,
}

impl<'a, D: Future<Output = ()>> Alarm<'a, D> {
    /// `draining` resolves when `shutdown` drains.
    pub(super) fn new(shutdown: &'a Shutdown, draining: Pin<&'a mut D>, look: Pin<&'a mut Sleep>) -> Self {
        Self { shutdown, draining: Some(draining), look, waker: None }
    }

    /// The clocks are to be looked at again then.
    pub(super) fn look_at(&mut self, next: Instant) {
        self.look.as_mut().reset(next);
    }

    /// Resolves with what has come.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Call> {
        let quiet = !self.look.is_elapsed() && (self.draining.is_none() || !self.shutdown.is_draining());
        if quiet && self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        self.waker = Some(cx.waker().clone());
        if self.draining.as_mut().is_some_and(|draining| draining.as_mut().poll(cx).is_ready()) {
            self.draining = None;
            return Poll::Ready(Call::Draining);
        }
        self.look.as_mut().poll(cx).map(|()| Call::Look)
    }
}
