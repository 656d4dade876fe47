//! Which segment can be deleted: the oldest, when every sink has delivered it and no open request needs it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Log;
use crate::spool::position::Position;
use crate::spool::segment::SegmentId;

/// A sink that reads the log.
pub(in crate::spool) struct Sink {
    pub(in crate::spool) name: String,
    /// The durable mark: what deletion may rely on.
    pub(in crate::spool) mark: Position,
    /// The ordinal of the last event acknowledged; set by the sink's own thread.
    pub(in crate::spool) acknowledged: Arc<AtomicU64>,
    /// The same when it was registered.
    pub(in crate::spool) start: u64,
}

/// Why the oldest segment stays, or that it need not.
pub(in crate::spool) enum Oldest {
    /// It is being written, not delivered, or too much of it is open.
    Held,
    /// Only these tickets' INTENTs hold it.
    Pinned(Vec<u64>),
    /// It can be deleted.
    Free(SegmentId),
}

impl Log {
    /// Whether the oldest segment can go.
    pub(in crate::spool) fn oldest(&self) -> Oldest {
        let Some(info) = self.segments.oldest_sealed() else { return Oldest::Held };
        let last = (info.id, info.last_final.unwrap_or(0));
        if self.sinks.is_empty() || self.sinks.iter().any(|sink| sink.mark.place() < last && info.last_final.is_some())
        {
            return Oldest::Held;
        }
        if info.open == 0 {
            return Oldest::Free(info.id);
        }
        let here = self.open.iter().filter(|(_, open)| open.segment == info.id);
        let bytes: usize = here.clone().map(|(_, open)| open.begun.bytes()).sum();
        // Carrying most of a segment onward would gain nothing and could go on for ever.
        if bytes > self.active.bytes / 2 {
            Oldest::Held
        } else {
            Oldest::Pinned(here.map(|(number, _)| *number).collect())
        }
    }

    /// The ordinal up to which every sink has acknowledged; `None` without a sink.
    pub(in crate::spool) fn delivered_by_all(&self) -> Option<u64> {
        self.sinks.iter().map(|sink| sink.acknowledged.load(Ordering::Relaxed)).min()
    }
}
