//! The framings of streams behind one type, so that who watches a stream need not know which it is.

use super::{Event, Frames, Lines, Objects, Sse};
use crate::dialect::Streams;

/// The scanner of one stream.
#[derive(Debug)]
pub enum Cutter {
    /// Server-sent events.
    Events(Sse),
    /// One JSON text on each line.
    Lines(Lines),
    /// JSON objects one after the other.
    Objects(Objects),
    /// AWS's binary event stream.
    Frames(Frames),
}

impl Cutter {
    /// How it cuts.
    pub fn streams(&self) -> Streams {
        match self {
            Self::Events(_) => Streams::Events,
            Self::Lines(_) => Streams::Lines,
            Self::Objects(_) => Streams::Objects,
            Self::Frames(_) => Streams::Frames,
        }
    }

    /// Takes the next chunk and reports every event that ends in it.
    pub fn feed(&mut self, chunk: &[u8], on_event: &mut dyn FnMut(Event<'_>)) {
        match self {
            Self::Events(sse) => sse.feed(chunk, on_event),
            Self::Lines(lines) => lines.feed(chunk, on_event),
            Self::Objects(objects) => objects.feed(chunk, on_event),
            Self::Frames(frames) => frames.feed(chunk, on_event),
        }
    }

    /// Takes the end of the body: a last event without its end is reported too, for its usage counts.
    pub fn finish(&mut self, on_event: &mut dyn FnMut(Event<'_>)) {
        match self {
            Self::Events(sse) => sse.finish(on_event),
            Self::Lines(lines) => lines.finish(on_event),
            // Without its end neither an object nor a frame can be read.
            Self::Objects(_) | Self::Frames(_) => {}
        }
    }

    /// The bytes so far of an event that has begun but not ended: the last ones of the chunks fed, unless skipped.
    pub fn pending(&self) -> &[u8] {
        match self {
            Self::Events(sse) => sse.pending(),
            Self::Lines(lines) => lines.pending(),
            Self::Objects(objects) => objects.pending(),
            Self::Frames(frames) => frames.pending(),
        }
    }

    /// Whether an event was too long and was skipped.
    pub fn truncated(&self) -> bool {
        match self {
            Self::Events(sse) => sse.truncated(),
            Self::Lines(lines) => lines.truncated(),
            Self::Objects(objects) => objects.truncated(),
            Self::Frames(frames) => frames.truncated(),
        }
    }

    /// Whether a part of the stream was damaged, so that it could not be cut.
    pub fn damaged(&self) -> bool {
        match self {
            Self::Frames(frames) => frames.damaged(),
            Self::Events(_) | Self::Lines(_) | Self::Objects(_) => false,
        }
    }
}
