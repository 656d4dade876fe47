//! The framings of streams behind one type, so that who watches a stream need not know which it is.

use super::{Event, Sse};

/// The scanner of one stream.
#[derive(Debug)]
pub enum Cutter {
    /// Server-sent events.
    Events(Sse),
}

impl Cutter {
    /// Takes the next chunk and reports every event that ends in it.
    pub fn feed(&mut self, chunk: &[u8], on_event: &mut dyn FnMut(Event<'_>)) {
        match self {
            Self::Events(sse) => sse.feed(chunk, on_event),
        }
    }

    /// Takes the end of the body: a last event without its end is reported too, for its usage counts.
    pub fn finish(&mut self, on_event: &mut dyn FnMut(Event<'_>)) {
        match self {
            Self::Events(sse) => sse.finish(on_event),
        }
    }

    /// The bytes so far of an event that has begun but not ended: the last ones of the chunks fed, unless skipped.
    pub fn pending(&self) -> &[u8] {
        match self {
            Self::Events(sse) => sse.pending(),
        }
    }

    /// Whether an event was too long and was skipped.
    pub fn truncated(&self) -> bool {
        match self {
            Self::Events(sse) => sse.truncated(),
        }
    }
}
