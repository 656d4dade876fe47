//! Tells whether a repeated event is the same to the last byte.
//!
//! Only the latest events are remembered, by a digest of 8 bytes each: a replay follows what it repeats closely, and
//! memory must not follow the events. A copy that comes too late is counted as not compared, never as the same.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Events remembered: 4 MiB in all. One epoch's latest events never push each other out before that.
const REMEMBERED: usize = 1 << 18;

/// What became of comparing a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// The same bytes.
    Identical,
    /// The same id, other bytes.
    Different,
    /// The first one is no longer remembered.
    Unknown,
}

/// The latest events.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Digests of the id and of the bytes.
    slots: Vec<(u64, u64)>,
}

impl Recent {
    /// Remembers an event seen for the first time.
    pub(super) fn remember(&mut self, epoch: (&str, u64), number: u64, bytes: &[u8]) {
        if self.slots.is_empty() {
            self.slots.resize(REMEMBERED, (0, 0));
        }
        if let Some(slot) = self.slots.get_mut(place(epoch, number)) {
            *slot = (digest(&(epoch, number)), digest(bytes));
        }
    }

    /// Compares a copy with the first one.
    pub(super) fn compare(&self, epoch: (&str, u64), number: u64, bytes: &[u8]) -> Likeness {
        match self.slots.get(place(epoch, number)) {
            Some((id, first)) if *id == digest(&(epoch, number)) => {
                if *first == digest(bytes) {
                    Likeness::Identical
                } else {
                    Likeness::Different
                }
            }
            _ => Likeness::Unknown,
        }
    }
}

fn place(epoch: (&str, u64), number: u64) -> usize {
    (digest(&epoch).wrapping_add(number) % REMEMBERED as u64) as usize
}

fn digest(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
