//! One line per request: enough to see what happened, never what was said.

use tracing::info;

use crate::event::UsageEvent;
use crate::types::NanoUsd;

/// Logs a request that ended.
pub(super) fn request(event: &UsageEvent) {
    let data = &event.data;
    if !tracing::enabled!(target: "tollgate::request", tracing::Level::INFO) {
        return;
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    info!(
        target: "tollgate::request",
        request_id = %data.request_id,
        key = data.key_id.as_deref().unwrap_or("-"),
        org = data.org_id.as_deref().unwrap_or("-"),
        upstream = data.upstream.as_deref().unwrap_or("-"),
        outcome = data.outcome.as_str(),
        error = data.error.as_deref().unwrap_or("-"),
        "{status} {operation} {model} {shape} in={input} out={output} ttft={ttft} dur={duration} overhead={overhead:.2}ms cost={cost}",
        status = data.status.map_or_else(|| "-".to_owned(), |status| status.to_string()),
        operation = data.operation,
        model = text(&data.model_requested),
        shape = if data.stream { "stream" } else { "whole" },
        input = number(data.usage.input_tokens),
        output = number(data.usage.output_tokens),
        ttft = data.timing.first_token_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0}ms")),
        duration = duration(data.timing.total_ms),
        overhead = data.timing.overhead_us as f64 / 1e3,
        cost = cost(data.cost.as_ref().map(|cost| cost.total_nano)),
    );
}

fn number(count: Option<u64>) -> String {
    count.map_or_else(|| "-".to_owned(), |count| count.to_string())
}

fn duration(ms: f64) -> String {
    if ms < 1000.0 { format!("{ms:.1}ms") } else { format!("{:.2}s", ms / 1e3) }
}

fn cost(amount: Option<NanoUsd>) -> String {
    amount.map_or_else(|| "-".to_owned(), |amount| format!("${:.6}", amount.as_usd()))
}
