//! What of the log is not yet on the disk, and what becomes of it when it is, or cannot be.

use std::sync::Arc;

use super::Log;
use crate::spool::disk::File;
use crate::spool::segment::SegmentId;

/// A file with records that may not be on the disk yet.
pub(in crate::spool) struct Unfinished {
    pub(in crate::spool) id: SegmentId,
    pub(in crate::spool) file: Arc<File>,
    /// The offset after the last of them.
    pub(in crate::spool) end: u64,
}

impl Log {
    /// Hands over what must be synced for everything written so far to be durable, oldest first. A file whose sync
    /// failed is not among it: asking again could be answered wrongly.
    pub(in crate::spool) fn take_unsynced(&mut self) -> Vec<Unfinished> {
        let mut unsynced = std::mem::take(&mut self.rolled);
        unsynced.extend((!self.poisoned).then(|| self.active_unsynced()));
        unsynced
    }

    /// From now on readers need not wait for what they read to be synced, unless it is to be `durable`.
    pub(in crate::spool) fn read_ahead(&mut self, durable: bool) {
        self.keep_rolled = durable;
        if durable {
            return;
        }
        self.unsynced.clear();
        if let Some(info) = self.segments.active_mut() {
            info.readable = info.end;
        }
    }

    /// Readers may read what was synced.
    pub(in crate::spool) fn synced(&mut self, synced: &Unfinished) {
        if let Some(info) = self.segments.get_mut(synced.id) {
            info.readable = info.readable.max(synced.end);
        }
        self.unsynced.synced(synced.id, synced.end);
        self.grown += 1;
    }

    /// Writes no more to a file whose sync failed. What it holds may be lost, so it is the more urgent to deliver it.
    pub(in crate::spool) fn poison(&mut self, failed: &Unfinished) {
        self.poisoned |= failed.id == self.active.id;
        if let Some(info) = self.segments.get_mut(failed.id) {
            info.readable = info.end;
        }
        self.unsynced.failed(failed.id);
        self.grown += 1;
    }

    pub(super) fn active_unsynced(&self) -> Unfinished {
        Unfinished { id: self.active.id, file: Arc::clone(&self.active.file), end: self.at as u64 }
    }
}
