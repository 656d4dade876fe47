//! What happens on one connection, and when it has gone on for too long without anything happening.
//!
//! Three things end a connection: a request head that does not come whole in time, no request for the idle timeout, and
//! an answer of which the client takes nothing for the idle timeout. An upstream that is silent while its request is in
//! flight ends nothing, however long: that clock belongs to the upstream.
//! Every frame of an answer passes here, so a frame costs two additions and no look at the clock: how long a client has
//! taken nothing counts from the first look at the clocks that finds the answer so, and is cut up to a header timeout late.
//! hyper's own header timeout also runs while a kept-alive connection rests, so it would close pooled connections after
//! ten seconds under the feet of their next request; hence this clock, which starts at a head's first byte.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Version;
use tokio::time::Instant;

use super::bell::Bell;
use crate::shutdown::Guard;

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// From the first byte of a request head to its last, and for a TLS handshake.
    pub(super) header: Duration,
    /// Without a request, or without taking anything of an answer.
    pub(super) idle: Duration,
}

/// Why a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Idle,
    SlowHead,
    Stalled,
}

/// What to do about a connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is overdue; look again at this time.
    LookAt(Instant),
    /// Something is overdue.
    Over(Cause),
}

/// One connection's clocks. Shared by its socket, its requests and the task that watches it. What each frame touches
/// stands first, and together.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Activity {
    frames: Frames,
    pub(super) bell: Bell,
    clocks: Mutex<Clocks>,
    patience: Patience,
    /// The connection counts as alive until its last request is gone, too.
    _alive: Guard,
}

#[derive(Clone, Copy, Debug)]
struct Clocks {
    /// Whether the first bytes have been looked at.
    sniffed: bool,
    /// HTTP/2 has frames at any time, so bytes alone do not mean that a head has begun.
    http2: bool,
    /// Whether the connection has been told to close, with nothing under way on it.
    closing: bool,
    in_flight: u32,
    quiet_since: Instant,
    head_since: Option<Instant>,
    blocked_since: Option<Instant>,
    /// What the frames were when they were last seen to be others than before, and when that was.
    held: Held,
    held_since: Instant,
}

/// The frames of all answers of a connection: how many were handed over ever (in the upper half, which may overflow), and
/// of how many answers the last was while the next has not been asked for.
#[derive(Debug, Default)]
struct Frames(AtomicU64);

const HANDED: u64 = 1 << 32;

/// A look at the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held(u64);

impl Frames {
    fn handed(&self, newly: bool) {
        self.0.fetch_add(HANDED + u64::from(newly), Relaxed);
    }

    fn asked(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    fn look(&self) -> Held {
        Held(self.0.load(Relaxed))
    }
}

impl Held {
    /// How many answers are held up.
    fn answers(self) -> u64 {
        self.0 % HANDED
    }
}

/// One request until its answer is over, however it ends.
#[derive(Debug)]
pub(super) struct InFlight {
    activity: Arc<Activity>,
    held: bool,
}

impl Activity {
    pub(super) fn new(patience: Patience, alive: Guard) -> Arc<Self> {
        let now = Instant::now();
        let clocks = Clocks {
            sniffed: false,
            http2: false,
            closing: false,
            in_flight: 0,
            quiet_since: now,
            head_since: None,
            blocked_since: None,
            held: Held::default(),
            held_since: now,
        };
        let (frames, clocks) = (Frames::default(), Mutex::new(clocks));
        Arc::new(Self { frames, bell: Bell::new(), clocks, patience, _alive: alive })
    }

    /// TLS is agreed: what came so far was no request, and the protocol is known.
    pub(super) fn secured(&self, protocol: Option<&[u8]>) {
        let mut clocks = self.lock();
        clocks.http2 = protocol == Some(b"h2");
        clocks.sniffed = true;
        clocks.head_since = None;
        clocks.quiet_since = Instant::now();
    }

    /// These bytes came from the client.
    pub(super) fn received(&self, bytes: &[u8]) {
        let mut clocks = self.lock();
        if !clocks.sniffed {
            clocks.sniffed = true;
            clocks.http2 = bytes.starts_with(b"PRI ");
        }
        if !clocks.http2 && clocks.in_flight == 0 && clocks.head_since.is_none() {
            clocks.head_since = Some(Instant::now());
        }
    }

    /// The socket takes no more bytes for the client.
    pub(super) fn blocked(&self) {
        self.lock().blocked_since = Some(Instant::now());
    }

    /// The socket took bytes again.
    pub(super) fn unblocked(&self) {
        self.lock().blocked_since = None;
    }

    /// A request head is whole.
    pub(super) fn begin(self: &Arc<Self>, version: Version) -> InFlight {
        let mut clocks = self.lock();
        clocks.http2 |= version == Version::HTTP_2;
        clocks.in_flight += 1;
        clocks.head_since = None;
        drop(clocks);
        InFlight { activity: Arc::clone(self), held: false }
    }

    /// The connection has been told to close; the idle clock starts anew for the farewell.
    pub(super) fn close(&self) {
        let mut clocks = self.lock();
        clocks.closing = clocks.in_flight == 0;
        clocks.quiet_since = Instant::now();
    }

    /// Whether the connection closes with nothing under way, so that nothing unread can be on its way either.
    pub(super) fn closes_at_rest(&self) -> bool {
        let clocks = self.lock();
        clocks.closing && clocks.in_flight == 0
    }

    /// What to do about this connection now.
    pub(super) fn verdict(&self, now: Instant) -> Verdict {
        // A head that begins after this look can be overdue no sooner than this.
        let next = now + self.patience.header.min(self.patience.idle);
        let mut clocks = self.lock();
        let held = self.frames.look();
        if clocks.held != held {
            (clocks.held, clocks.held_since) = (held, now);
        }
        let Some((deadline, cause)) = clocks.deadline(self.patience) else { return Verdict::LookAt(next) };
        if deadline <= now { Verdict::Over(cause) } else { Verdict::LookAt(deadline.min(next)) }
    }

    fn lock(&self) -> MutexGuard<'_, Clocks> {
        // Every change is a plain store, so the clocks are sound even if a holder panicked.
        self.clocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clocks {
    /// What runs out next, if any clock runs.
    fn deadline(&self, patience: Patience) -> Option<(Instant, Cause)> {
        if let Some(since) = self.blocked_since {
            return Some((since + patience.idle, Cause::Stalled));
        }
        if self.in_flight == 0 {
            return Some(match self.head_since {
                Some(since) => (since + patience.header, Cause::SlowHead),
                None => (self.quiet_since + patience.idle, Cause::Idle),
            });
        }
        // One stream that moves keeps the connection: a client may pause some of its streams.
        (self.held.answers() == u64::from(self.in_flight)).then(|| (self.held_since + patience.idle, Cause::Stalled))
    }
}

impl InFlight {
    /// A frame of the answer was handed over.
    pub(super) fn handed(&mut self) {
        self.activity.frames.handed(!self.held);
        self.held = true;
    }

    /// The next frame is asked for, so the last one found room on its way to the client.
    pub(super) fn asked(&mut self) {
        if self.held {
            self.held = false;
            self.activity.frames.asked();
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.asked();
        let mut clocks = self.activity.lock();
        clocks.in_flight -= 1;
        if clocks.in_flight == 0 {
            clocks.quiet_since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, pause};

    use super::*;
    use crate::shutdown::Shutdown;

    const HEADER: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_mins(1);
    const MOMENT: Duration = Duration::from_millis(1);
    const ALMOST: Duration = Duration::from_millis(59_999);

    fn activity() -> Arc<Activity> {
        pause();
        let (_trigger, shutdown) = Shutdown::new();
        Activity::new(Patience { header: HEADER, idle: IDLE }, shutdown.guard())
    }

    fn is_over(activity: &Activity) -> Option<Cause> {
        match activity.verdict(Instant::now()) {
            Verdict::Over(cause) => Some(cause),
            Verdict::LookAt(_) => None,
        }
    }

    #[tokio::test]
    async fn a_connection_without_a_request_is_idle_after_the_idle_timeout() {
        let activity = activity();
        advance(ALMOST).await;
        assert_eq!(is_over(&activity), None);
        advance(MOMENT).await;
        assert_eq!(is_over(&activity), Some(Cause::Idle));
    }

    #[tokio::test]
    async fn a_slow_head_is_over_after_the_header_timeout_however_it_drips() {
        let activity = activity();
        advance(HEADER).await;
        for byte in b"GET / HTT" {
            activity.received(&[*byte]);
            assert_eq!(is_over(&activity), None);
            advance(HEADER / 9).await;
        }
        advance(HEADER / 9).await;
        assert_eq!(is_over(&activity), Some(Cause::SlowHead));
    }

    #[tokio::test]
    async fn a_silent_upstream_ends_nothing() {
        let activity = activity();
        let mut flight = activity.begin(Version::HTTP_11);
        advance(IDLE * 10).await;
        assert_eq!(is_over(&activity), None);
        flight.handed();
        flight.asked();
        advance(IDLE * 10).await;
        assert_eq!(is_over(&activity), None);
        drop(flight);
        advance(ALMOST).await;
        assert_eq!(is_over(&activity), None);
        advance(MOMENT).await;
        assert_eq!(is_over(&activity), Some(Cause::Idle));
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_stalls_and_one_that_takes_a_little_does_not() {
        let activity = activity();
        let _flight = activity.begin(Version::HTTP_11);
        for _ in 0..3 {
            activity.blocked();
            advance(ALMOST).await;
            assert_eq!(is_over(&activity), None);
            activity.unblocked();
        }
        activity.blocked();
        advance(IDLE).await;
        assert_eq!(is_over(&activity), Some(Cause::Stalled));
    }

    #[tokio::test]
    async fn one_moving_stream_keeps_a_connection_whose_other_streams_are_paused() {
        let activity = activity();
        let mut paused = activity.begin(Version::HTTP_2);
        let moving = activity.begin(Version::HTTP_2);
        paused.handed();
        advance(IDLE * 2).await;
        assert_eq!(is_over(&activity), None);
        drop(moving);
        assert_eq!(is_over(&activity), None, "it was first seen to be held just now");
        advance(ALMOST).await;
        assert_eq!(is_over(&activity), None);
        advance(MOMENT).await;
        assert_eq!(is_over(&activity), Some(Cause::Stalled));
    }

    #[tokio::test]
    async fn an_answer_that_moves_between_two_looks_is_not_stalled() {
        let activity = activity();
        let mut flight = activity.begin(Version::HTTP_11);
        for _ in 0..5 {
            flight.handed();
            advance(HEADER).await;
            assert_eq!(is_over(&activity), None);
            advance(HEADER * 5).await;
            flight.asked();
        }
        flight.handed();
        assert_eq!(is_over(&activity), None);
        advance(IDLE).await;
        assert_eq!(is_over(&activity), Some(Cause::Stalled));
    }

    #[tokio::test]
    async fn http2_pings_neither_begin_a_head_nor_keep_a_connection() {
        let activity = activity();
        activity.received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        advance(IDLE / 2).await;
        activity.received(b"a ping's answer");
        assert_eq!(is_over(&activity), None);
        advance(IDLE / 2).await;
        assert_eq!(is_over(&activity), Some(Cause::Idle));
    }

    #[tokio::test]
    async fn the_next_look_is_never_later_than_a_deadline_that_may_arise() {
        let activity = activity();
        let now = Instant::now();
        assert_eq!(activity.verdict(now), Verdict::LookAt(now + HEADER));
        advance(ALMOST).await;
        assert_eq!(activity.verdict(Instant::now()), Verdict::LookAt(now + IDLE));
    }
}
