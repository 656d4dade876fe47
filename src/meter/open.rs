//! How an event begins: with what is known at admission, or with why there was none.

use std::borrow::Cow;
use std::sync::Arc;

use super::draft::{Draft, Prompt};
use super::marks::Marks;
use super::{Arrival, Content, Exchange, Meter, settle, unnumbered};
use crate::boxed;
use crate::dialect::{Ask, Reading};
use crate::event::{self, Beginning, Delivered, LimitsUsed, Outcome, RequestFacts, Sequence, UsageData, UsageEvent};
use crate::guard::{Caller, Permit};
use crate::metrics::{Series, SeriesKey};
use crate::reject::Reject;
use crate::spool::{SpoolFull, Ticket};
use crate::types::{GroupId, KeyId, OrgId, Usage};
use crate::upstream::Target;

impl Meter {
    /// Opens the exchange of an admitted request. Its INTENT is in the spool when this returns.
    pub fn open(
        self: &Arc<Self>,
        arrival: &Arrival,
        mut permit: Permit,
        sent: (&Content, &Target),
    ) -> Result<Exchange, Reject> {
        let (content, target) = sent;
        let mut event = boxed::in_place(|| self.begin(arrival, &content.ask));
        let data = &mut event.data;
        name(data, (permit.key(), permit.organization(), permit.group()));
        data.limits =
            permit.reserved_tokens().map(|reserved_tokens| LimitsUsed { reserved_tokens, settled_tokens: None });
        permit.flags().for_each(|flag| data.flag(flag));
        data.upstream = Some(Arc::clone(&target.name));
        data.provider = Some(Arc::clone(&target.provider));
        data.host = Some(Arc::clone(&target.host));
        event.subject = subject(&event.data);
        let (ticket, beginning) = self.intend(&mut event).inspect_err(|_| permit.release())?;
        let series = self.series(Some(&target.name), &content.ask, arrival.route.operation.as_str());
        self.metrics.in_flight.inc();
        let mut marks = Marks::new(arrival.started);
        marks.guard_us = arrival.guarded.as_micros() as u64;
        let prompt = Prompt::keep(content.whole(), content.ask.input_tokens_estimate(), &arrival.route);
        Ok(Exchange::new(boxed::in_place(|| Draft {
            meter: Arc::clone(self),
            ticket,
            beginning,
            event,
            permit,
            series,
            marks,
            route: arrival.route,
            delivered: Delivered::default(),
            reading: Reading::default(),
            prompt,
            reached: false,
            unread: false,
            passed_end: false,
            progress_due: None,
            told: None,
            upgrade: content.upgrade(),
            session_usage: Usage::default(),
        })))
    }

    /// Gives the event its number and records it as the INTENT, as one step. What it begins with is kept for the FINAL.
    fn intend(&self, event: &mut UsageEvent) -> Result<(Ticket, Option<Beginning>), Reject> {
        let begun = unnumbered(&self.spool, event, |subject, line| {
            let ticket = self.spool.begin(subject, line)?;
            let sequence = ticket.sequence();
            let beginning = line.beginning(sequence.number, sequence.previous.as_ref());
            Ok((ticket, beginning, sequence))
        });
        // Only a defect of ours gets here: counted as the refusal that it becomes.
        let begun = begun.map_err(|error| {
            tracing::error!(%error, request_id = %event.data.request_id, "usage event could not be encoded");
            Reject::Unrecordable
        })?;
        let (ticket, beginning, sequence) = begun.map_err(|SpoolFull| Reject::SpoolFull)?;
        place(event, sequence);
        Ok((ticket, beginning))
    }

    /// Records a refusal: always a counter, and an event where the caller is known.
    pub fn refuse(&self, arrival: &Arrival, caller: Option<&Caller>, refused: (&Reject, &Ask)) {
        let (reject, ask) = refused;
        let row = reject.row();
        let status = arrival.route.dialect.style().status(reject).as_u16();
        self.metrics.rejected(row.label);
        self.series(None, ask, arrival.route.operation.as_str()).ended(Outcome::Rejected, status);
        let Some(caller) = caller else { return };
        let mut event = self.begin(arrival, ask);
        let data = &mut event.data;
        name(data, (caller.key.as_ref(), caller.organization.as_ref(), caller.group()));
        data.outcome = Outcome::Rejected;
        data.status = Some(status);
        data.error = Some(Cow::Borrowed(row.code));
        data.timing = Marks::new(arrival.started).timing(None);
        data.timing.guard_us = arrival.guarded.as_micros() as u64;
        event.subject = subject(&event.data);
        if matches!(settle(&self.spool, &mut event), Some(Err(_))) {
            // A spool too full to record a refusal is counted by the spool itself.
            return;
        }
        super::log::request(&event);
    }

    fn series(&self, upstream: Option<&Arc<str>>, ask: &Ask, operation: &'static str) -> Arc<Series> {
        let model = self.catalog.load().label(ask.model.as_deref());
        let upstream = upstream.map_or_else(|| Arc::from("none"), Arc::clone);
        self.metrics.series(&SeriesKey { upstream, model, operation })
    }

    /// The event as known from the request alone: `interrupted`, should nothing more ever be known.
    fn begin(&self, arrival: &Arrival, ask: &Ask) -> UsageEvent {
        UsageEvent {
            specversion: Cow::Borrowed("1.0"),
            id: String::new(),
            source: Arc::clone(&self.source),
            kind: Cow::Borrowed(event::TYPE),
            subject: Arc::from(""),
            time: arrival.time,
            datacontenttype: Cow::Borrowed("application/json"),
            data: UsageData {
                request_id: arrival.request_id(),
                trace_id: arrival.trace_id.clone(),
                attempt: arrival.attempt,
                session_id: arrival.session_id.clone(),
                connection_id: arrival.connection_id.clone(),
                end_user: ask.end_user.clone(),
                workload: self.workload.clone(),
                dialect: Cow::Borrowed(arrival.route.name()),
                operation: Cow::Borrowed(arrival.route.operation.as_str()),
                model_requested: ask.model.clone(),
                stream: ask.stream,
                outcome: Outcome::Interrupted,
                usage: Usage::default(),
                request: RequestFacts {
                    bytes: arrival.body_bytes,
                    max_tokens: ask.max_tokens,
                    temperature: ask.temperature,
                    top_p: ask.top_p,
                },
                ..UsageData::default()
            },
        }
    }
}

/// Gives an event its place, and its name after that.
pub(super) fn place(event: &mut UsageEvent, sequence: Sequence) {
    event::name(&mut event.id, &sequence);
    event.data.sequence = sequence;
}

/// Says who calls, admitted or refused.
fn name(data: &mut UsageData, (key, organization, group): (Option<&KeyId>, Option<&OrgId>, Option<&GroupId>)) {
    data.key_id = key.map(KeyId::to_arc);
    data.org_id = organization.map(OrgId::to_arc);
    data.group = group.map(GroupId::to_arc);
}

/// Who pays: the organization, else the key, else nobody known.
pub(super) fn subject(data: &UsageData) -> Arc<str> {
    let known = data.org_id.as_ref().or(data.key_id.as_ref());
    known.map_or_else(|| Arc::from("anonymous"), Arc::clone)
}
