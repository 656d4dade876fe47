//! The events within a session: one for each response, each with a number of its own.

use std::borrow::Cow;

use tokio::time::Instant;

use crate::dialect::{Operation, Reading};
use crate::event::{Delivered, LocalCount, Outcome};
use crate::meter::draft::Draft;
use crate::meter::marks::Marks;
use crate::meter::{price, settle};
use crate::spool::Commit;
use crate::types::{Source, Timestamp, Usage};

/// How the tokens of the responses together are named in the session's event.
const SUM: &str = "sum of the session's responses";

/// A response while it is generated.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) reading: Reading,
    time: Timestamp,
    marks: Marks,
    frames: u64,
    contents: u64,
}

impl Part {
    pub(super) fn new() -> Self {
        let marks = Marks::new(Instant::now());
        Self { reading: Reading::default(), time: Timestamp::now(), marks, frames: 0, contents: 0 }
    }

    /// What was read apart from the response under way.
    pub(super) fn of(reading: Reading) -> Self {
        Self { reading, ..Self::new() }
    }

    /// A message of it has passed.
    pub(super) fn passed(&mut self) {
        self.frames += 1;
        if self.reading.had_content {
            self.contents += 1;
            self.marks.content(Instant::now(), 1);
        }
    }
}

impl Draft {
    /// Records a response of this session. Without room for it, its usage is added to the session's own.
    pub(super) fn record_part(&mut self, mut part: Part, operation: Operation) -> Commit {
        part.marks.end();
        let flags: Vec<_> = part.reading.flags().names().collect();
        let usage = part.reading.take_usage().unwrap_or_default();
        self.sum(&usage);
        let mut event = self.event.clone();
        let data = &mut event.data;
        data.operation = Cow::Borrowed(operation.as_str());
        data.model_served = part.reading.model_served.take();
        data.finish_reasons = std::mem::take(&mut part.reading.finish_reasons);
        data.outcome = if part.reading.error.is_some() { Outcome::UpstreamError } else { Outcome::Ok };
        data.error = part.reading.error.is_some().then_some(Cow::Borrowed("upstream_error_in_stream"));
        data.timing = part.marks.timing(usage.output_tokens);
        data.delivered = Delivered { bytes: 0, frames: part.frames, content_frames: part.contents };
        (data.local, data.limits) = (None, None);
        data.flags.clear();
        for flag in flags {
            data.flag(flag);
        }
        let models = (data.model_served.as_deref(), data.model_requested.as_deref());
        let bill = price::Bill::of(&usage, (None, None));
        data.cost = price::cost(&self.meter.catalog.load().prices, models.0, models.1, &bill);
        data.usage = usage;
        event.time = part.time;
        let Some(Ok(commit)) = settle(&self.meter.spool, &mut event) else {
            return self.take_over(&event.data.usage);
        };
        self.series.used(&event.data.usage, event.data.cost.as_ref().map(|cost| cost.total_nano));
        commit
    }

    /// What the responses have used so far counts against the caller's limits at once.
    fn sum(&mut self, usage: &Usage) {
        let before = self.event.data.local.take();
        let (mut input, mut output) =
            before.map_or((0, 0), |local| (local.input_tokens.unwrap_or(0), local.output_tokens.unwrap_or(0)));
        input += usage.input_tokens.unwrap_or(0);
        output += usage.output_tokens.unwrap_or(0);
        self.permit.settle(input.saturating_add(output));
        self.event.data.local =
            Some(LocalCount { input_tokens: Some(input), output_tokens: Some(output), tokenizer: SUM.into() });
    }

    /// The spool has no room for another event, but for the session's own it has kept some.
    fn take_over(&mut self, usage: &Usage) -> Commit {
        let sum = |one: Option<u64>, other: Option<u64>| one.or(other).map(|_| one.unwrap_or(0) + other.unwrap_or(0));
        let own = &mut self.session_usage;
        *own = Usage {
            input_tokens: sum(own.input_tokens, usage.input_tokens),
            output_tokens: sum(own.output_tokens, usage.output_tokens),
            total_tokens: sum(own.total_tokens, usage.total_tokens),
            cache_read_tokens: sum(own.cache_read_tokens, usage.cache_read_tokens),
            reasoning_tokens: sum(own.reasoning_tokens, usage.reasoning_tokens),
            audio_ms: sum(own.audio_ms, usage.audio_ms),
            source: Source::Provider,
            complete: true,
            ..Usage::default()
        };
        self.event.data.flag("responses_unrecorded");
        Commit::ready()
    }
}
