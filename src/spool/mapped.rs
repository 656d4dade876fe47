//! Copies records into a memory-mapped segment; the one file that lifts `unsafe_code`.
//!
//! A record becomes visible with its first word, stored last: a process that dies in the middle of an append leaves a
//! record that nobody takes for whole. Nothing here reads: readers use the file, so that no memory is shared between
//! threads. Mapped because the same append by `pwrite` costs ten times as much (PERFORMANCE.md, "What the pieces cost").

#![expect(unsafe_code, reason = "mapping a file is unsafe; this file is small so that it can be checked by reading")]

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::MmapMut;

use super::disk::File;
use super::record::HEAD_BYTES;

/// The bytes of the first word, which publishes a record.
const WORD: usize = size_of::<u64>();

/// A segment's file, mapped for writing.
pub(super) enum Mapped {
    /// Memory that is the file.
    Memory(MmapMut),
    /// A recording disk's file.
    #[cfg(test)]
    Recorded(super::disk::recorded::Handle),
}

impl Mapped {
    /// Maps a file whose blocks are all allocated, so that no later write to it can fail (SIGBUS).
    pub(super) fn new(file: &File) -> io::Result<Self> {
        match file {
            // SAFETY: the mapping is only valid while nobody shortens the file. It lies in a directory that this process
            // holds the lock of, under a name made for this process, and we shorten only files of earlier processes.
            File::Real(file) => Ok(Self::Memory(unsafe { MmapMut::map_mut(file)? })),
            #[cfg(test)]
            File::Recorded(handle) => Ok(Self::Recorded(handle.clone())),
        }
    }

    /// Copies a record to `at`, a multiple of 8; whether it fits.
    pub(super) fn write(&mut self, at: usize, head: &[u8; HEAD_BYTES], payload: &[&[u8]]) -> bool {
        let map = match self {
            Self::Memory(map) => map,
            #[cfg(test)]
            Self::Recorded(handle) => return handle.append(at, head, payload),
        };
        let bytes = HEAD_BYTES + payload.iter().map(|part| part.len()).sum::<usize>();
        let Some(room) = map.get_mut(at..).and_then(|rest| rest.get_mut(..bytes)) else { return false };
        let (first, head) = head.split_at(WORD);
        let (word, mut rest) = room.split_at_mut(WORD);
        let Ok(first) = <[u8; WORD]>::try_from(first) else { return false };
        for part in std::iter::once(&head).chain(payload) {
            let (to, left) = rest.split_at_mut(part.len());
            to.copy_from_slice(part);
            rest = left;
        }
        publish(word, first)
    }

    /// Stores one word at `at`, a multiple of 8, in one step; nothing where there is none.
    pub(super) fn store(&mut self, at: usize, word: [u8; WORD]) {
        match self {
            Self::Memory(map) => {
                let room = map.get_mut(at..).and_then(|rest| rest.get_mut(..WORD));
                let stored = room.is_some_and(|room| publish(room, word));
                debug_assert!(stored, "a word that is aligned and there");
            }
            #[cfg(test)]
            Self::Recorded(handle) => handle.write_at(&word, at as u64),
        }
    }

    /// Makes the first `bytes` present, so that appends don't fault. Only a matter of speed: an old kernel may refuse.
    pub(super) fn prefault(&self, bytes: usize) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Memory(map) => drop(map.advise_range(memmap2::Advice::PopulateWrite, 0, bytes.min(map.len()))),
            #[cfg(not(target_os = "linux"))]
            Self::Memory(_) => drop(bytes),
            #[cfg(test)]
            Self::Recorded(_) => {}
        }
    }
}

/// Stores a record's first word after everything that was written before; false if it is not aligned.
fn publish(word: &mut [u8], first: [u8; WORD]) -> bool {
    // SAFETY: any 8 bytes are a valid `AtomicU64`, and `word` borrows them exclusively.
    let (before, aligned, after) = unsafe { word.align_to_mut::<AtomicU64>() };
    let ([], [word], []) = (before, aligned, after) else { return false };
    word.store(u64::from_ne_bytes(first), Ordering::Release);
    true
}
