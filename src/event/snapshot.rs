//! The numbers of an event whose answer is still running, without the event.
//!
//! While an answer comes, hardly anything of its event changes but a few numbers, and they fit into a tenth of its bytes.
//! They are absolute, so that only the last snapshot matters. Put into the event as it was encoded before, they give the
//! bytes that encoding it anew would give: the four parts that hold them are replaced where they stand, and all around
//! them stays as it is. Only for usage that is our own estimate: what a provider reports may be anything.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Cost, Delivered, MAX_BYTES, Spans, line};
use crate::types::{NanoUsd, Source, Usage};

const VERSION: u64 = 1;
/// Of a part that may be absent: that it is there.
const FIRST_BYTE: u64 = 1 << 8;
const CONTENT: u64 = 1 << 9;
const COST: u64 = 1 << 10;
const WORDS: usize = 15;
/// More than the parts can grow by.
const MOST_ADDED: usize = 512;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What reached the client.
    pub delivered: Delivered,
    /// How long it took.
    pub spans: Spans,
    /// Estimated input tokens.
    pub input_tokens: u64,
    /// Estimated output tokens.
    pub output_tokens: u64,
    /// What input and output cost, when the price is known.
    pub cost: Option<(NanoUsd, NanoUsd)>,
}

impl Snapshot {
    /// Bytes of an encoded one.
    pub const BYTES: usize = WORDS * 8;

    /// `version and what is there 8 | delivered 3 * 8 | spans 7 * 8, in nanoseconds | tokens 2 * 8 | nano-dollars 2 * 8`,
    /// all little-endian; what is not there is zero.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let Self { delivered, spans, input_tokens, output_tokens, cost } = self;
        let there = |part: u64, there: bool| if there { part } else { 0 };
        let nanos = |span: Option<Duration>| span.unwrap_or_default().as_nanos() as u64;
        let (input, output) = cost.unwrap_or_default();
        let words: [u64; WORDS] = [
            VERSION
                | there(FIRST_BYTE, spans.first_byte.is_some())
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
            *input_tokens,
            *output_tokens,
            input.0.cast_unsigned(),
            output.0.cast_unsigned(),
        ];
        let mut bytes = [0; Self::BYTES];
        for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        bytes
    }

    /// `None` for what is none of this version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks();
        let words = <[[u8; 8]; WORDS]>::try_from(words).ok().filter(|_| rest.is_empty())?;
        let [head, sent, frames, contents, total, byte, first, last, count, guard, overhead, input, output, paid @ ..] =
            words.map(u64::from_le_bytes);
        if head & !(FIRST_BYTE | CONTENT | COST) != VERSION {
            return None;
        }
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
            input_tokens: input,
            output_tokens: output,
            cost: (head & COST != 0).then_some((paid_input, paid_output)),
        })
    }

    /// An encoded event with these numbers in place of its own. `None` where they do not fit it: its usage is no estimate,
    /// only one of the two has a cost, or it would be too long.
    pub fn apply(&self, event: &[u8]) -> Option<Vec<u8>> {
        let Encoded { data: Parts { usage, delivered, timing, cost } } = serde_json::from_slice(event).ok()?;
        let estimated = serde_json::from_str::<Usage>(usage.get()).is_ok_and(|usage| usage.source == Source::Estimate);
        if !estimated || cost.is_some() != self.cost.is_some() {
            return None;
        }
        let mut copy = Copy { event, at: 0, bytes: Vec::with_capacity(event.len() + MOST_ADDED) };
        copy.replace(usage, &Usage::estimated(self.input_tokens, self.output_tokens))?;
        copy.replace(delivered, &self.delivered)?;
        copy.replace(timing, &self.spans.timing(Some(self.output_tokens)))?;
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
        let start = part.get().as_ptr().addr().checked_sub(self.event.as_ptr().addr())?;
        self.bytes.extend_from_slice(self.event.get(self.at..start)?);
        line::write(&mut self.bytes, new).ok()?;
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
