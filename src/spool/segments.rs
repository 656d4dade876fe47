//! The list of segments on disk, oldest first; the last one is the one being written.

use std::collections::VecDeque;

use super::record::Salt;
use super::segment::{HEADER_BYTES, Segment, SegmentId};

/// What is known of a segment.
#[derive(Clone, Debug)]
pub(super) struct Info {
    pub(super) id: SegmentId,
    pub(super) salt: Salt,
    /// The file's length.
    pub(super) bytes: u64,
    /// The offset after the last record.
    pub(super) end: u64,
    /// Up to here readers may read: what they deliver must not be lost afterwards.
    pub(super) readable: u64,
    /// The offset after the last FINAL, if it has one.
    pub(super) last_final: Option<u64>,
    /// Number of FINALs.
    pub(super) finals: u64,
    /// Number of INTENTs whose tickets are open.
    pub(super) open: usize,
}

impl Info {
    /// A segment of this process, about to be written.
    pub(super) fn fresh(segment: &Segment) -> Self {
        Self {
            id: segment.id,
            salt: segment.salt,
            bytes: segment.bytes as u64,
            end: HEADER_BYTES as u64,
            readable: HEADER_BYTES as u64,
            last_final: None,
            finals: 0,
            open: 0,
        }
    }
}

/// Where a reader may read on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) id: SegmentId,
    pub(super) salt: Salt,
    /// Up to here records are whole.
    pub(super) end: u64,
}

/// All segments.
#[derive(Default)]
pub(super) struct Segments {
    list: VecDeque<Info>,
    bytes: u64,
}

impl Segments {
    pub(super) fn push(&mut self, info: Info) {
        self.bytes += info.bytes;
        self.list.push_back(info);
    }

    /// Forgets the oldest.
    pub(super) fn pop(&mut self) {
        if let Some(info) = self.list.pop_front() {
            self.bytes -= info.bytes;
        }
    }

    /// The oldest, unless it is the one being written.
    pub(super) fn oldest_sealed(&self) -> Option<&Info> {
        self.list.front().filter(|_| self.list.len() > 1)
    }

    /// All of them, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Info> {
        self.list.iter()
    }

    /// The one being written.
    pub(super) fn active_mut(&mut self) -> Option<&mut Info> {
        self.list.back_mut()
    }

    pub(super) fn get(&self, id: SegmentId) -> Option<&Info> {
        self.list.binary_search_by_key(&id, |info| info.id).ok().and_then(|at| self.list.get(at))
    }

    pub(super) fn get_mut(&mut self, id: SegmentId) -> Option<&mut Info> {
        self.list.binary_search_by_key(&id, |info| info.id).ok().and_then(|at| self.list.get_mut(at))
    }

    /// Where to read on after offset `at` of segment `id`, which may be gone; `None` when there is nothing more yet.
    pub(super) fn extent(&self, id: SegmentId, at: u64) -> Option<Extent> {
        let from = self.list.partition_point(|info| info.id < id);
        let unread = |info: &&Info| info.readable > if info.id == id { at } else { HEADER_BYTES as u64 };
        let info = self.list.range(from..).find(unread)?;
        Some(Extent { id: info.id, salt: info.salt, end: info.readable })
    }

    /// Number of FINALs in the segments after `id`.
    pub(super) fn finals_after(&self, id: SegmentId) -> u64 {
        self.list.iter().rev().take_while(|info| info.id > id).map(|info| info.finals).sum()
    }

    /// Bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether the oldest segment is of this epoch.
    pub(super) fn begins_with_epoch(&self, epoch: u64) -> bool {
        self.list.front().is_some_and(|info| info.id.epoch == epoch)
    }
}
