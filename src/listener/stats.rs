//! What the listener has counted. It knows no metrics: whoever publishes the numbers reads them from here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::activity::Cause;

/// Counted since the listener was bound, except `open`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections open now.
    pub open: u64,
    /// Times when accepting paused because `max_connections` were open.
    pub at_limit: u64,
    /// Times when the system refused to accept, for want of file descriptors or memory.
    pub accept_errors: u64,
    /// TLS handshakes that failed or took too long.
    pub tls_failures: u64,
    /// Connections cut because a request head came too slowly.
    pub header_timeouts: u64,
    /// Connections closed because nothing was asked on them for the idle timeout.
    pub idle_closed: u64,
    /// Connections cut because the client took nothing of an answer for the idle timeout.
    pub stalled: u64,
    /// Connections that ended because the client broke the protocol.
    pub protocol_errors: u64,
    /// Connections that a panic ended.
    pub panics: u64,
}

#[derive(Debug, Default)]
struct Cells {
    accepted: AtomicU64,
    open: AtomicU64,
    at_limit: AtomicU64,
    accept_errors: AtomicU64,
    tls_failures: AtomicU64,
    header_timeouts: AtomicU64,
    idle_closed: AtomicU64,
    stalled: AtomicU64,
    protocol_errors: AtomicU64,
    panics: AtomicU64,
}

/// Reads the counts while the listener runs.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Cells>);

/// Counts one connection as open until dropped.
#[derive(Debug)]
pub(super) struct Open(Counts);

impl Counts {
    /// The counts now.
    pub fn stats(&self) -> Stats {
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        let cells = &*self.0;
        Stats {
            accepted: read(&cells.accepted),
            open: read(&cells.open),
            at_limit: read(&cells.at_limit),
            accept_errors: read(&cells.accept_errors),
            tls_failures: read(&cells.tls_failures),
            header_timeouts: read(&cells.header_timeouts),
            idle_closed: read(&cells.idle_closed),
            stalled: read(&cells.stalled),
            protocol_errors: read(&cells.protocol_errors),
            panics: read(&cells.panics),
        }
    }

    pub(super) fn opened(&self) -> Open {
        add(&self.0.accepted);
        add(&self.0.open);
        Open(self.clone())
    }

    pub(super) fn at_limit(&self) {
        add(&self.0.at_limit);
    }

    pub(super) fn accept_error(&self) {
        add(&self.0.accept_errors);
    }

    pub(super) fn tls_failure(&self) {
        add(&self.0.tls_failures);
    }

    pub(super) fn protocol_error(&self) {
        add(&self.0.protocol_errors);
    }

    pub(super) fn panic(&self) {
        add(&self.0.panics);
    }

    pub(super) fn cut(&self, cause: Cause) {
        add(match cause {
            Cause::Idle => &self.0.idle_closed,
            Cause::SlowHead => &self.0.header_timeouts,
            Cause::Stalled => &self.0.stalled,
        });
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn add(cell: &AtomicU64) {
    cell.fetch_add(1, Ordering::Relaxed);
}
