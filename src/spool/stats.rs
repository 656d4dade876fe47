//! What the spool counts.

use std::sync::atomic::{AtomicU64, Ordering};

use super::shared::Shared;
use crate::types::Timestamp;

/// The spool's state and its counters since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes that the segments take on disk, ready ones included.
    pub bytes: u64,
    /// Segments with records.
    pub segments: u64,
    /// When the oldest event that not every sink has delivered was recorded, to about a second and never too late.
    pub oldest_undelivered: Option<Timestamp>,
    /// Events found in the log when it was opened and not delivered by every sink then.
    pub inherited: u64,
    /// Events recorded by tickets, interrupted ones included.
    pub committed: u64,
    /// Events that every sink has delivered, those of earlier processes included.
    pub delivered: u64,
    /// Events that not every sink has delivered. At any moment `inherited + committed + recovered + losses` is
    /// `delivered + pending + spoiled`.
    pub pending: u64,
    /// Events that were in the log and that damage took since it was opened: each is replaced by a recovered one or
    /// named by a loss event.
    pub spoiled: u64,
    /// Numbers given out whose event was not recorded. With those committed and open it is every number given out.
    pub dropped: u64,
    /// The last number given out: how many there are in this epoch.
    pub given_out: u64,
    /// Tickets not sealed yet.
    pub open: u64,
    /// Requests that did not come to record their event, or whose event was damaged, and were ended as what is known of
    /// them: at the start those of earlier processes.
    pub recovered: u64,
    /// Loss events recorded.
    pub losses: u64,
    /// Damaged stretches found in the log.
    pub damaged: u64,
    /// Open INTENTs copied onward so that their segment could go.
    pub carried: u64,
    /// Snapshots of running requests that were left out for want of room.
    pub progress_skipped: u64,
    /// Commits whose events may not survive a loss of power, because syncing failed again and again.
    pub sync_failures: u64,
    /// Segments that could not be synced; what they held was written into the next.
    pub poisoned: u64,
    /// Marks that could not be written.
    pub mark_failures: u64,
    /// Reads of the log that failed; they are tried again.
    pub read_failures: u64,
    /// Delivered segments that could not be deleted; they are tried again.
    pub delete_failures: u64,
    /// Segments made on the way of a request because none was ready.
    pub made_inline: u64,
}

/// The counters behind [`Stats`].
#[derive(Default)]
pub(super) struct Counters {
    pub(super) damaged: AtomicU64,
    pub(super) carried: AtomicU64,
    pub(super) progress_skipped: AtomicU64,
    pub(super) sync_failures: AtomicU64,
    pub(super) poisoned: AtomicU64,
    pub(super) mark_failures: AtomicU64,
    pub(super) read_failures: AtomicU64,
    pub(super) delete_failures: AtomicU64,
    pub(super) made_inline: AtomicU64,
}

impl Counters {
    /// One more.
    pub(super) fn add(counter: &AtomicU64) {
        Self::add_many(counter, 1);
    }

    /// So many more.
    pub(super) fn add_many(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

/// Looks at everything once.
pub(super) fn collect(shared: &Shared) -> Stats {
    let counters = &shared.counters;
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let log = shared.log();
    let acknowledged = log.delivered_by_all().unwrap_or(0);
    let start = log.sinks.iter().map(|sink| sink.start).min().unwrap_or(0);
    let oldest = if acknowledged < log.finals { log.ages.after(acknowledged) } else { None };
    let balance = log.balance;
    Stats {
        bytes: log.room().on_disk,
        segments: log.segments.len() as u64,
        oldest_undelivered: oldest.map(Timestamp::from_millis),
        inherited: balance.inherited.saturating_sub(start),
        committed: balance.committed,
        recovered: balance.recovered,
        losses: balance.losses,
        delivered: acknowledged.saturating_sub(start),
        pending: log.finals.saturating_sub(acknowledged),
        spoiled: balance.spoiled,
        dropped: balance.dropped,
        given_out: log.numbering.last(),
        open: log.tickets,
        damaged: read(&counters.damaged),
        carried: read(&counters.carried),
        progress_skipped: read(&counters.progress_skipped),
        sync_failures: read(&counters.sync_failures),
        poisoned: read(&counters.poisoned),
        mark_failures: read(&counters.mark_failures),
        read_failures: read(&counters.read_failures),
        delete_failures: read(&counters.delete_failures),
        made_inline: read(&counters.made_inline),
    }
}
