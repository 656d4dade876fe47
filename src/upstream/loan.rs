//! A connection's task, and the loan of the connection to whoever reads an answer over it.
//!
//! hyper drives each connection in a task of its own. For each chunk of an answer that task is woken by the socket, wakes
//! the reader, and is woken by it in turn to fetch more: three tasks polled for a chunk that only has to be passed on. So
//! while an answer is read its reader drives the connection, and the task at home sleeps. The connection goes home when
//! the answer has ended or is given up, and is driven there for everything else: the next request, and its end.
//!
//! Whoever drives it is woken: a wake that comes while the reader drives only makes it look once more, any other goes to
//! the reader while the connection is lent and to the task at home otherwise. A reader that does not ask for a while
//! leaves the connection alone, as hyper does with one whose chunks nobody takes.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::rt::Executor;

/// What the client has done in a task of its own: for one, a connection.
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A reader has done all that can be done until it is woken.
const AT_REST: u8 = 0;
/// A reader drives it.
const DRIVEN: u8 = 1;
/// It was woken since it was driven, or it is not known.
const WOKEN: u8 = 2;

/// So often a reader looks again at once; then it lets others run first.
const LOOKS: usize = 3;

thread_local! {
    /// Whose work is done on this thread, until a connection says that it is it.
    static AT_HAND: Cell<Option<Arc<Home>>> = const { Cell::new(None) };
}

/// Spawns work such that connections can be lent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Homes;

/// Where a connection is driven when it is not lent.
pub(super) struct Home {
    state: AtomicU8,
    work: Mutex<Option<Work>>,
    who: Mutex<Who>,
}

/// Who is to be woken.
#[derive(Debug, Default)]
struct Who {
    lent: bool,
    task: Option<Waker>,
    reader: Option<Waker>,
}

/// The task at home.
struct AtHome {
    home: Arc<Home>,
    /// The connection has said that it is it.
    known: bool,
}

/// A connection that is lent; it goes home when this is dropped.
#[derive(Debug)]
pub(super) struct Loan {
    home: Arc<Home>,
    /// Wakes whoever drives it.
    waker: Waker,
    /// Who was last to be woken as its reader.
    reader: Option<Waker>,
}

impl Executor<Work> for Homes {
    fn execute(&self, work: Work) {
        let home = Home { state: AtomicU8::new(WOKEN), work: Mutex::new(Some(work)), who: Mutex::default() };
        tokio::spawn(AtHome { home: Arc::new(home), known: false });
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home").field("who", &self.who).finish_non_exhaustive()
    }
}

impl Home {
    /// Whose work is being done on this thread, asked for the first time.
    pub(super) fn at_hand() -> Option<Arc<Self>> {
        AT_HAND.take()
    }

    /// Does what can be done now; whether that was all of it.
    fn drive(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut work = self.work.lock().unwrap_or_else(|panicked| {
            // It cannot be gone on with; who waits for something of it learns that it is gone.
            let mut work = panicked.into_inner();
            *work = None;
            work
        });
        let polled = work.as_mut().map_or(Poll::Ready(()), |work| work.as_mut().poll(cx));
        if polled.is_ready() {
            *work = None;
        }
        polled
    }

    fn who(&self) -> MutexGuard<'_, Who> {
        // Every change is a plain store.
        self.who.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the loan.
    fn come_home(&self) {
        let mut who = self.who();
        (who.lent, who.reader) = (false, None);
        who.wake();
    }
}

impl Who {
    fn wake(&self) {
        if let Some(waker) = if self.lent { &self.reader } else { &self.task } {
            waker.wake_by_ref();
        }
    }
}

impl Wake for Home {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Who drives it, or was woken for it before, looks again in any case.
        if self.state.swap(WOKEN, Ordering::AcqRel) == AT_REST {
            self.who().wake();
        }
    }
}

impl Future for AtHome {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut who = self.home.who();
        if !who.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            who.task = Some(cx.waker().clone());
        }
        if who.lent {
            return Poll::Pending;
        }
        drop(who);
        if self.known {
            return self.home.drive(cx);
        }
        AT_HAND.set(Some(Arc::clone(&self.home)));
        let polled = self.home.drive(cx);
        self.known = AT_HAND.take().is_none();
        polled
    }
}

impl Loan {
    /// Lends it, unless it is lent already.
    pub(super) fn of(home: Arc<Home>) -> Option<Self> {
        if std::mem::replace(&mut home.who().lent, true) {
            return None;
        }
        home.state.store(WOKEN, Ordering::Release);
        let waker = Waker::from(Arc::clone(&home));
        Some(Self { home, waker, reader: None })
    }

    /// As the answer's own `poll_frame`, but that the connection is driven here.
    pub(super) fn poll_frame(
        &mut self,
        frames: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.read_by(cx.waker());
        let mut within = Context::from_waker(&self.waker);
        let state = &self.home.state;
        if state.load(Ordering::Acquire) == AT_REST {
            return Poll::Pending;
        }
        for _ in 0..LOOKS {
            // A wake comes before this, and what it is for is seen, or after it, and counts.
            state.swap(DRIVEN, Ordering::AcqRel);
            // Its end is seen in the frames.
            let _ = self.home.drive(&mut within);
            if let Poll::Ready(frame) = Pin::new(&mut *frames).poll_frame(&mut within) {
                // With the frame taken there is room for the next.
                state.store(WOKEN, Ordering::Release);
                return Poll::Ready(frame);
            }
            if state.compare_exchange(DRIVEN, AT_REST, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn read_by(&mut self, waker: &Waker) {
        if !self.reader.as_ref().is_some_and(|reader| reader.will_wake(waker)) {
            self.reader = Some(waker.clone());
            self.home.who().reader = Some(waker.clone());
        }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.home.come_home();
    }
}

#[cfg(test)]
mod tests;
