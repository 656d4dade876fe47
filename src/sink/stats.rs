//! What a sink counts, and the small closed set of names for what can go wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// What went wrong: a metric label and the reason in a dead-letter file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The destination cannot be reached.
    Unreachable,
    /// The destination did not answer in time.
    Timeout,
    /// The destination does not accept who we are, or its certificate is not trusted.
    Authentication,
    /// We are known but may not write there.
    Authorization,
    /// The topic does not exist, or not yet.
    Topic,
    /// Too few replicas are in sync, or the leader is moving.
    Replicas,
    /// The record is larger than the destination takes.
    TooLarge,
    /// The record is not what the destination takes.
    Invalid,
    /// The destination takes no more for now.
    Limited,
    /// The destination answers that it is out of order.
    Failing,
    /// There is nothing at the destination's address that takes events.
    Missing,
    /// The producer cannot go on.
    Fatal,
    /// The disk is full.
    NoSpace,
    /// A file cannot be opened or written.
    Io,
    /// The destination's settings are refused.
    Settings,
    /// Our own code failed.
    Panic,
    /// Anything else.
    Other,
}

impl Trouble {
    /// All of them, for metrics that start at zero.
    pub const ALL: [Self; 17] = [
        Self::Unreachable,
        Self::Timeout,
        Self::Authentication,
        Self::Authorization,
        Self::Topic,
        Self::Replicas,
        Self::TooLarge,
        Self::Invalid,
        Self::Limited,
        Self::Failing,
        Self::Missing,
        Self::Fatal,
        Self::NoSpace,
        Self::Io,
        Self::Settings,
        Self::Panic,
        Self::Other,
    ];

    /// As written in labels and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Authentication => "authentication",
            Self::Authorization => "authorization",
            Self::Topic => "topic",
            Self::Replicas => "replicas",
            Self::TooLarge => "too_large",
            Self::Invalid => "invalid",
            Self::Limited => "limited",
            Self::Failing => "failing",
            Self::Missing => "missing",
            Self::Fatal => "fatal",
            Self::NoSpace => "no_space",
            Self::Io => "io",
            Self::Settings => "settings",
            Self::Panic => "panic",
            Self::Other => "other",
        }
    }

    /// The kind of an I/O error.
    pub(super) fn of_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        if matches!(error.kind(), StorageFull | QuotaExceeded) { Self::NoSpace } else { Self::Io }
    }

    fn code(self) -> u8 {
        Self::ALL.iter().position(|&t| t == self).map_or(0, |at| at as u8 + 1)
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

/// A snapshot of one sink's counters since the process started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Which sink.
    pub sink: Arc<str>,
    /// Records delivered and acknowledged.
    pub delivered: u64,
    /// Records written to the dead-letter file and acknowledged.
    pub rejected: u64,
    /// Records that were not for the destination, acknowledged.
    pub skipped: u64,
    /// Times that a record was offered, or a batch of lines written, again.
    pub retries: u64,
    /// Times that the sink was made anew.
    pub restarts: u64,
    /// Times that the dead-letter file could not be written.
    pub dead_letter_failures: u64,
    /// Records read and not yet acknowledged, now.
    pub in_flight: u64,
    /// What went wrong last, ever.
    pub last_error: Option<Trouble>,
    /// Whether the destination is reachable, as far as is known.
    pub connected: Option<bool>,
    /// Kafka client: messages sent again by the client itself, of the running producer.
    pub client_retries: u64,
    /// Kafka client: requests that timed out, of the running producer.
    pub client_timeouts: u64,
}

/// The counters themselves, shared by a worker and its sink.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) delivered: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) skipped: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) restarts: AtomicU64,
    pub(super) dead_letter_failures: AtomicU64,
    pub(super) in_flight: AtomicU64,
    pub(super) client_retries: AtomicU64,
    pub(super) client_timeouts: AtomicU64,
    last: AtomicU8,
    now: AtomicU8,
    connected: AtomicU8,
}

impl Counters {
    /// Notes a trouble; whether it is news and so worth a line in the log.
    pub(super) fn trouble(&self, trouble: Trouble) -> bool {
        let code = trouble.code();
        self.last.store(code, Relaxed);
        self.now.swap(code, Relaxed) != code
    }

    /// Notes that things work; whether they did not before.
    pub(super) fn works(&self) -> bool {
        self.connected(true);
        self.now.swap(0, Relaxed) != 0
    }

    /// Notes whether the destination is reachable.
    pub(super) fn connected(&self, up: bool) {
        self.connected.store(if up { 2 } else { 1 }, Relaxed);
    }

    pub(super) fn snapshot(&self, sink: &Arc<str>) -> Stats {
        Stats {
            sink: Arc::clone(sink),
            delivered: self.delivered.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            retries: self.retries.load(Relaxed),
            restarts: self.restarts.load(Relaxed),
            dead_letter_failures: self.dead_letter_failures.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            last_error: Trouble::from_code(self.last.load(Relaxed)),
            connected: self.connected.load(Relaxed).checked_sub(1).map(|up| up == 1),
            client_retries: self.client_retries.load(Relaxed),
            client_timeouts: self.client_timeouts.load(Relaxed),
        }
    }
}
