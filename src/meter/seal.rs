//! From the facts of an exchange to its event in the spool: the one place where events are finished.

use super::count::{self, Counted};
use super::draft::Draft;
use super::{log, price};
use crate::event::{LimitsUsed, LocalCount, Outcome};
use crate::spool::Commit;
use crate::types::{Source, Usage};

/// Bytes of text per token when nothing better is known.
pub(super) const BYTES_PER_TOKEN: u64 = 4;
const BY_BYTES: &str = "bytes/4";

impl Draft {
    /// Finishes the event with what the provider reported, if anything, and records it.
    pub(super) fn seal(mut self: Box<Self>) -> Commit {
        let mut usage = self.reading.usage().unwrap_or_default();
        let whole = matches!(self.event.data.outcome, Outcome::Ok) || self.reading.done;
        if usage.source == Source::Provider && !whole {
            // Usage that is repeated per chunk covers what had been generated when the answer broke off.
            usage.complete = false;
            self.event.data.flag("usage_partial");
        }
        self.finish(usage)
    }

    /// Counts here what nobody reported, then records the event. Slow: for the counting threads only.
    pub(super) fn seal_counted(mut self: Box<Self>) -> Commit {
        let model = self.reading.model_served.clone().or_else(|| self.event.data.model_requested.clone());
        let model = model.unwrap_or_default();
        let output = count::count_output(&model, self.reading.escaped_text());
        let input = self.prompt.body.as_deref().and_then(|body| count::count_chat_request(&model, body));
        let usage = self.counted(input, output);
        self.finish(usage)
    }

    /// As [`Self::seal_counted`], by size alone: for when the counting threads are overrun.
    pub(super) fn seal_estimated(mut self: Box<Self>) -> Commit {
        self.event.data.flag("count_skipped");
        let tokens = self.reading.text_bytes().div_ceil(BYTES_PER_TOKEN);
        let output = Counted { tokens, tokenizer: BY_BYTES, source: Source::Estimate, truncated: false };
        let usage = self.counted(None, output);
        self.finish(usage)
    }

    /// Usage from our own counts. An answer that broke off has a count of what was delivered, and says so.
    fn counted(&mut self, input: Option<Counted>, output: Counted) -> Usage {
        let data = &mut self.event.data;
        let whole = data.outcome == Outcome::Ok;
        if !whole {
            data.flag("usage_partial");
        }
        if output.truncated || input.as_ref().is_some_and(|input| input.truncated) {
            data.flag("count_truncated");
        }
        let guessed =
            Counted { tokens: self.prompt.estimate, tokenizer: BY_BYTES, source: Source::Estimate, truncated: false };
        let input = input.unwrap_or(guessed);
        let exact = input.source == Source::Tokenizer && output.source == Source::Tokenizer;
        data.local = Some(LocalCount {
            input_tokens: Some(input.tokens),
            output_tokens: Some(output.tokens),
            tokenizer: output.tokenizer.into(),
        });
        Usage {
            input_tokens: Some(input.tokens),
            output_tokens: Some(output.tokens),
            total_tokens: Some(input.tokens + output.tokens),
            source: if exact { Source::Tokenizer } else { Source::Estimate },
            complete: whole,
            ..Usage::default()
        }
    }

    fn finish(mut self: Box<Self>, usage: Usage) -> Commit {
        self.fill(usage);
        self.settle();
        self.report();
        self.record()
    }

    fn fill(&mut self, usage: Usage) {
        let data = &mut self.event.data;
        data.model_served = self.reading.model_served.take();
        data.finish_reasons = std::mem::take(&mut self.reading.finish_reasons);
        for flag in self.reading.flags().names() {
            data.flag(flag);
        }
        data.delivered.content_frames = self.marks.content_frames();
        data.timing = self.marks.timing(usage.output_tokens);
        let catalog = self.meter.catalog.load();
        let models = (data.model_served.as_deref(), data.model_requested.as_deref());
        data.cost = price::cost(&catalog.prices, models.0, models.1, &usage);
        data.usage = usage;
    }

    /// Returns what was reserved and not used, or takes what was used beyond it. What nobody knows stays reserved,
    /// unless the upstream refused or never answered: then nothing was used.
    fn settle(&mut self) {
        let data = &mut self.event.data;
        let answered = data.upstream_status.is_some_and(|status| status < 400);
        let used = data.usage.total_tokens.or((!answered || !self.route.operation.has_tokens()).then_some(0));
        if let Some(used) = used {
            self.permit.settle(used);
        }
        let reserved = self.permit.reserved_tokens();
        data.limits = reserved.map(|reserved_tokens| LimitsUsed { reserved_tokens, settled_tokens: used });
    }

    fn report(&self) {
        let data = &self.event.data;
        let series = &self.series;
        series.ended(data.outcome, data.status.unwrap_or(0));
        series.duration.observe(data.timing.total_ms / 1e3);
        if let Some(first) = data.timing.first_token_ms {
            series.first_token.observe(first / 1e3);
        }
        if let Some(gap) = data.timing.inter_token_ms {
            series.inter_token.observe(gap / 1e3);
        }
        for (direction, count) in [("input", data.usage.input_tokens), ("output", data.usage.output_tokens)] {
            if let Some(count) = count {
                series.tokens(direction, data.usage.source, count);
            }
        }
        if let Some(cost) = &data.cost {
            series.spent(cost.total_nano);
        }
        for flag in &data.flags {
            self.meter.metrics.flagged(flag);
        }
        self.meter.metrics.in_flight.dec();
        log::request(&self.event);
    }

    fn record(self: Box<Self>) -> Commit {
        let Self { mut event, ticket, .. } = *self;
        super::record(ticket, &mut event)
    }
}
