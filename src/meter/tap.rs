//! The answer's body on its way to the client.
//!
//! Frames pass as they come. The frame that tells the client that the answer is complete (`[DONE]`, the last byte of a
//! known length, the end of the body) is released only when the usage event is recorded: commit before complete. A body
//! ends in exactly one of three ways: complete, failed, or dropped by the client.
//!
//! A stream that cannot go on, because the upstream failed or this process ends, is cut as it would be without us. Only
//! where the client stands between two events is it told before, by one more that its SDK takes for an error.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::futures::OwnedNotified;
use tokio::time::Sleep;

use super::drain;
use super::exchange::{Exchange, Sealing};
use super::flow::Flow;
use super::framing::{Encoded, Framing};
use super::realtime;
use super::watch::{Close, Seen, Watch};
use crate::config::Disconnect;
use crate::upstream::{Answer, Failure};

/// A cut that is announced waits this long, for a connection that is cut throws away what it has not written.
const WRITING: Duration = Duration::from_millis(20);

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
    /// The client's connection had its chance to send what was released last.
    flushed: bool,
    disconnect: Disconnect,
    /// Resolves when this process cuts its streams; only streams can say so to their clients.
    ending: Option<Pin<Box<OwnedNotified>>>,
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

#[derive(Debug)]
enum State {
    Reading,
    /// The last event has come, but of a kind that others may follow: it waits a moment for them or for the end.
    Lingering(Pin<Box<Sleep>>, VecDeque<Bytes>),
    /// The event is being recorded; then `Last` is released.
    Sealing(Sealing, Last),
    /// Recorded, but the upstream has not ended the body yet.
    Trailing,
    /// Recorded and announced; the cut waits until that has been written.
    Cutting(Failure, Pin<Box<Sleep>>),
    Ended,
}

/// What came while the last event waited.
enum Came {
    Frame(Result<Frame<Bytes>, Failure>),
    End,
    Nothing,
}

/// What the client gets once the event is recorded.
#[derive(Debug)]
enum Last {
    /// These bytes, then whatever trails.
    Bytes(VecDeque<Bytes>),
    /// Trailers.
    Trailers(HeaderMap),
    /// The failure, which cuts the client's stream as the upstream's was cut; before it, what announces it.
    Failure(Failure, Option<Bytes>),
    /// The end.
    Nothing,
}

impl State {
    fn lingering(held: VecDeque<Bytes>) -> Self {
        Self::Lingering(Box::pin(tokio::time::sleep(LINGER)), held)
    }
}

impl Tap {
    /// Taps an answer. An answer without a body is complete at once, so its event is recorded before this returns.
    pub async fn attach(mut exchange: Exchange, answer: Answer, duties: Duties) -> Response<Self> {
        exchange.answered(answer.status.as_u16());
        if answer.upgrade.is_some() {
            return realtime::begin(exchange, answer);
        }
        let Answer { status, headers, body, .. } = answer;
        let streams = exchange.draft().map(|draft| draft.route.dialect.streams());
        let framing = Framing::of(status, &headers, streams.filter(|_| duties.stream_asked));
        let encoded = Encoded::of(&headers);
        let stream = matches!(framing, Framing::Stream(_));
        let mut ending = None;
        if let Some(draft) = exchange.draft() {
            draft.event.data.stream = stream;
            if duties.hide_usage {
                draft.event.data.flag("usage_injected");
            }
            draft.route.dialect.read_head(&headers, &mut draft.reading);
            if matches!(encoded, Encoded::Unreadable) {
                draft.event.data.flag("meter_encoded");
            }
            ending = stream.then(|| draft.meter.ending());
        }
        let ended = body.is_end_stream();
        if ended {
            exchange.complete().await;
        }
        let watch = Watch::new(framing, duties.hide_usage && stream).through(encoded);
        let state = if ended { State::Ended } else { State::Reading };
        let (flow, out) = (Some(Flow { body, exchange, watch }), VecDeque::new());
        let (progress, disconnect) = (Progress::Noted, duties.disconnect);
        let tap = Self { flow, out, state, progress, after: None, flushed: false, disconnect, ending };
        let mut response = Response::new(tap);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    /// A body without anything in it, for an answer that is followed by something else than a body.
    pub(super) fn nothing() -> Self {
        let (out, state, disconnect) = (VecDeque::new(), State::Ended, Disconnect::Abort);
        let progress = Progress::Noted;
        Self { flow: None, out, state, progress, after: None, flushed: false, disconnect, ending: None }
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
            Some(Err(failure)) => return self.fail(failure),
        };
        self.state = State::Sealing(sealing, last);
    }

    fn fail(&mut self, failure: Failure) {
        let Some(flow) = &mut self.flow else { return };
        let announcement = flow.announcement(&failure);
        let sealing = flow.fail(&failure, &mut self.out);
        self.state = State::Sealing(sealing, Last::Failure(failure, announcement));
    }

    /// Takes what the upstream sends next, or the cut that comes before it.
    fn poll_reading(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(flow) = &mut self.flow else {
            self.state = State::Ended;
            return Poll::Ready(());
        };
        if let Poll::Ready(frame) = Pin::new(&mut flow.body).poll_frame(cx) {
            self.reading(frame);
            return Poll::Ready(());
        }
        self.rest(cx);
        ready!(self.poll_ending(cx));
        self.fail(Failure::shutting_down());
        Poll::Ready(())
    }

    /// Whether this process cuts its streams now.
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let ending = self.ending.as_mut().map_or(Poll::Pending, |ending| ending.as_mut().poll(cx));
        if ending.is_ready() {
            self.ending = None;
        }
        ending
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
            self.state = State::lingering(self.out.split_off(before));
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

    /// The last event has waited: for more of the stream, its end, or nothing.
    fn waited(&mut self, came: Came) {
        let State::Lingering(_, held) = &mut self.state else { return };
        let mut held = std::mem::take(held);
        let Some(flow) = &mut self.flow else { return };
        let Some(draft) = flow.exchange.draft() else { return };
        let (close, frame) = match came {
            Came::Frame(Ok(frame)) if frame.is_data() => {
                flow.watch.chunk(draft, frame.into_data().unwrap_or_default(), &mut held);
                if draft.reading.done {
                    self.state = State::lingering(held);
                } else {
                    self.out.extend(held);
                    self.state = State::Reading;
                }
                return;
            }
            Came::Frame(frame) => (Close::Broken, Some(frame)),
            Came::End => (Close::Whole, None),
            Came::Nothing => (Close::Broken, None),
        };
        flow.watch.end(draft, close, &mut held);
        self.after = frame;
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
            Last::Failure(failure, None) => Some(Err(failure)),
            Last::Failure(failure, Some(announcement)) => {
                self.state = State::Cutting(failure, Box::pin(tokio::time::sleep(WRITING)));
                Some(Ok(Frame::data(announcement)))
            }
            Last::Nothing => None,
        }
    }
}

impl Tap {
    /// Recorded, and everything released: what follows is passed on.
    fn poll_trailing(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let Some(after) = self.after.take() else {
            let Some(flow) = &mut self.flow else { return Poll::Ready(None) };
            return Pin::new(&mut flow.body).poll_frame(cx);
        };
        // A connection is cut at once when its body fails: what was released last is to leave before.
        if after.is_err() && !std::mem::replace(&mut self.flushed, true) {
            self.after = Some(after);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(after))
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
                State::Reading => ready!(this.poll_reading(cx)),
                State::Lingering(sleep, _) => {
                    let Some(flow) = &mut this.flow else { return Poll::Ready(None) };
                    let came = match Pin::new(&mut flow.body).poll_frame(cx) {
                        Poll::Ready(frame) => frame.map_or(Came::End, Came::Frame),
                        Poll::Pending => {
                            ready!(sleep.as_mut().poll(cx));
                            Came::Nothing
                        }
                    };
                    this.waited(came);
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
                State::Trailing => return this.poll_trailing(cx),
                State::Cutting(_, written) => {
                    ready!(written.as_mut().poll(cx));
                    if let State::Cutting(failure, _) = std::mem::replace(&mut this.state, State::Ended) {
                        return Poll::Ready(Some(Err(failure)));
                    }
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
            State::Reading | State::Lingering(..) | State::Sealing(..) | State::Cutting(..) => false,
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
