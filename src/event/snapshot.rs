//! The numbers of an event whose answer is still running, without the event.
//!
//! While an answer comes, hardly anything of its event changes but a few numbers, and they fit into a fraction of its
//! bytes. They are absolute, so that only the last snapshot matters. Put into the event as it was encoded before, they
//! give the bytes that encoding it anew would give: the four parts that hold them are replaced where they stand, and all
//! around them stays as it is. Of usage that is our own estimate two numbers are kept; what a provider reports may be
//! anything, so of that the whole part is kept as the event says it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Cost, Delivered, MAX_BYTES, Spans, line};
use crate::types::{NanoUsd, Source, Usage};

/// The usage is an estimate: nothing follows the words.
const ESTIMATED: u64 = 1;
/// It was reported, and follows the words.
const REPORTED: u64 = 2;
/// Of a part that may be absent: that it is there.
const FIRST_BYTE: u64 = 1 << 8;
const CONTENT: u64 = 1 << 9;
const COST: u64 = 1 << 10;
const WORDS: usize = 15;
const WORD_BYTES: usize = WORDS * 8;
/// Room for this much is made at once.
const USUAL_REPORT: usize = 512;
/// Usage that takes more than this is not worth a snapshot: the event is told whole.
const LONGEST_REPORT: usize = 1024;
/// More than the parts can grow by, but for what is reported.
const MOST_ADDED: usize = 512;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What reached the client.
    pub delivered: Delivered,
    /// How long it took.
    pub spans: Spans,
    /// What was used.
    pub tokens: Tokens,
    /// What input and output cost, when the price is known.
    pub cost: Option<(NanoUsd, NanoUsd)>,
}

/// The usage so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// Estimated here.
    Estimated {
        /// Tokens of input.
        input: u64,
        /// Tokens of output.
        output: u64,
    },
    /// Reported by the provider.
    Reported(Reported),
}

/// A usage that a provider has reported, as an event says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    text: String,
    output_tokens: Option<u64>,
}

impl Reported {
    /// `None` where it is not a provider's, or takes more than a snapshot is worth.
    pub fn of(usage: &Usage) -> Option<Self> {
        let mut text = Vec::with_capacity(USUAL_REPORT);
        line::write(&mut text, usage).ok()?;
        let text = String::from_utf8(text).ok().filter(|text| text.len() <= LONGEST_REPORT)?;
        (usage.source == Source::Provider).then_some(Self { text, output_tokens: usage.output_tokens })
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= LONGEST_REPORT)?;
        let usage = serde_json::from_str::<Usage>(text).ok().filter(|usage| usage.source == Source::Provider)?;
        Some(Self { text: text.to_owned(), output_tokens: usage.output_tokens })
    }
}

impl Snapshot {
    /// The bytes of an encoded one: its words, and what was reported after them.
    pub fn bytes(&self) -> usize {
        WORD_BYTES + self.report().len()
    }

    /// What was reported, as it follows the words.
    pub fn report(&self) -> &[u8] {
        match &self.tokens {
            Tokens::Estimated { .. } => &[],
            Tokens::Reported(reported) => reported.text.as_bytes(),
        }
    }

    /// `kind of usage and what is there 8 | delivered 3 * 8 | spans 7 * 8, in nanoseconds | estimated tokens 2 * 8 |
    /// nano-dollars 2 * 8`, all little-endian; what is not there is zero.
    pub fn words(&self) -> [u8; WORD_BYTES] {
        let Self { delivered, spans, tokens, cost } = self;
        let there = |part: u64, there: bool| if there { part } else { 0 };
        let nanos = |span: Option<Duration>| span.unwrap_or_default().as_nanos() as u64;
        let (kind, estimated) = match *tokens {
            Tokens::Estimated { input, output } => (ESTIMATED, (input, output)),
            Tokens::Reported(_) => (REPORTED, (0, 0)),
        };
        let (input, output) = cost.unwrap_or_default();
        let words: [u64; WORDS] = [
            kind | there(FIRST_BYTE, spans.first_byte.is_some())
                | there(CONTENT, spans.first_content.is_some())
                | there(COST, cost.is_some()),
            delivered.bytes,
            delivered.frames,
            delivered.content_frames,
            nanos(Some(spans.total)),
            nanos(spans.first_byte),
            nanos(spans.first_content),
            nanos(spans.last_content),
            spans.content_frames,
            spans.guard_us,
            spans.overhead_us,
            estimated.0,
            estimated.1,
            input.0.cast_unsigned(),
            output.0.cast_unsigned(),
        ];
        let mut bytes = [0; WORD_BYTES];
        for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        bytes
    }

    /// `None` for what is none, or is one of a later version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (words, report) = bytes.split_first_chunk::<WORD_BYTES>()?;
        let words = <[[u8; 8]; WORDS]>::try_from(words.as_chunks().0).ok()?;
        let [head, sent, frames, contents, total, byte, first, last, count, guard, overhead, input, output, paid @ ..] =
            words.map(u64::from_le_bytes);
        let tokens = match head & !(FIRST_BYTE | CONTENT | COST) {
            ESTIMATED if report.is_empty() => Tokens::Estimated { input, output },
            REPORTED => Tokens::Reported(Reported::decode(report)?),
            _ => return None,
        };
        let span = |part: u64, nanos: u64| (head & part != 0).then(|| Duration::from_nanos(nanos));
        let [paid_input, paid_output] = paid.map(|nano| NanoUsd(nano.cast_signed()));
        Some(Self {
            delivered: Delivered { bytes: sent, frames, content_frames: contents },
            spans: Spans {
                total: Duration::from_nanos(total),
                first_byte: span(FIRST_BYTE, byte),
                first_content: span(CONTENT, first),
                last_content: span(CONTENT, last),
                content_frames: count,
                guard_us: guard,
                overhead_us: overhead,
            },
            tokens,
            cost: (head & COST != 0).then_some((paid_input, paid_output)),
        })
    }

    /// An encoded event with these numbers in place of its own. `None` where they do not fit it: only one of the two is an
    /// estimate, or has a cost, or it would be too long.
    pub fn apply(&self, event: &[u8]) -> Option<Vec<u8>> {
        let Encoded { data: Parts { usage, delivered, timing, cost } } = serde_json::from_slice(event).ok()?;
        if cost.is_some() != self.cost.is_some() {
            return None;
        }
        let before = serde_json::from_str::<Usage>(usage.get()).ok()?.source;
        let most = event.len() + self.report().len() + MOST_ADDED;
        let mut copy = Copy { event, at: 0, bytes: Vec::with_capacity(most) };
        let output_tokens = match &self.tokens {
            Tokens::Estimated { input, output } if before == Source::Estimate => {
                copy.replace(usage, &Usage::estimated(*input, *output))?;
                Some(*output)
            }
            Tokens::Reported(reported) if before == Source::Provider => {
                copy.replace_by(usage, reported.text.as_bytes())?;
                reported.output_tokens
            }
            Tokens::Estimated { .. } | Tokens::Reported(_) => return None,
        };
        copy.replace(delivered, &self.delivered)?;
        copy.replace(timing, &self.spans.timing(output_tokens))?;
        if let Some((place, (input_nano, output_nano))) = cost.zip(self.cost) {
            let cost = serde_json::from_str::<Cost>(place.get()).ok()?;
            let total_nano = input_nano.saturating_add(output_nano);
            copy.replace(place, &Cost { total_nano, input_nano, output_nano, ..cost })?;
        }
        copy.end().filter(|bytes| bytes.len() <= MAX_BYTES)
    }
}

/// Of an encoded event, what a snapshot has numbers for, where it stands.
#[derive(Deserialize)]
struct Encoded<'a> {
    #[serde(borrow)]
    data: Parts<'a>,
}

#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    usage: &'a RawValue,
    #[serde(borrow)]
    delivered: &'a RawValue,
    #[serde(borrow)]
    timing: &'a RawValue,
    #[serde(borrow, default)]
    cost: Option<&'a RawValue>,
}

/// An event that is copied with parts of it replaced, in the order in which they stand.
struct Copy<'a> {
    event: &'a [u8],
    /// Up to here it is copied.
    at: usize,
    bytes: Vec<u8>,
}

impl Copy<'_> {
    fn replace<T: Serialize>(&mut self, part: &RawValue, new: &T) -> Option<()> {
        self.skip(part)?;
        line::write(&mut self.bytes, new).ok()
    }

    fn replace_by(&mut self, part: &RawValue, new: &[u8]) -> Option<()> {
        self.skip(part)?;
        self.bytes.extend_from_slice(new);
        Some(())
    }

    /// Copies what stands before a part, and goes on behind it.
    fn skip(&mut self, part: &RawValue) -> Option<()> {
        let start = part.get().as_ptr().addr().checked_sub(self.event.as_ptr().addr())?;
        self.bytes.extend_from_slice(self.event.get(self.at..start)?);
        self.at = start + part.get().len();
        Some(())
    }

    fn end(mut self) -> Option<Vec<u8>> {
        self.bytes.extend_from_slice(self.event.get(self.at..)?);
        Some(self.bytes)
    }
}

#[cfg(test)]
mod tests;
