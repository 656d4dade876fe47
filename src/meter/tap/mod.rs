//! The answer's body on its way to the client.
//!
//! Frames pass as they come: a chunk is looked at on the side and handed on, and with nothing special about it that is
//! all. The frame that tells the client that the answer is complete (`[DONE]`, the last byte of a known length, the end
//! of the body) is released only when the usage event is recorded: commit before complete. Where another step of a
//! conversation may follow in the same body, all counts so far are recorded and the event is when the body ends. A body
//! ends in exactly one of three ways: complete, failed, or dropped by the client. All of that is `end`; how a tap begins
//! is `attach`.
//!
//! A stream that cannot go on, because the upstream failed or this process ends, is cut as it would be without us. Only
//! where the client stands between two events is it told before, by one more that its SDK takes for an error.
//!
//! Streams are many and slow, so what each of their chunks does is counted in nanoseconds: no timer is set, no lock
//! taken, nothing allocated.

mod attach;
mod cut;
mod end;
mod rest;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::drain;
use super::few::Few;
use super::flow::Flow;
use super::watch::{Close, Seen};
use crate::config::Disconnect;
use crate::upstream::Failure;
use cut::Cut;
use end::{End, Step};
use rest::Rest;

pub use attach::Duties;

/// See the module. One without a passage has nothing in it.
#[derive(Debug)]
pub struct Tap(Option<Passage>);

/// An answer on its way.
#[derive(Debug)]
struct Passage {
    flow: Flow,
    /// What may leave.
    out: Few<Bytes>,
    /// What is done about the end of the answer, once that has come.
    end: Option<Box<End>>,
    rest: Rest,
    /// Only streams can say to their clients that they are cut.
    cut: Option<Cut>,
    disconnect: Disconnect,
}

/// What is polled out of a tap.
type Polled = Option<Result<Frame<Bytes>, Failure>>;

impl Passage {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Polled> {
        loop {
            if let Some(bytes) = self.out.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            let Some(end) = &mut self.end else {
                ready!(self.poll_next(cx));
                continue;
            };
            match ready!(end.poll(cx, (&mut self.flow, &mut self.out))) {
                Step::Further => {}
                Step::NoEnd => self.end = None,
                Step::Pass(polled) => return Poll::Ready(polled),
            }
        }
    }

    /// Takes what the upstream sends next, or the cut that comes before it.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match Pin::new(&mut self.flow.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(chunk) => self.chunk(chunk),
                Err(other) => self.end = End::trailed(other, (&mut self.flow, &mut self.out)).map(Box::new),
            },
            Poll::Ready(None) => self.ends(End::finished),
            Poll::Ready(Some(Err(failure))) => self.fail(failure),
            Poll::Pending => {
                self.rest.now(cx, &mut self.flow);
                let Some(cut) = &mut self.cut else { return Poll::Pending };
                ready!(cut.poll(cx));
                self.cut = None;
                self.fail(Failure::shutting_down());
            }
        }
        Poll::Ready(())
    }

    /// A chunk passes.
    fn chunk(&mut self, chunk: Bytes) {
        let Flow { body, exchange, watch } = &mut self.flow;
        let Some(draft) = exchange.draft() else { return self.out.push_back(chunk) };
        let before = self.out.len();
        let seen = watch.chunk(draft, chunk, &mut self.out);
        let ended = body.is_end_stream();
        if seen == Seen::More && !ended {
            self.rest.passed(draft.owes_progress());
            return;
        }
        let close = if ended { Close::Whole } else { Close::Broken };
        self.end = Some(Box::new(End::seen(seen, (&mut self.flow, &mut self.out), (before, close))));
    }

    fn fail(&mut self, failure: Failure) {
        self.ends(|flow, out| End::failed(failure, flow, out));
    }

    fn ends(&mut self, how: impl FnOnce(&mut Flow, &mut Few<Bytes>) -> End) {
        self.end = Some(Box::new(how(&mut self.flow, &mut self.out)));
    }

    fn is_end_stream(&self) -> bool {
        self.out.is_empty() && self.end.as_ref().is_some_and(|end| end.is_over(&self.flow))
    }
}

impl Body for Tap {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Polled> {
        self.0.as_mut().map_or(Poll::Ready(None), |passage| passage.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Passage::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Some(Passage { flow, end: None, .. }) if !flow.watch.may_hide() => flow.body.size_hint(),
            _ => SizeHint::default(),
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let Some(Passage { mut flow, end, disconnect, .. }) = self.0.take() else { return };
        if end.is_none() && disconnect == Disconnect::Drain {
            drain::read_on(flow);
        } else {
            flow.left(Close::Broken);
        }
    }
}
