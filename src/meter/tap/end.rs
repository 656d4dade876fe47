//! How an answer ends: its event is recorded, then what ends it is released, then whatever trails passes.
//!
//! Boxed by its owner: most of the time there is none.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::time::{Sleep, sleep};

use super::Polled;
use crate::meter::exchange::Sealing;
use crate::meter::few::Few;
use crate::meter::flow::Flow;
use crate::meter::watch::{Close, Seen};
use crate::spool::Commit;
use crate::upstream::Failure;

/// A cut that is announced waits this long, for a connection that is cut throws away what it has not written.
const WRITING: Duration = Duration::from_millis(20);

/// How long the end of a stream is awaited that may yet go on.
const LINGER: Duration = Duration::from_millis(50);

/// An answer, and what of it may leave.
type Passing<'a> = (&'a mut Flow, &'a mut Few<Bytes>);

/// See the module.
#[derive(Debug)]
pub(super) enum End {
    /// The last event has come, but of a kind that others may follow: it waits a moment for them or for the end.
    Lingering(Pin<Box<Sleep>>, Few<Bytes>),
    /// Nothing came. It may be another step of a conversation that takes its time: what has come so far is being recorded;
    /// then its end may leave, and whatever follows is read as well.
    Noting(Commit, Few<Bytes>),
    /// The event is being recorded; then `Last` is released, and after it what came with it, or the failure that cut it.
    Sealing(Sealing, Last, Option<Result<Frame<Bytes>, Failure>>),
    /// Recorded, but the upstream has not ended the body yet. The connection had its chance to send what was released.
    Trailing(Trail),
    /// Recorded and announced; the cut waits until that has been written.
    Cutting(Option<Failure>, Pin<Box<Sleep>>),
    /// There is nothing more.
    Over,
}

/// What the client gets once the event is recorded.
#[derive(Debug)]
pub(super) enum Last {
    /// These bytes, then whatever trails.
    Bytes(Few<Bytes>),
    /// Trailers.
    Trailers(HeaderMap),
    /// The failure, which cuts the client's stream as the upstream's was cut; before it, what announces it.
    Failure(Failure, Option<Bytes>),
    /// The end.
    Nothing,
}

/// What follows the last event.
#[derive(Debug)]
pub(super) enum Trail {
    /// Whatever the upstream sends.
    Upstream,
    /// What the upstream sent in place of more.
    Came(Result<Frame<Bytes>, Failure>),
    /// The failure that cut it, now that the connection has sent what came before.
    Flushed(Failure),
}

/// What came while the last event waited.
enum Came {
    Frame(Result<Frame<Bytes>, Failure>),
    End,
    Nothing,
}

/// What polling an end comes to.
pub(super) enum Step {
    /// It has moved on.
    Further,
    /// It was none: the answer goes on.
    NoEnd,
    /// This is next.
    Pass(Polled),
}

impl End {
    /// There was nothing to end.
    pub(super) fn over() -> Self {
        Self::Over
    }

    /// The body is whole.
    pub(super) fn finished(flow: &mut Flow, out: &mut Few<Bytes>) -> Self {
        Self::Sealing(flow.finish(out), Last::Nothing, None)
    }

    /// The upstream sent something else than a chunk: trailers end the answer, anything else is nothing.
    pub(super) fn trailed(frame: Frame<Bytes>, (flow, out): Passing<'_>) -> Option<Self> {
        let trailers = frame.into_trailers().ok()?;
        Some(Self::Sealing(flow.finish(out), Last::Trailers(trailers), None))
    }

    /// The answer cannot become whole.
    pub(super) fn failed(failure: Failure, flow: &mut Flow, out: &mut Few<Bytes>) -> Self {
        let announcement = flow.announcement(&failure);
        let sealing = flow.fail(&failure, out);
        Self::Sealing(sealing, Last::Failure(failure, announcement), None)
    }

    /// The last event was seen, or the last byte came, in the chunk that added to `out` what follows `before`.
    pub(super) fn seen(seen: Seen, (flow, out): Passing<'_>, (before, close): (usize, Close)) -> Self {
        let mut last = out.split_off(before);
        if let Some(draft) = flow.exchange.draft() {
            if draft.reading.may_go_on && close == Close::Broken {
                return Self::lingering(last);
            }
            flow.watch.end(draft, close, &mut last);
            if let (Seen::Last(at), true) = (seen, draft.needs_counting()) {
                // Counting takes a moment: what comes before the end need not wait for it.
                let first = last.front_mut().filter(|bytes| at > 0 && at < bytes.len());
                out.extend(first.map(|bytes| bytes.split_to(at)));
            }
        }
        Self::Sealing(flow.exchange.complete(), Last::Bytes(last), None)
    }

    fn lingering(held: Few<Bytes>) -> Self {
        Self::Lingering(Box::pin(sleep(LINGER)), held)
    }

    /// Moves on.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, (flow, out): Passing<'_>) -> Poll<Step> {
        match self {
            Self::Lingering(patience, held) => {
                let came = match Pin::new(&mut flow.body).poll_frame(cx) {
                    Poll::Ready(frame) => frame.map_or(Came::End, Came::Frame),
                    Poll::Pending => {
                        ready!(patience.as_mut().poll(cx));
                        Came::Nothing
                    }
                };
                let held = std::mem::take(held);
                Poll::Ready(self.waited(came, held, (flow, out)))
            }
            Self::Noting(commit, held) => {
                ready!(Pin::new(commit).poll(cx));
                out.extend(std::mem::take(held));
                Poll::Ready(Step::NoEnd)
            }
            Self::Sealing(sealing, ..) => {
                ready!(sealing.poll(cx));
                Poll::Ready(match std::mem::replace(self, Self::Over) {
                    Self::Sealing(_, last, after) => self.release(last, after, out),
                    _ => Step::Further,
                })
            }
            Self::Trailing(trail) => trail.poll(cx, flow).map(Step::Pass),
            Self::Cutting(failure, written) => {
                ready!(written.as_mut().poll(cx));
                let failure = failure.take();
                *self = Self::Over;
                Poll::Ready(Step::Pass(failure.map(Err)))
            }
            Self::Over => Poll::Ready(Step::Pass(None)),
        }
    }

    /// The last event has waited: for more of the stream, its end, or nothing.
    fn waited(&mut self, came: Came, mut held: Few<Bytes>, (flow, out): Passing<'_>) -> Step {
        let Flow { exchange, watch, .. } = flow;
        let Some(draft) = exchange.draft() else { return Step::NoEnd };
        let (close, after) = match came {
            Came::Frame(Ok(frame)) if frame.is_data() => {
                watch.chunk(draft, frame.into_data().unwrap_or_default(), &mut held);
                if draft.reading.done {
                    *self = Self::lingering(held);
                    return Step::Further;
                }
                out.extend(held);
                return Step::NoEnd;
            }
            Came::Frame(frame) => (Close::Broken, Some(frame)),
            Came::End => (Close::Whole, None),
            Came::Nothing => {
                if let Some(commit) = draft.note_end() {
                    *self = Self::Noting(commit, held);
                    return Step::Further;
                }
                (Close::Broken, None)
            }
        };
        watch.end(draft, close, &mut held);
        *self = Self::Sealing(exchange.complete(), Last::Bytes(held), after);
        Step::Further
    }

    fn release(&mut self, last: Last, after: Option<Result<Frame<Bytes>, Failure>>, out: &mut Few<Bytes>) -> Step {
        Step::Pass(match last {
            Last::Bytes(bytes) => {
                out.extend(bytes);
                *self = Self::Trailing(after.map_or(Trail::Upstream, Trail::Came));
                return Step::Further;
            }
            Last::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
            Last::Failure(failure, None) => Some(Err(failure)),
            Last::Failure(failure, Some(announcement)) => {
                *self = Self::Cutting(Some(failure), Box::pin(sleep(WRITING)));
                Some(Ok(Frame::data(announcement)))
            }
            Last::Nothing => None,
        })
    }

    /// Whether nothing more can come, once everything that may leave has left.
    pub(super) fn is_over(&self, flow: &Flow) -> bool {
        match self {
            Self::Over => true,
            Self::Trailing(Trail::Upstream) => flow.body.is_end_stream(),
            Self::Trailing(_) | Self::Lingering(..) | Self::Noting(..) | Self::Sealing(..) | Self::Cutting(..) => false,
        }
    }
}

impl Trail {
    /// Recorded, and everything released: what follows is passed on.
    fn poll(&mut self, cx: &mut Context<'_>, flow: &mut Flow) -> Poll<Polled> {
        match std::mem::replace(self, Self::Upstream) {
            Self::Upstream => Pin::new(&mut flow.body).poll_frame(cx),
            Self::Came(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            // A connection is cut at once when its body fails: what was released last is to leave before.
            Self::Came(Err(failure)) => {
                *self = Self::Flushed(failure);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Flushed(failure) => Poll::Ready(Some(Err(failure))),
        }
    }
}
