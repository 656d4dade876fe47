//! An answer's body on its way out: passes every frame and tells the connection's clocks when one was handed over and
//! when the next was asked for. It changes nothing and holds nothing back.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};

use super::activity::InFlight;

/// A body with the request that it answers. It lies in the place that hyper keeps for it, with no box of its own: one
/// place fewer to be fetched for each frame.
pub(super) struct Outgoing<B> {
    body: B,
    flight: InFlight,
}

impl<B> Outgoing<B> {
    pub(super) fn new(body: B, flight: InFlight) -> Self {
        Self { body, flight }
    }
}

impl<B: Body + Unpin> Body for Outgoing<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.flight.asked();
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(Some(_))) {
            self.flight.handed();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
