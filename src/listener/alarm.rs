//! What may end a connection from outside: the process drains, or it is time to look at the connection's clocks.
//!
//! A connection is polled for every chunk that passes, and nearly never is there anything of this. So both ring a bell,
//! which lies where each chunk leaves its mark anyway, and are polled only when it has rung.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use tokio::time::{Instant, Sleep};

use super::activity::Activity;

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// The process drains; told once.
    Draining,
    /// It is time to look at the clocks; told until [`Alarm::look_at`] says when the next time is.
    Look,
}

/// The alarm of one connection, which is driven by one task from beginning to end.
pub(super) struct Alarm<'a, D> {
    activity: &'a Activity,
    /// Rings the connection's bell.
    bell: Waker,
    /// Until it has been told.
    draining: Option<Pin<&'a mut D>>,
    look: Pin<&'a mut Sleep>,
}

impl Wake for Activity {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.bell.ring();
    }
}

impl<'a, D: Future<Output = ()>> Alarm<'a, D> {
    /// `draining` resolves when the process drains.
    pub(super) fn new(activity: &'a Arc<Activity>, draining: Pin<&'a mut D>, look: Pin<&'a mut Sleep>) -> Self {
        Self { activity, bell: Waker::from(Arc::clone(activity)), draining: Some(draining), look }
    }

    /// The clocks are to be looked at again then.
    pub(super) fn look_at(&mut self, next: Instant) {
        self.look.as_mut().reset(next);
    }

    /// Resolves with what has come.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Call> {
        let bell = &self.activity.bell;
        if !bell.has_rung() {
            return Poll::Pending;
        }
        bell.wakes(cx.waker());
        bell.rings(false);
        let call = self.poll_both();
        if call.is_ready() {
            bell.rings(true);
        }
        call
    }

    fn poll_both(&mut self) -> Poll<Call> {
        let mut cx = Context::from_waker(&self.bell);
        if self.draining.as_mut().is_some_and(|draining| draining.as_mut().poll(&mut cx).is_ready()) {
            self.draining = None;
            return Poll::Ready(Call::Draining);
        }
        self.look.as_mut().poll(&mut cx).map(|()| Call::Look)
    }
}
