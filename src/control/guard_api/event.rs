//! A reported call as a usage event: the same event that a call through the proxy leaves, less what nobody measured.

use http::request::Parts;

use super::check::Allowed;
use super::report::Report;
use crate::event::{Cost, Outcome, RequestFacts, UsageData};
use crate::header::{SESSION_ID, X_CONNECTION_ID};
use crate::types::{GroupId, KeyId, OrgId, RequestId, Source, Usage};

/// The event's data. Numbers and costs are the reporter's, and a flag says so.
pub(super) fn of(report: &Report, allowed: &Allowed, (head, bytes): (&Parts, usize)) -> UsageData {
    let record = &allowed.caller.record;
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut data = UsageData {
        request_id: RequestId::next().to_arc(),
        attempt: 1,
        key_id: Some(KeyId::to_arc(&record.id)),
        org_id: allowed.organization.as_ref().map(OrgId::to_arc),
        group: record.group.as_ref().map(GroupId::to_arc),
        session_id: text(SESSION_ID),
        connection_id: text(X_CONNECTION_ID),
        dialect: "guard.log_usage".into(),
        operation: "chat".into(),
        model_requested: Some(report.model.clone()),
        stream: report.stream,
        outcome: Outcome::Ok,
        usage: Usage {
            input_tokens: Some(report.input_tokens),
            output_tokens: Some(report.output_tokens),
            total_tokens: Some(report.input_tokens.saturating_add(report.output_tokens)),
            source: Source::Provider,
            complete: true,
            ..Usage::default()
        },
        cost: Some(Cost {
            currency: "USD".into(),
            total_nano: report.total_cost,
            input_nano: report.input_cost,
            output_nano: report.output_cost,
            price: "reported".into(),
        }),
        request: RequestFacts {
            bytes: bytes as u64,
            max_tokens: Some(report.max_tokens),
            temperature: Some(report.temperature),
            top_p: Some(report.top_p),
        },
        ..UsageData::default()
    };
    data.flag("usage_reported");
    data
}
