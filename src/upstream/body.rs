//! The body of an answer: the upstream's frames as they are, ended by an error when they stop coming.
//!
//! The time between frames counts only while somebody waits for one: a client that reads slowly is never blamed on the
//! upstream. One timer serves the whole body; it is made at the first wait and moved only when it fires: of the frames of a
//! stream nearly none is late.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::error::{Cause, Failure, Step, find};
use super::link::Flight;
use super::loan::Loan;
use super::upload::{Progress, Stage};

/// The frames of an answer, trailers included. Dropping it before its end cuts the upstream off.
#[derive(Debug)]
pub struct AnswerBody {
    frames: Incoming,
    /// The connection, until the last frame has come.
    loan: Option<Loan>,
    idle: Idle,
    upload: Arc<Progress>,
    flight: Flight,
    failed: bool,
    unread: Bytes,
}

/// An answer's frames, and its connection where that can be lent.
pub(super) type Received = (Incoming, Option<Loan>);

impl AnswerBody {
    pub(super) fn new((frames, loan): Received, idle: Duration, (upload, flight): (Arc<Progress>, Flight)) -> Self {
        Self { frames, loan, idle: Idle::new(idle), upload, flight, failed: false, unread: Bytes::new() }
    }

    /// Puts bytes back that were read ahead: they come before what follows.
    pub fn unread(&mut self, bytes: Bytes) {
        self.unread = bytes;
    }

    fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(loan) = &mut self.loan else { return Pin::new(&mut self.frames).poll_frame(cx) };
        let polled = loan.poll_frame(&mut self.frames, cx);
        let ended = matches!(polled, Poll::Ready(None | Some(Err(_)))) || self.frames.is_end_stream();
        if ended {
            self.loan = None;
        }
        polled
    }

    fn fail(&mut self, failure: Failure) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        self.failed = true;
        self.flight.counters.failed(&failure);
        Poll::Ready(Some(Err(failure)))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if self.failed {
            return Poll::Ready(None);
        }
        if !self.unread.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.unread)))));
        }
        match self.poll_received(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.idle.stop();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => {
                let cause = broken(&error, self.upload.stage());
                self.fail(Failure::new(Step::Body, cause).with(error))
            }
            Poll::Pending => {
                ready!(self.idle.poll_expired(cx));
                let client_owes = self.upload.stage() == Stage::AwaitingClient;
                let cause = if client_owes { Cause::ClientBroke } else { Cause::IdleTimeout };
                self.fail(Failure::new(Step::Body, cause))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.failed || (self.unread.is_empty() && self.frames.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, unread) = (self.frames.size_hint(), self.unread.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + unread);
        }
        hint.set_lower(hint.lower() + unread);
        hint
    }
}

fn broken(error: &hyper::Error, upload: Stage) -> Cause {
    if upload == Stage::ClientBroke || upload == Stage::TooLarge {
        return Cause::ClientBroke;
    }
    let garbled = |error: &io::Error| matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData);
    if error.is_parse() || find::<io::Error>(error).is_some_and(garbled) { Cause::Invalid } else { Cause::Reset }
}

/// The longest wait that is told from forever.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// The time is counted in so many parts of it.
const TICKS: u32 = 8;

/// How long nothing has come, while something was asked for: at least the limit, at most a tick more.
///
/// A frame only leaves a mark. A tick in which one came counts nothing; and whoever
/// does not ask for a while has got one in the tick in which it stopped.
#[derive(Debug)]
struct Idle {
    tick: Duration,
    /// Something came in this tick.
    moved: bool,
    /// So many whole ticks before it were quiet.
    quiet: u32,
    timer: Option<Timer>,
    /// Who is woken when it fires.
    waker: Option<Waker>,
}

/// Fires at the end of a tick.
#[derive(Debug)]
struct Timer {
    /// When. Asked for each frame, so it does not lie with the rest, which would have to be fetched for that.
    due: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Timer {
    fn new(after: Duration) -> Self {
        let sleep = Box::pin(tokio::time::sleep(after));
        Self { due: sleep.deadline(), sleep }
    }

    fn again(&mut self, after: Duration) {
        self.due = Instant::now() + after;
        self.sleep.as_mut().reset(self.due);
    }
}

impl Idle {
    fn new(limit: Duration) -> Self {
        Self { tick: limit.min(LONGEST) / TICKS, moved: false, quiet: 0, timer: None, waker: None }
    }

    fn stop(&mut self) {
        self.moved = true;
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| {
            self.moved = false;
            Timer::new(self.tick)
        });
        let awaited = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if awaited && Instant::now() < timer.due {
            return Poll::Pending;
        }
        self.waker = Some(cx.waker().clone());
        loop {
            ready!(timer.sleep.as_mut().poll(cx));
            self.quiet = if std::mem::take(&mut self.moved) { 0 } else { self.quiet + 1 };
            if self.quiet >= TICKS {
                return Poll::Ready(());
            }
            timer.again(self.tick);
        }
    }
}
