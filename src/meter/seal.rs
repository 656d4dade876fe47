//! From the facts of an exchange to its event in the spool: the one place where events are finished.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::count::{Counted, Notes};
use super::draft::Draft;
use super::{log, price};
use crate::dialect::{Flags, Operation};
use crate::event::{LimitsUsed, LocalCount, Outcome};
use crate::spool::Commit;
use crate::types::{NanoUsd, Source, Usage};

/// Bytes of text per token when nothing better is known.
pub(super) const BYTES_PER_TOKEN: u64 = 4;
const BY_BYTES: &str = "bytes/4";

impl Draft {
    /// Finishes the event with what the provider reported, if anything, and records it.
    pub(super) fn seal(mut self: Box<Self>) -> Commit {
        let usage = self.reported();
        self.finish(usage)
    }

    /// Counts here what nobody reported, then records the event. Slow: for the counting threads only.
    pub(super) fn seal_counted(self: Box<Self>) -> Commit {
        let Ok((input, output)) = catch_unwind(AssertUnwindSafe(|| self.count())) else {
            // A tokenizer with a defect costs the count, not the event.
            return self.seal_by_size("meter_error");
        };
        self.seal_with(input, output)
    }

    /// As [`Self::seal_counted`], by size alone: for when the counting threads are overrun.
    pub(super) fn seal_estimated(self: Box<Self>) -> Commit {
        self.seal_by_size("count_skipped")
    }

    fn seal_by_size(mut self: Box<Self>, why: &'static str) -> Commit {
        self.event.data.flag(why);
        let output = by_size(self.reading.text_bytes().div_ceil(BYTES_PER_TOKEN));
        self.seal_with(None, output)
    }

    fn seal_with(mut self: Box<Self>, input: Option<Counted>, output: Counted) -> Commit {
        let counted = self.counted(input, output);
        // What the provider said stands, however little it is; our count stands beside it.
        let usage = if self.reading.has_usage() { self.reported() } else { counted };
        self.finish(usage)
    }

    fn reported(&mut self) -> Usage {
        let mut usage = self.own_usage();
        // Voyage and Jina report a total and nothing else.
        if self.route.operation.only_reads() && usage.output_tokens.is_none() {
            usage.input_tokens = usage.input_tokens.or(usage.total_tokens);
        }
        if usage.source == Source::Provider && !self.is_whole() {
            // Usage that is repeated per chunk covers what had been generated when the answer broke off.
            usage.complete = false;
            self.event.data.flag("usage_partial");
        }
        usage
    }

    /// What was reported of this request and of no other.
    fn own_usage(&mut self) -> Usage {
        let mut usage = self.reading.take_usage();
        let known = usage.is_some() && !self.reading.kept.as_ref().is_none_or(|id| self.meter.once.first(id));
        // Who makes an answer uses what it reports, whatever its id.
        let counted_before = known && self.route.operation == Operation::Other;
        if counted_before {
            usage = None;
        }
        let data = &mut self.event.data;
        if counted_before || self.reading.repeated {
            data.flag("usage_repeated");
        } else if usage.is_none() && self.reading.deferred {
            data.flag("usage_deferred");
        }
        usage.or_else(|| self.of_session()).unwrap_or_else(|| self.spoken())
    }

    /// A session's responses have events of their own; those that found no room are its own.
    fn of_session(&mut self) -> Option<Usage> {
        let usage = std::mem::take(&mut self.session_usage);
        (usage.source == Source::Provider).then_some(usage)
    }

    /// Characters are counted in the request; whether the upstream spoke them, its status says.
    fn spoken(&self) -> Usage {
        let answered = self.event.data.upstream_status.is_some_and(|status| status < 400);
        match self.prompt.characters.filter(|_| answered) {
            None => Usage::default(),
            characters => Usage { characters, source: Source::Tokenizer, complete: true, ..Usage::default() },
        }
    }

    fn count(&self) -> (Option<Counted>, Counted) {
        let model = self.reading.model_served.as_deref().or(self.event.data.model_requested.as_deref());
        let model = model.unwrap_or_default();
        let catalog = self.meter.catalog.load();
        let mut output = catalog.models.output(model, self.reading.escaped_text());
        let beyond = self.reading.text_bytes().saturating_sub(self.reading.escaped_text().len() as u64);
        if beyond > 0 {
            output.tokens = output.tokens.saturating_add(beyond.div_ceil(BYTES_PER_TOKEN));
            output.source = Source::Estimate;
        }
        let body = self.prompt.body.as_deref();
        (body.and_then(|body| catalog.models.request(model, self.route.operation, body)), output)
    }

    /// Usage from our own counts. An answer that broke off has a count of what was delivered, and says so; one that
    /// passed unread has no count of its output, for nothing would be a made-up number.
    fn counted(&mut self, input: Option<Counted>, output: Counted) -> Usage {
        let unread = self.unread || self.reading.flags().contains(Flags::METER_ERROR);
        let whole = self.event.data.outcome == Outcome::Ok && !unread;
        let silent = unread && self.reading.text_bytes() == 0 && self.route.operation != Operation::Embeddings;
        let data = &mut self.event.data;
        if !whole {
            data.flag("usage_partial");
        }
        let input = input.unwrap_or_else(|| Counted { notes: self.prompt.notes, ..by_size(self.prompt.estimate) });
        for flag in output.notes.flags().chain(input.notes.flags()) {
            data.flag(flag);
        }
        let exact = input.source == Source::Tokenizer && output.source == Source::Tokenizer && !unread;
        let output_tokens = (!silent).then_some(output.tokens);
        data.local = Some(LocalCount { input_tokens: Some(input.tokens), output_tokens, tokenizer: output.tokenizer });
        Usage {
            input_tokens: Some(input.tokens),
            output_tokens,
            total_tokens: output_tokens.map(|output| input.tokens.saturating_add(output)),
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
        data.timing = self.marks.timing(usage.output_tokens);
        let catalog = self.meter.catalog.load();
        let models = (data.model_served.as_deref(), data.model_requested.as_deref());
        // Output that nobody counted has a price that nobody knows; only embeddings have none.
        let known = usage.output_tokens.is_some() || usage.complete || self.route.operation == Operation::Embeddings;
        let bill = price::Bill::of(&usage, self.reading.billed());
        let cost = price::cost(&catalog.prices, models.0, models.1, &bill);
        data.cost = cost.filter(|_| known);
        data.usage = usage;
        data.delivered = self.delivered;
    }

    /// Returns what was reserved and not used, or takes what was used beyond it. What nobody knows stays reserved:
    /// whoever leaves before the answer begins has still made the model work.
    fn settle(&mut self) {
        let used = self.used();
        if let Some(used) = used {
            self.permit.settle(used);
        }
        // Without a price nothing was held, and nothing is paid.
        let cost = self.event.data.cost.as_ref().map(|cost| cost.total_nano);
        if let Some(cost) = cost.or((used == Some(0)).then_some(NanoUsd(0))) {
            self.permit.pay(cost);
        }
        let reserved = self.permit.reserved_tokens();
        let limits = reserved.map(|reserved_tokens| LimitsUsed { reserved_tokens, settled_tokens: used });
        self.event.data.limits = limits;
    }

    /// The tokens used, where they are known: reported or counted, the larger where the provider was cut short, and
    /// none where the model was not reached or refused.
    fn used(&self) -> Option<u64> {
        let data = &self.event.data;
        let usage = &data.usage;
        let counted = data.local.as_ref().and_then(|local| Some(local.input_tokens? + local.output_tokens?));
        let inputs = usage.input_tokens.filter(|_| self.route.operation == Operation::Embeddings);
        let known = usage.total_tokens.or(inputs).max(counted);
        // The request that had it made has reserved what it may cost, and keeps that.
        if self.route.operation == Operation::Other && self.reading.kept.is_some() {
            return Some(0);
        }
        let refused = data.upstream_status.is_some_and(|status| status >= 400);
        let unused = !self.reached || refused || !self.route.operation.has_tokens();
        known.or(unused.then_some(0))
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
        series.used(&data.usage, data.cost.as_ref().map(|cost| cost.total_nano));
        for flag in &data.flags {
            self.meter.metrics.flagged(flag);
        }
        self.meter.metrics.in_flight.dec();
        log::request(&self.event);
    }

    fn record(self: Box<Self>) -> Commit {
        let Self { mut event, ticket, beginning, .. } = *self;
        super::record(ticket, &mut event, beginning.as_ref())
    }
}

/// An estimate from bytes.
fn by_size(tokens: u64) -> Counted {
    Counted { tokens, tokenizer: BY_BYTES.into(), source: Source::Estimate, notes: Notes::default() }
}
