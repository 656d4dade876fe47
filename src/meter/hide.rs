//! Takes the usage chunk that we asked for, and the client did not, out of the stream again.
//!
//! Every other byte passes as it came. A frame that ends inside an event is held back only while that event could
//! still be the usage chunk: no client can act on half an event, so nothing is delayed that could have been used.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;

use super::few::Few;

/// An event larger than this is no usage chunk.
const LARGEST: usize = 32 * 1024;

/// Where an event lies in the chunk at hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Where it begins; `None` when in an earlier chunk.
    pub(super) start: Option<usize>,
    /// Just past its blank line.
    pub(super) end: usize,
    /// Whether it is the usage chunk.
    pub(super) hidden: bool,
}

/// Bytes held back: the unfinished event from its beginning, or none of it.
#[derive(Debug, Default)]
pub(super) struct Hide {
    held: Vec<Bytes>,
    held_bytes: usize,
    /// The beginning of the unfinished event has been passed on, so its end must follow.
    begun: bool,
    /// The last chunk ended with the CR of a hidden event; an LF next belongs to that.
    after_hidden_cr: bool,
}

impl Hide {
    /// Whether an event that ends here can still be taken out whole; one too large never is, however it was cut.
    pub(super) fn may_take(&self, span: Span) -> bool {
        match span.start {
            Some(start) => span.end - start <= LARGEST,
            None => !self.begun && self.held_bytes + span.end <= LARGEST,
        }
    }

    /// Whether a chunk passes as it came, as nearly all do: it ends with a whole event, nothing in it is hidden, and
    /// nothing is held that comes before it. If so that is noted.
    pub(super) fn lets_pass(&mut self, spans: &Few<Span>, pending: &[u8]) -> bool {
        let plain = pending.is_empty() && self.held.is_empty() && !self.after_hidden_cr;
        let passes = plain && !spans.iter().any(|span| span.hidden);
        self.begun &= !passes;
        passes
    }

    /// Passes a chunk on, without the hidden events in `spans` (in order); whether anything was hidden. `pending` are
    /// the bytes so far of the event within which the chunk ends.
    pub(super) fn pass(&mut self, chunk: &Bytes, (spans, pending): (&Few<Span>, &[u8]), out: &mut Few<Bytes>) -> bool {
        if chunk.is_empty() {
            return false;
        }
        let orphan = std::mem::take(&mut self.after_hidden_cr) && chunk.first() == Some(&b'\n');
        let mut from = usize::from(orphan);
        let mut hid = false;
        for span in spans.iter() {
            match (span.hidden, span.start) {
                (true, None) => self.forget(),
                // What was held ended without being an event, such as a comment.
                (true, Some(start)) => {
                    self.release(out);
                    push(out, chunk.slice(from..start.max(from)));
                }
                (false, _) => {
                    self.release(out);
                    continue;
                }
            }
            hid = true;
            from = span.end;
        }
        self.after_hidden_cr = hid && from == chunk.len() && chunk.last() == Some(&b'\r');
        self.tail(&chunk.slice(from..), pending, out);
        hid
    }

    /// The rest of a chunk: what has ended, then perhaps the beginning of what may be the usage chunk.
    fn tail(&mut self, rest: &Bytes, pending: &[u8], out: &mut Few<Bytes>) {
        if pending.len() <= rest.len() {
            // It begins here: what was held before it has ended.
            self.release(out);
            self.begun = false;
        }
        let ended = rest.len().saturating_sub(pending.len());
        push(out, rest.slice(..ended));
        let unfinished = rest.slice(ended..);
        let suspect = !self.begun && pending.len() <= LARGEST && may_become_usage(pending);
        if suspect {
            self.held_bytes += unfinished.len();
            self.held.push(unfinished);
        } else {
            self.release(out);
            self.begun = !pending.is_empty();
            push(out, unfinished);
        }
    }

    /// Passes on what was held back.
    pub(super) fn release(&mut self, out: &mut Few<Bytes>) {
        for held in self.held.drain(..) {
            push(out, held);
        }
        self.held_bytes = 0;
    }

    /// Drops what was held back: it was the beginning of the usage chunk.
    pub(super) fn forget(&mut self) {
        self.held.clear();
        self.held_bytes = 0;
    }
}

fn push(out: &mut Few<Bytes>, bytes: Bytes) {
    if !bytes.is_empty() {
        out.push_back(bytes);
    }
}

/// Whether an unfinished event may turn out to be the usage chunk: nothing in it so far belongs to a choice.
fn may_become_usage(pending: &[u8]) -> bool {
    static CHOICE: LazyLock<[Finder<'static>; 4]> =
        LazyLock::new(|| ["\"delta\"", "\"finish_reason\"", "\"choices\":[{", "\"choices\": [{"].map(Finder::new));
    !pending.is_empty() && CHOICE.iter().all(|part| part.find(pending).is_none())
}

#[cfg(test)]
mod tests;
