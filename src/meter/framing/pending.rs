//! What is kept of an event between the chunks that it is spread over: its bytes so far, up to [`MAX`].
//!
//! A longer event is not kept but skipped to its end, and that is remembered. An event that lies whole within one chunk
//! is lent out as it stands, without a copy.

/// The longest event that is read, in bytes. A fuzzer's are short.
pub(super) const MAX: usize = if cfg!(fuzzing) { 2048 } else { 256 * 1024 };

/// The beginning of an event that has not ended.
#[derive(Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    /// The event at hand is too long: its end is awaited.
    skipping: bool,
    truncated: bool,
}

/// An event that has ended.
pub(super) struct Ended<'a> {
    pub(super) bytes: &'a [u8],
    /// It began in the chunk in which it ends.
    pub(super) at_once: bool,
}

impl Pending {
    /// The bytes so far; none while an event is skipped.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether no event has begun.
    pub(super) fn is_clear(&self) -> bool {
        self.bytes.is_empty() && !self.skipping
    }

    /// Whether an event was too long.
    pub(super) fn truncated(&self) -> bool {
        self.truncated
    }

    /// Keeps the last part of a chunk, in which the event does not end.
    pub(super) fn keep(&mut self, part: &[u8]) {
        if self.skipping {
            return;
        }
        if self.bytes.len() + part.len() > MAX {
            self.bytes = Vec::new();
            self.skipping = true;
            self.truncated = true;
        } else {
            self.bytes.extend_from_slice(part);
        }
    }

    /// Puts the event together with the part that ends it; nothing when it was too long. [`Self::clear`] comes next.
    pub(super) fn end<'a>(&'a mut self, part: &'a [u8]) -> Option<Ended<'a>> {
        let skipped = std::mem::take(&mut self.skipping) || self.bytes.len() + part.len() > MAX;
        self.truncated |= skipped;
        if skipped {
            return None;
        }
        let at_once = self.bytes.is_empty();
        if !at_once {
            self.bytes.extend_from_slice(part);
        }
        Some(Ended { bytes: if at_once { part } else { &self.bytes }, at_once })
    }

    /// Forgets the event that has ended.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }
}

#[cfg(test)]
impl Pending {
    /// The memory that it takes.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

impl std::fmt::Debug for Pending {
    /// Shows no content.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes pending, truncated: {}", self.bytes.len(), self.truncated)
    }
}
