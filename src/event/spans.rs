//! The exact durations that a timing is made of.
//!
//! An event says milliseconds as floats. Whoever may have to say them later, for a process that is no more by then, keeps
//! these instead: one function makes the same floats of them whenever it is asked.

use std::time::Duration;

use super::Timing;

/// How long an exchange took, all from the request's arrival on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// To its end, or to now.
    pub total: Duration,
    /// To the first byte of the upstream's answer.
    pub first_byte: Option<Duration>,
    /// To the first frame with generated content.
    pub first_content: Option<Duration>,
    /// To the last one.
    pub last_content: Option<Duration>,
    /// How many there were.
    pub content_frames: u64,
    /// Microseconds spent in admission.
    pub guard_us: u64,
    /// Microseconds that we added before the request went upstream.
    pub overhead_us: u64,
}

impl Spans {
    /// What an event says of them.
    pub fn timing(&self, output_tokens: Option<u64>) -> Timing {
        let since = |span: Duration| millis(span.as_secs_f64());
        let decode = self.first_content.zip(self.last_content);
        let decode = decode.map(|(first, last)| last.saturating_sub(first).as_secs_f64());
        let gaps = self.content_frames.saturating_sub(1);
        Timing {
            total_ms: since(self.total),
            first_byte_ms: self.first_byte.map(since),
            first_token_ms: self.first_content.map(since),
            inter_token_ms: decode.filter(|_| gaps > 0).map(|seconds| millis(seconds / gaps as f64)),
            tokens_per_second: decode
                .filter(|seconds| *seconds > 0.0)
                .zip(output_tokens)
                .map(|(seconds, tokens)| (tokens as f64 / seconds * 10.0).round() / 10.0),
            guard_us: self.guard_us,
            overhead_us: self.overhead_us,
        }
    }
}

/// Seconds as milliseconds, to the microsecond.
fn millis(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e3
}
