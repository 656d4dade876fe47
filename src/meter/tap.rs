//! The answer's body on its way to the client.
//!
//! Frames pass as they come. The frame that tells the client that the answer is complete (`[DONE]`, the last byte of a
//! known length, the end of the body) is released only when the usage event is recorded: commit before complete. A body
//! ends in exactly one of three ways: complete, failed, or dropped by the client.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::drain;
use super::exchange::{Exchange, Sealing};
use super::framing::{Framing, is_encoded};
use super::watch::{Close, Seen, Watch};
use crate::config::Disconnect;
use crate::upstream::{Answer, AnswerBody, Failure};

/// How long the end of a stream is awaited that may yet go on.
const LINGER: Duration = Duration::from_millis(50);

/// What is asked of a tap besides watching.
#[derive(Clone, Copy, Debug)]
pub struct Duties {
    /// Take the usage chunk out again.
    pub hide_usage: bool,
    /// The client asked for a stream.
    pub stream_asked: bool,
    /// What happens upstream when the client leaves.
    pub disconnect: Disconnect,
}

/// See the module.
#[derive(Debug)]
pub struct Tap {
    flow: Option<Flow>,
    out: VecDeque<Bytes>,
    state: State,
    progress: Progress,
    /// What came after the last event and is passed on after it: trailers, or the failure that cut the body.
    after: Option<Result<Frame<Bytes>, Failure>>,
    disconnect: Disconnect,
}

/// Where the note to the spool of how far the answer has come stands. It waits until what it tells of has left, so that
/// no token waits for it, the first one least of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// There is nothing to note.
    Noted,
    /// What is to be noted was handed to the connection, which sends it once it has asked for more in vain.
    Passed,
    /// The connection was told to ask once more, and by then has sent it.
    Sent,
}

/// The parts that outlive a client for as long as the usage is still awaited.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) body: AnswerBody,
    pub(super) exchange: Exchange,
    pub(super) watch: Watch,
}

#[derive(Debug)]
enum State {
    Reading,
    /// The last event has come, but of a kind that others may follow: it waits a moment for them or for the end.
    Lingering(Pin<Box<Sleep>>, VecDeque<Bytes>),
    /// The event is being recorded; then `Last` is released.
    Sealing(Sealing, Last),
    /// Recorded, but the upstream has not ended the body yet.
    Trailing,
    Ended,
}

/// What the client gets once the event is recorded.
#[derive(Debug)]
enum Last {
    /// These bytes, then whatever trails.
    Bytes(VecDeque<Bytes>),
    /// Trailers.
    Trailers(HeaderMap),
    /// The failure, which cuts the client's stream as the upstream's was cut.
    Failure(Failure),
    /// The end.
    Nothing,
}

impl Tap {
    /// Taps an answer. An answer without a body is complete at once, so its event is recorded before this returns.
    pub async fn attach(mut exchange: Exchange, answer: Answer, duties: Duties) -> Response<Self> {
        let Answer { status, headers, body, .. } = answer;
        exchange.answered(status.as_u16());
        let streams = exchange.draft().map(|draft| draft.route.dialect.streams());
        let framing = Framing::of(status, &headers, streams.filter(|_| duties.stream_asked));
        if let Some(draft) = exchange.draft() {
            draft.event.data.stream = matches!(framing, Framing::Stream(_));
            if duties.hide_usage {
                draft.event.data.flag("usage_injected");
            }
            draft.route.dialect.read_head(&headers, &mut draft.reading);
            if is_encoded(&headers) {
                draft.event.data.flag("meter_encoded");
            }
        }
        let hiding = duties.hide_usage && matches!(framing, Framing::Stream(_));
        let ended = body.is_end_stream();
        if ended {
            exchange.complete().await;
        }
        let flow = Flow { body, exchange, watch: Watch::new(framing, hiding) };
        let state = if ended { State::Ended } else { State::Reading };
        let (out, progress, disconnect) = (VecDeque::new(), Progress::Noted, duties.disconnect);
        let mut response = Response::new(Self { flow: Some(flow), out, state, progress, after: None, disconnect });
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    fn reading(&mut self, frame: Option<Result<Frame<Bytes>, Failure>>) {
        let Some(flow) = &mut self.flow else { return };
        let (sealing, last) = match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(chunk) => return self.data(chunk),
                Err(frame) => match frame.into_trailers() {
                    Ok(trailers) => (flow.finish(&mut self.out), Last::Trailers(trailers)),
                    Err(_) => return,
                },
            },
            None => (flow.finish(&mut self.out), Last::Nothing),
            Some(Err(failure)) => (flow.fail(&failure, &mut self.out), Last::Failure(failure)),
        };
        self.state = State::Sealing(sealing, last);
    }

    fn data(&mut self, chunk: Bytes) {
        let Some(flow) = &mut self.flow else { return };
        let Some(draft) = flow.exchange.draft() else {
            self.out.push_back(chunk);
            return;
        };
        let before = self.out.len();
        let seen = flow.watch.chunk(draft, chunk, &mut self.out);
        let ended = flow.body.is_end_stream();
        if seen == Seen::More && !ended {
            if draft.owes_progress() {
                self.progress = Progress::Passed;
            }
            return;
        }
        if draft.reading.may_go_on && !ended {
            let sleep = Box::pin(tokio::time::sleep(LINGER));
            self.state = State::Lingering(sleep, self.out.split_off(before));
            return;
        }
        flow.watch.end(draft, if ended { Close::Whole } else { Close::Broken }, &mut self.out);
        let mut last = self.out.split_off(before);
        if let (Seen::Last(at), true) = (seen, draft.needs_counting()) {
            // Counting takes a moment: what comes before the end need not wait for it.
            let first = last.front_mut().filter(|bytes| at > 0 && at < bytes.len());
            self.out.extend(first.map(|bytes| bytes.split_to(at)));
        }
        self.state = State::Sealing(flow.exchange.complete(), Last::Bytes(last));
    }

    /// There is nothing to pass on at the moment: the time to note progress.
    fn rest(&mut self, cx: &mut Context<'_>) {
        match self.progress {
            Progress::Noted => {}
            Progress::Passed => {
                self.progress = Progress::Sent;
                cx.waker().wake_by_ref();
            }
            Progress::Sent => {
                self.progress = Progress::Noted;
                if let Some(draft) = self.flow.as_mut().and_then(|flow| flow.exchange.draft()) {
                    draft.note_progress();
                }
            }
        }
    }

    /// What came while the last event waited: more of the stream, its end, or nothing in time.
    fn linger(&mut self, frame: Option<Option<Result<Frame<Bytes>, Failure>>>) {
        let State::Lingering(_, held) = &mut self.state else { return };
        let mut held = std::mem::take(held);
        let Some(flow) = &mut self.flow else { return };
        let close = if matches!(frame, Some(None)) { Close::Whole } else { Close::Broken };
        match (frame, flow.exchange.draft()) {
            (Some(Some(Ok(frame))), Some(draft)) if frame.is_data() => {
                let chunk = frame.into_data().unwrap_or_default();
                flow.watch.chunk(draft, chunk, &mut held);
                if draft.reading.done {
                    let sleep = Box::pin(tokio::time::sleep(LINGER));
                    self.state = State::Lingering(sleep, held);
                } else {
                    self.out.extend(held);
                    self.state = State::Reading;
                }
                return;
            }
            (frame, Some(draft)) => {
                flow.watch.end(draft, close, &mut held);
                self.after = frame.flatten();
            }
            (_, None) => {}
        }
        self.state = State::Sealing(flow.exchange.complete(), Last::Bytes(held));
    }

    fn release(&mut self, last: Last) -> Option<Result<Frame<Bytes>, Failure>> {
        self.state = State::Ended;
        match last {
            Last::Bytes(bytes) => {
                self.out.extend(bytes);
                self.state = State::Trailing;
                self.out.pop_front().map(|bytes| Ok(Frame::data(bytes)))
            }
            Last::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
            Last::Failure(failure) => Some(Err(failure)),
            Last::Nothing => None,
        }
    }
}

impl Flow {
    /// The body is whole.
    fn finish(&mut self, out: &mut VecDeque<Bytes>) -> Sealing {
        if let Some(draft) = self.exchange.draft() {
            self.watch.end(draft, Close::Whole, out);
        }
        self.exchange.complete()
    }

    fn fail(&mut self, failure: &Failure, out: &mut VecDeque<Bytes>) -> Sealing {
        if let Some(draft) = self.exchange.draft() {
            self.watch.end(draft, Close::Broken, out);
        }
        self.exchange.failed(failure, None)
    }

    /// The client is gone: what only the end makes whole is read, for the usage may stand there already. What was held
    /// back has not been delivered.
    pub(super) fn left(&mut self, close: Close) {
        let Some(draft) = self.exchange.draft() else { return };
        let delivered = draft.event.data.delivered;
        self.watch.end(draft, close, &mut VecDeque::new());
        draft.event.data.delivered = delivered;
        // Not every dialect says in so many words that this was all. The end of the body does.
        draft.reading.done |= close == Close::Whole;
    }
}

impl Body for Tap {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = &mut *self;
        loop {
            if let Some(bytes) = this.out.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match &mut this.state {
                State::Reading => {
                    let Some(flow) = &mut this.flow else { return Poll::Ready(None) };
                    match Pin::new(&mut flow.body).poll_frame(cx) {
                        Poll::Ready(frame) => this.reading(frame),
                        Poll::Pending => {
                            this.rest(cx);
                            return Poll::Pending;
                        }
                    }
                }
                State::Lingering(sleep, _) => {
                    let Some(flow) = &mut this.flow else { return Poll::Ready(None) };
                    let frame = match Pin::new(&mut flow.body).poll_frame(cx) {
                        Poll::Ready(frame) => Some(frame),
                        Poll::Pending => {
                            ready!(sleep.as_mut().poll(cx));
                            None
                        }
                    };
                    this.linger(frame);
                }
                State::Sealing(sealing, _) => {
                    ready!(sealing.poll(cx));
                    if let State::Sealing(_, last) = std::mem::replace(&mut this.state, State::Ended) {
                        let trailing = matches!(last, Last::Bytes(_));
                        let released = this.release(last);
                        if released.is_some() || !trailing {
                            return Poll::Ready(released);
                        }
                    }
                }
                State::Trailing => {
                    if let Some(after) = this.after.take() {
                        return Poll::Ready(Some(after));
                    }
                    let Some(flow) = &mut this.flow else { return Poll::Ready(None) };
                    return Pin::new(&mut flow.body).poll_frame(cx);
                }
                State::Ended => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let trailed = || self.flow.as_ref().is_none_or(|flow| flow.body.is_end_stream());
        match self.state {
            State::Ended => self.out.is_empty(),
            State::Trailing => self.out.is_empty() && self.after.is_none() && trailed(),
            State::Reading | State::Lingering(..) | State::Sealing(..) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.flow {
            Some(flow) if matches!(self.state, State::Reading) && !flow.watch.may_hide() => flow.body.size_hint(),
            _ => SizeHint::default(),
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let Some(mut flow) = self.flow.take() else { return };
        if matches!(self.state, State::Reading) && self.disconnect == Disconnect::Drain {
            drain::read_on(flow);
        } else {
            flow.left(Close::Broken);
        }
    }
}
