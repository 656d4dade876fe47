//! Takes the usage chunk that we asked for, and the client did not, out of the stream again.
//!
//! Every other byte passes as it came. A frame that ends inside an event is held back only while that event could
//! still be the usage chunk: no client can act on half an event, so nothing is delayed that could have been used.

use std::collections::VecDeque;
use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;

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

/// Bytes held back, all of one unfinished event.
#[derive(Debug, Default)]
pub(super) struct Hide {
    held: Vec<Bytes>,
    held_bytes: usize,
}

impl Hide {
    /// Passes a chunk on, without the hidden events in `spans` (in order); whether anything was hidden. `suspect` says
    /// that the chunk ends within an event that may be the usage chunk.
    pub(super) fn pass(&mut self, chunk: &Bytes, (spans, suspect): (&[Span], bool), out: &mut VecDeque<Bytes>) -> bool {
        let mut from = 0;
        let mut hid = false;
        for span in spans {
            if !span.hidden {
                self.release(out);
                continue;
            }
            hid = true;
            match span.start {
                Some(start) => push(out, chunk.slice(from..start)),
                // Its beginning is what was held back.
                None => self.forget(),
            }
            from = span.end;
        }
        self.tail(chunk.slice(from..), (spans.last().map_or(0, |span| span.end) - from, suspect), out);
        hid
    }

    /// The rest of a chunk: whole events to pass, then perhaps the beginning of a suspect.
    fn tail(&mut self, rest: Bytes, (whole, suspect): (usize, bool), out: &mut VecDeque<Bytes>) {
        let begun = rest.len() - whole.min(rest.len());
        if !suspect || self.held_bytes + begun > LARGEST {
            self.release(out);
            push(out, rest);
            return;
        }
        push(out, rest.slice(..whole));
        let begun = rest.slice(whole..);
        self.held_bytes += begun.len();
        self.held.push(begun);
    }

    /// Passes on what was held back.
    pub(super) fn release(&mut self, out: &mut VecDeque<Bytes>) {
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

fn push(out: &mut VecDeque<Bytes>, bytes: Bytes) {
    if !bytes.is_empty() {
        out.push_back(bytes);
    }
}

/// Whether an unfinished event may turn out to be the usage chunk: nothing in it so far belongs to a choice.
pub(super) fn may_become_usage(pending: &[u8]) -> bool {
    static CHOICE: LazyLock<[Finder<'static>; 3]> =
        LazyLock::new(|| ["\"delta\"", "\"finish_reason\"", "\"index\""].map(Finder::new));
    !pending.is_empty() && CHOICE.iter().all(|part| part.find(pending).is_none())
}
