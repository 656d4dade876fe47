//! Whether this process cuts its streams.
//!
//! Every stream asks whenever it waits for its upstream, and the answer is no until the process ends. Registering for it
//! takes a lock that all streams share, so a stream registers once, as long as the same task asks.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::sync::futures::OwnedNotified;

use crate::meter::Meter;

/// One stream's question.
#[derive(Debug)]
pub(super) struct Cut {
    meter: Arc<Meter>,
    told: Pin<Box<OwnedNotified>>,
    /// Who is registered.
    waker: Option<Waker>,
}

impl Cut {
    pub(super) fn of(meter: &Arc<Meter>) -> Self {
        Self { meter: Arc::clone(meter), told: meter.ending(), waker: None }
    }

    /// Ready when streams are to be cut.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let registered = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        // The mark is set before anyone is told.
        if registered && !self.meter.is_interrupted() {
            return Poll::Pending;
        }
        let told = self.told.as_mut().poll(cx);
        self.waker = Some(cx.waker().clone());
        told
    }
}
