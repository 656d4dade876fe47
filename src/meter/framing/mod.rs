//! Cuts answer bodies into payloads for a dialect, on the side: no byte is moved, held or changed on its way.
//!
//! One file per framing. [`Framing::of`] chooses by the answer's head; where that does not say, the dialect does.

mod choose;
mod cutter;
mod frames;
mod inflate;
mod lines;
mod objects;
mod pending;
mod sse;
mod whole;

use crate::dialect::Payload;

pub use cutter::Cutter;
pub use frames::Frames;
pub use inflate::{Encoded, Inflate, Stop};
pub use lines::Lines;
pub use objects::Objects;
pub use sse::Sse;
pub use whole::Whole;

/// A byte order mark, which some texts begin with and which means nothing.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// One payload of a stream. What carries no data (comments, blank lines) is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its data; of several lines in SSE, joined by LF.
    pub data: &'a [u8],
    /// Its name, where it has one.
    pub name: Option<&'a [u8]>,
    /// Where in this chunk it begins; `None` when it began in an earlier one.
    pub start: Option<usize>,
    /// The first byte of this chunk after it. When a chunk ends between the CR and the LF that end an event, the LF is
    /// nobody's and comes first in the next chunk.
    pub end: usize,
}

impl<'a> Event<'a> {
    /// What a dialect reads of it.
    pub fn payload(&self) -> Payload<'a> {
        Payload { name: self.name, data: self.data }
    }
}

/// How an answer is cut into what a dialect reads.
#[derive(Debug)]
pub enum Framing {
    /// A stream of events.
    Stream(Cutter),
    /// One body, read when it is whole.
    Whole(Whole),
    /// Not understood: bytes and time only.
    Opaque,
}

#[cfg(test)]
pub(super) use frames::tests::event as aws_frame;
