//! Looks at an answer's frames on the side: counts them, stamps the clock, lets the dialect read.
//!
//! It owns none of the client's bytes and cannot fail: a defect in a dialect is caught, flagged, and ends the metering
//! of this answer, never the answer.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use serde::de::IgnoredAny;
use tokio::time::Instant;

use super::draft::Draft;
use super::few::Few;
use super::framing::{Cutter, Encoded, Framing, Inflate, Stop};
use super::hide::{Hide, Span};
use crate::dialect::{Flags, Streams};

/// The watcher of one answer.
#[derive(Debug)]
pub(super) struct Watch {
    framing: Framing,
    /// Decodes what the framing reads, where the answer is compressed.
    inflate: Option<Inflate>,
    hide: Option<Hide>,
    spans: Few<Span>,
}

/// Whether an answer goes on after a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It goes on.
    More,
    /// Its last event begins here in what was passed of the chunk; 0 where that is not known.
    Last(usize),
}

/// How the watched bytes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// The body is whole.
    Whole,
    /// It broke off, so its last event or document may be half of one.
    Broken,
}

impl Watch {
    pub(super) fn new(framing: Framing, hiding: bool) -> Self {
        Self { framing, inflate: None, hide: hiding.then(Hide::default), spans: Few::default() }
    }

    /// The same for an answer that may be compressed; of one that is nothing can be taken out.
    pub(super) fn through(self, encoded: Encoded) -> Self {
        match encoded {
            Encoded::Plain => self,
            Encoded::Readable(inflate) => Self { inflate: Some(inflate), hide: None, ..self },
            Encoded::Unreadable => Self { framing: Framing::Opaque, hide: None, ..self },
        }
    }

    /// How one more event would be cut, where all so far are whole and the client could read it.
    pub(super) fn between_events(&self) -> Option<Streams> {
        let Framing::Stream(stream) = &self.framing else { return None };
        let between = self.inflate.is_none() && stream.pending().is_empty() && !stream.truncated();
        between.then(|| stream.streams())
    }

    /// Whether bytes may be taken out, so that the length is not known beforehand.
    pub(super) fn may_hide(&self) -> bool {
        self.hide.is_some()
    }

    /// Looks at a chunk; what may pass to the client is added to `out`.
    pub(super) fn chunk(&mut self, draft: &mut Draft, chunk: Bytes, out: &mut Few<Bytes>) -> Seen {
        let looked = catch_unwind(AssertUnwindSafe(|| self.look(draft, &chunk)));
        let seen = looked.unwrap_or_else(|_| self.give_up(draft));
        let (before, length) = (out.len(), chunk.len());
        let as_it_came = self.pass(draft, chunk, out);
        draft.delivered.bytes += if as_it_came { length as u64 } else { total(out, before) };
        // Places in the chunk are places in what passes only where the chunk passes as it came.
        if as_it_came || seen == Seen::More { seen } else { Seen::Last(0) }
    }

    /// Passes on what may pass of a chunk that was looked at; whether that is the chunk as it came.
    fn pass(&mut self, draft: &mut Draft, chunk: Bytes, out: &mut Few<Bytes>) -> bool {
        let pending = match &self.framing {
            Framing::Stream(stream) => stream.pending(),
            Framing::Whole(_) | Framing::Opaque => &[],
        };
        let Some(hide) = &mut self.hide else {
            out.push_back(chunk);
            return true;
        };
        if hide.lets_pass(&self.spans, pending) {
            out.push_back(chunk);
            return true;
        }
        let (before, length) = (out.len(), chunk.len());
        if hide.pass(&chunk, (&self.spans, pending), out) {
            draft.event.data.flag("usage_hidden");
        }
        out.len() == before + 1 && out.back().is_some_and(|only| only.len() == length)
    }

    fn look(&mut self, draft: &mut Draft, chunk: &Bytes) -> Seen {
        self.spans.clear();
        if !matches!(self.framing, Framing::Stream(_)) {
            draft.delivered.frames += 1;
        }
        match self.inflate.take() {
            Some(inflate) => self.look_into(draft, chunk, inflate),
            None => self.read(draft, chunk),
        }
    }

    /// Reads what a compressed chunk holds. Places in that are no places in the chunk.
    fn look_into(&mut self, draft: &mut Draft, chunk: &[u8], mut inflate: Inflate) -> Seen {
        let fed = inflate.feed(chunk, &mut |piece| {
            self.read(draft, &Bytes::copy_from_slice(piece));
        });
        match fed {
            Ok(()) => self.inflate = Some(inflate),
            Err(Stop::TooMuch) => self.stop_reading(draft, "meter_truncated"),
            Err(Stop::Broken) => self.stop_reading(draft, "meter_encoded"),
        }
        if draft.reading.done { Seen::Last(0) } else { Seen::More }
    }

    fn read(&mut self, draft: &mut Draft, piece: &Bytes) -> Seen {
        let Draft { delivered, reading, marks, route, passed_end, .. } = draft;
        let stream = match &mut self.framing {
            Framing::Stream(stream) => stream,
            Framing::Whole(whole) => {
                whole.push(piece);
                return Seen::More;
            }
            Framing::Opaque => return Seen::More,
        };
        let (spans, hide) = (&mut self.spans, self.hide.as_ref());
        let (mut contents, mut last) = (0, None);
        stream.feed(piece, &mut |event| {
            route.read(event.payload(), reading);
            let mut span = Span { start: event.start, end: event.end, hidden: false };
            if let Some(hide) = hide {
                span.hidden = reading.usage_alone && !reading.had_content && hide.may_take(span);
                spans.push_back(span);
            }
            delivered.frames += u64::from(!span.hidden);
            contents += u64::from(reading.had_content);
            *passed_end &= reading.done;
            // What says that it is done and then goes on was not.
            last = if reading.done { last.or(Some(event.start.unwrap_or(0))) } else { None };
        });
        if contents > 0 {
            delivered.content_frames += contents;
            marks.content(Instant::now(), contents);
        }
        last.map_or(Seen::More, Seen::Last)
    }

    fn stop_reading(&mut self, draft: &mut Draft, why: &'static str) {
        draft.event.data.flag(why);
        draft.unread = true;
        self.framing = Framing::Opaque;
        self.spans.clear();
    }

    fn give_up(&mut self, draft: &mut Draft) -> Seen {
        self.stop_reading(draft, "meter_error");
        draft.meter.panicked();
        Seen::More
    }

    /// The answer is over: reads what only its end makes whole, and passes on what was held back.
    pub(super) fn end(&mut self, draft: &mut Draft, close: Close, out: &mut Few<Bytes>) {
        let read = catch_unwind(AssertUnwindSafe(|| self.read_end(draft, close)));
        let hidden = read.unwrap_or_else(|_| {
            self.give_up(draft);
            false
        });
        let Some(hide) = &mut self.hide else { return };
        let before = out.len();
        if hidden {
            hide.forget();
            draft.event.data.flag("usage_hidden");
        }
        hide.release(out);
        draft.delivered.bytes += total(out, before);
    }

    /// Reads the last event or the document; whether it was an event to be hidden.
    fn read_end(&mut self, draft: &mut Draft, mut close: Close) -> bool {
        if self.inflate.as_ref().is_some_and(|inflate| !inflate.is_whole()) && close == Close::Whole {
            draft.reading.flag(Flags::METER_ERROR);
            close = Close::Broken;
        }
        match &mut self.framing {
            Framing::Stream(stream) => {
                let hidden = read_last(stream, self.hide.as_ref(), (draft, close));
                if stream.truncated() {
                    draft.reading.flag(Flags::METER_TRUNCATED);
                }
                if stream.damaged() {
                    draft.reading.flag(Flags::METER_ERROR);
                }
                draft.unread |= stream.truncated() || stream.damaged();
                return hidden;
            }
            Framing::Whole(whole) if whole.truncated() => {
                draft.reading.flag(Flags::METER_TRUNCATED);
                draft.unread = true;
            }
            Framing::Whole(whole) if close == Close::Whole || is_whole(whole.bytes()) => {
                draft.route.dialect.read_answer(whole.bytes().into(), &mut draft.reading);
                draft.reading.done = true;
            }
            Framing::Whole(_) | Framing::Opaque => draft.unread = true,
        }
        false
    }
}

/// Reads an event that the body ended without a blank line. Half an event says nothing, least of all that it is odd.
fn read_last(stream: &mut Cutter, hide: Option<&Hide>, (draft, close): (&mut Draft, Close)) -> bool {
    let Draft { delivered, reading, marks, route, .. } = draft;
    let mut hidden = false;
    stream.finish(&mut |event| {
        if close == Close::Broken && !is_whole(event.data) {
            return;
        }
        route.dialect.read_answer(event.payload(), reading);
        let place = Span { start: None, end: 0, hidden: false };
        hidden = reading.usage_alone && hide.is_some_and(|hide| hide.may_take(place));
        delivered.frames += u64::from(!hidden);
        if reading.had_content {
            delivered.content_frames += 1;
            marks.content(Instant::now(), 1);
        }
    });
    hidden
}

/// Whether these bytes are a document and not half of one.
fn is_whole(data: &[u8]) -> bool {
    data.trim_ascii().starts_with(b"[DONE]") || serde_json::from_slice::<IgnoredAny>(data).is_ok()
}

fn total(out: &Few<Bytes>, before: usize) -> u64 {
    out.iter().skip(before).map(|bytes| bytes.len() as u64).sum()
}
