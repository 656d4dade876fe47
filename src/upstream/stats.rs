//! What is counted for each upstream, by name: it lives on when a reload changes the rest of the upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::{Cause, Failure};

/// Counts of all upstreams, in the order of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// One for each upstream.
    pub upstreams: Vec<UpstreamStats>,
}

/// Counts of one upstream since the start. All but `in_flight` only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamStats {
    /// The upstream's name.
    pub name: Arc<str>,
    /// Calls begun whose answer has not ended.
    pub in_flight: u64,
    /// Calls begun.
    pub requests: u64,
    /// Connections opened, TLS included.
    pub connections_opened: u64,
    /// Calls sent once more because the upstream had closed the connection without reading them.
    pub resent: u64,
    /// Calls without a connection: refused, unresolved, or ended before anything was sent.
    pub connect_failed: u64,
    /// Calls without a connection in time.
    pub connect_timeouts: u64,
    /// Calls whose TLS handshake failed.
    pub tls_failed: u64,
    /// Calls whose head did not come in time.
    pub first_byte_timeouts: u64,
    /// Calls whose body stopped coming.
    pub idle_timeouts: u64,
    /// Calls that the upstream broke off.
    pub resets: u64,
    /// Calls whose answer is not HTTP.
    pub invalid_answers: u64,
    /// Calls that the client's own body broke.
    pub client_failures: u64,
}

/// The counters behind [`UpstreamStats`].
#[derive(Debug)]
pub(super) struct Counters {
    name: Arc<str>,
    pub(super) in_flight: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) connections_opened: AtomicU64,
    pub(super) resent: AtomicU64,
    connect_failed: AtomicU64,
    connect_timeouts: AtomicU64,
    tls_failed: AtomicU64,
    first_byte_timeouts: AtomicU64,
    idle_timeouts: AtomicU64,
    resets: AtomicU64,
    invalid_answers: AtomicU64,
    client_failures: AtomicU64,
}

impl Counters {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            in_flight: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            connections_opened: AtomicU64::new(0),
            resent: AtomicU64::new(0),
            connect_failed: AtomicU64::new(0),
            connect_timeouts: AtomicU64::new(0),
            tls_failed: AtomicU64::new(0),
            first_byte_timeouts: AtomicU64::new(0),
            idle_timeouts: AtomicU64::new(0),
            resets: AtomicU64::new(0),
            invalid_answers: AtomicU64::new(0),
            client_failures: AtomicU64::new(0),
        }
    }

    pub(super) fn add_one(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a failure under its cause.
    pub(super) fn failed(&self, failure: &Failure) {
        Self::add_one(match &failure.cause {
            Cause::Unreachable | Cause::NotSent => &self.connect_failed,
            Cause::ConnectTimeout => &self.connect_timeouts,
            Cause::Tls => &self.tls_failed,
            Cause::FirstByteTimeout => &self.first_byte_timeouts,
            Cause::IdleTimeout => &self.idle_timeouts,
            Cause::Reset => &self.resets,
            Cause::Invalid => &self.invalid_answers,
            Cause::ClientBroke | Cause::ClientTooLarge(_) | Cause::NotForwardable(_) => &self.client_failures,
            Cause::ShuttingDown => return,
        });
    }

    pub(super) fn read(&self) -> UpstreamStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        UpstreamStats {
            name: Arc::clone(&self.name),
            in_flight: read(&self.in_flight),
            requests: read(&self.requests),
            connections_opened: read(&self.connections_opened),
            resent: read(&self.resent),
            connect_failed: read(&self.connect_failed),
            connect_timeouts: read(&self.connect_timeouts),
            tls_failed: read(&self.tls_failed),
            first_byte_timeouts: read(&self.first_byte_timeouts),
            idle_timeouts: read(&self.idle_timeouts),
            resets: read(&self.resets),
            invalid_answers: read(&self.invalid_answers),
            client_failures: read(&self.client_failures),
        }
    }
}
