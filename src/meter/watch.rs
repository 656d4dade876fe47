//! Looks at an answer's frames on the side: counts them, stamps the clock, lets the dialect read.
//!
//! It owns none of the client's bytes and cannot fail: a defect in a dialect is caught, flagged, and ends the metering
//! of this answer, never the answer.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use tokio::time::Instant;

use super::draft::Draft;
use super::framing::{Sse, Whole};
use super::hide::{self, Hide, Span};
use crate::dialect::{Flags, openai};

/// How an answer is cut into what a dialect reads.
#[derive(Debug)]
pub(super) enum Framing {
    /// Server-sent events.
    Events(Sse),
    /// One body, read when it is whole.
    Whole(Whole),
    /// Not understood: bytes and time only.
    Opaque,
}

/// The watcher of one answer.
#[derive(Debug)]
pub(super) struct Watch {
    framing: Framing,
    hide: Option<Hide>,
    spans: Vec<Span>,
}

/// Whether an answer goes on after a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It goes on.
    More,
    /// Its last event begins here in the chunk.
    Last(usize),
}

impl Watch {
    pub(super) fn new(framing: Framing, hiding: bool) -> Self {
        Self { framing, hide: hiding.then(Hide::default), spans: Vec::new() }
    }

    /// Whether bytes may be taken out, so that the length is not known beforehand.
    pub(super) fn may_hide(&self) -> bool {
        self.hide.is_some()
    }

    /// Looks at a chunk; what may pass to the client is added to `out`.
    pub(super) fn chunk(&mut self, draft: &mut Draft, chunk: Bytes, out: &mut VecDeque<Bytes>) -> Seen {
        let looked = catch_unwind(AssertUnwindSafe(|| self.look(draft, &chunk)));
        let seen = looked.unwrap_or_else(|_| self.give_up(draft));
        let before = out.len();
        match &mut self.hide {
            None => out.push_back(chunk),
            Some(hide) => {
                let suspect = match &self.framing {
                    Framing::Events(sse) => hide::may_become_usage(sse.pending()),
                    Framing::Whole(_) | Framing::Opaque => false,
                };
                if hide.pass(&chunk, (&self.spans, suspect), out) {
                    draft.event.data.flag("usage_hidden");
                }
            }
        }
        draft.event.data.delivered.bytes += out.iter().skip(before).map(|bytes| bytes.len() as u64).sum::<u64>();
        seen
    }

    fn look(&mut self, draft: &mut Draft, chunk: &Bytes) -> Seen {
        self.spans.clear();
        let sse = match &mut self.framing {
            Framing::Events(sse) => sse,
            Framing::Whole(whole) => {
                draft.event.data.delivered.frames += 1;
                whole.push(chunk);
                return Seen::More;
            }
            Framing::Opaque => {
                draft.event.data.delivered.frames += 1;
                return Seen::More;
            }
        };
        let (dialect, reading) = (draft.route.dialect, &mut draft.reading);
        let (spans, hiding) = (&mut self.spans, self.hide.is_some());
        let (mut frames, mut contents, mut last) = (0, 0, None);
        sse.feed(chunk, &mut |event| {
            dialect.read_answer(event.data, reading);
            let hidden = hiding && openai::is_usage_only_chunk(event.data);
            if hiding {
                spans.push(Span { start: event.start, end: event.end, hidden });
            }
            frames += u64::from(!hidden);
            contents += u64::from(reading.had_content);
            if reading.done && last.is_none() {
                last = Some(event.start.unwrap_or(0));
            }
        });
        draft.event.data.delivered.frames += frames;
        if contents > 0 {
            draft.marks.content(Instant::now(), contents);
        }
        last.map_or(Seen::More, Seen::Last)
    }

    fn give_up(&mut self, draft: &mut Draft) -> Seen {
        draft.event.data.flag("meter_error");
        self.framing = Framing::Opaque;
        self.spans.clear();
        Seen::More
    }

    /// The answer is over: reads what only its end makes whole, and passes on what was held back.
    pub(super) fn end(&mut self, draft: &mut Draft, out: &mut VecDeque<Bytes>) {
        let (dialect, reading) = (draft.route.dialect, &mut draft.reading);
        let framing = &mut self.framing;
        let mut hidden = false;
        let read = catch_unwind(AssertUnwindSafe(|| match framing {
            Framing::Events(sse) => sse.finish(&mut |event| {
                dialect.read_answer(event.data, reading);
                hidden = openai::is_usage_only_chunk(event.data);
            }),
            Framing::Whole(whole) if whole.truncated() => reading.flag(Flags::METER_TRUNCATED),
            Framing::Whole(whole) => dialect.read_answer(whole.bytes(), reading),
            Framing::Opaque => {}
        }));
        if read.is_err() {
            draft.event.data.flag("meter_error");
        }
        if matches!(&self.framing, Framing::Events(sse) if sse.truncated()) {
            draft.reading.flag(Flags::METER_TRUNCATED);
        }
        if let Some(hide) = &mut self.hide {
            let before = out.len();
            if hidden {
                hide.forget();
                draft.event.data.flag("usage_hidden");
            }
            hide.release(out);
            draft.event.data.delivered.bytes += out.iter().skip(before).map(|bytes| bytes.len() as u64).sum::<u64>();
        }
    }
}
