//! When things happened in one exchange, from a monotonic clock.

use std::time::Duration;

use tokio::time::Instant;

use crate::event::{Spans, Timing};

/// The moments of an exchange that its timing is made of. Those that move with each chunk come last (see `Draft`).
#[derive(Debug)]
#[repr(C)]
pub(super) struct Marks {
    started: Instant,
    first_byte: Option<Instant>,
    ended: Option<Instant>,
    /// Microseconds spent in admission.
    pub(super) guard_us: u64,
    /// Microseconds that we added before the request went upstream.
    pub(super) overhead_us: u64,
    first_content: Option<Instant>,
    last_content: Option<Instant>,
    content_frames: u64,
}

impl Marks {
    /// Begins at the request's arrival.
    pub(super) fn new(started: Instant) -> Self {
        Self {
            started,
            first_byte: None,
            first_content: None,
            last_content: None,
            ended: None,
            content_frames: 0,
            guard_us: 0,
            overhead_us: 0,
        }
    }

    /// The request goes upstream; `waited` of the time so far was spent on the client.
    pub(super) fn leaves(&mut self, waited: Duration) {
        self.overhead_us = self.started.elapsed().saturating_sub(waited).as_micros() as u64;
    }

    /// The head of the upstream's answer is here.
    pub(super) fn answered(&mut self) {
        self.first_byte.get_or_insert_with(Instant::now);
    }

    /// A frame with `count` events of generated content passed at `now`.
    pub(super) fn content(&mut self, now: Instant, count: u64) {
        self.first_content.get_or_insert(now);
        self.last_content = Some(now);
        self.content_frames += count;
    }

    /// The exchange is over; what follows, such as counting, is not its time.
    pub(super) fn end(&mut self) {
        self.ended.get_or_insert_with(Instant::now);
    }

    /// When the last frame with generated content passed.
    pub(super) fn last_content(&self) -> Option<Instant> {
        self.last_content
    }

    /// The timing of an exchange that has ended, or else ends now.
    pub(super) fn timing(&self, output_tokens: Option<u64>) -> Timing {
        self.spans().timing(output_tokens)
    }

    /// What that timing is made of.
    pub(super) fn spans(&self) -> Spans {
        let since = |at: Instant| at - self.started;
        Spans {
            total: since(self.ended.unwrap_or_else(Instant::now)),
            first_byte: self.first_byte.map(since),
            first_content: self.first_content.map(since),
            last_content: self.last_content.map(since),
            content_frames: self.content_frames,
            guard_us: self.guard_us,
            overhead_us: self.overhead_us,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Marks;

    #[tokio::test(start_paused = true)]
    async fn timing_counts_from_arrival_and_gaps_between_content() {
        let mut marks = Marks::new(Instant::now());
        tokio::time::advance(Duration::from_millis(100)).await;
        marks.answered();
        for _ in 0..5 {
            tokio::time::advance(Duration::from_millis(20)).await;
            marks.content(Instant::now(), 1);
        }
        tokio::time::advance(Duration::from_millis(50)).await;
        let timing = marks.timing(Some(8));
        assert_eq!(timing.first_byte_ms, Some(100.0));
        assert_eq!(timing.first_token_ms, Some(120.0));
        assert_eq!(timing.inter_token_ms, Some(20.0));
        assert_eq!(timing.tokens_per_second, Some(100.0));
        assert!((timing.total_ms - 250.0).abs() < 1e-6);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_content_frames_has_no_token_times() {
        let marks = Marks::new(Instant::now());
        let timing = marks.timing(Some(8));
        assert_eq!((timing.first_token_ms, timing.inter_token_ms, timing.tokens_per_second), (None, None, None));
    }
}
