//! The headers of a refusal that speak of limits: when to come back, and what is left.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, StatusCode};

use super::{LimitState, Limited, Reject, Style, Timestamp, header, set};

/// When to try again, whether at all, and who says so.
pub(super) fn retry_headers(headers: &mut HeaderMap, reject: &Reject) {
    if let Some(wait) = reject.retry_after() {
        set(headers, RETRY_AFTER, &whole_seconds(wait).to_string());
    }
    if let Some(retry) = reject.should_retry() {
        set(headers, header::X_SHOULD_RETRY, if retry { "true" } else { "false" });
    }
    if reject.row().status == StatusCode::TOO_MANY_REQUESTS {
        set(headers, header::X_TOLLGATE_LIMIT_ORIGIN, "gateway");
    }
}

/// The state of a limit, under the names that the style has for it.
pub(super) fn limit_headers(headers: &mut HeaderMap, style: Style, state: &LimitState, now: Timestamp) {
    let Some([limit, remaining, reset]) = limit_names(style, state.what) else { return };
    set(headers, limit, &state.limit.to_string());
    set(headers, remaining, &state.remaining.to_string());
    let when = match style {
        Style::Anthropic => later(now, state.reset).to_string(),
        _ => go_duration(state.reset),
    };
    set(headers, reset, &when);
}

/// Only two styles have such headers, and neither for requests in flight.
fn limit_names(style: Style, what: Limited) -> Option<[HeaderName; 3]> {
    match (style, what) {
        (Style::OpenAi, Limited::Requests) => Some([
            header::X_RATELIMIT_LIMIT_REQUESTS,
            header::X_RATELIMIT_REMAINING_REQUESTS,
            header::X_RATELIMIT_RESET_REQUESTS,
        ]),
        (Style::OpenAi, Limited::Tokens) => Some([
            header::X_RATELIMIT_LIMIT_TOKENS,
            header::X_RATELIMIT_REMAINING_TOKENS,
            header::X_RATELIMIT_RESET_TOKENS,
        ]),
        (Style::Anthropic, Limited::Requests) => Some([
            header::ANTHROPIC_RATELIMIT_REQUESTS_LIMIT,
            header::ANTHROPIC_RATELIMIT_REQUESTS_REMAINING,
            header::ANTHROPIC_RATELIMIT_REQUESTS_RESET,
        ]),
        (Style::Anthropic, Limited::Tokens) => Some([
            header::ANTHROPIC_RATELIMIT_TOKENS_LIMIT,
            header::ANTHROPIC_RATELIMIT_TOKENS_REMAINING,
            header::ANTHROPIC_RATELIMIT_TOKENS_RESET,
        ]),
        _ => None,
    }
}

/// Rounded up, so that nobody comes too early.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    Timestamp::from_millis(now.as_millis().saturating_add(wait.as_millis() as u64))
}

/// As Go writes durations, in milliseconds rounded up: `12ms`, `1.5s`, `6m0s`, `1h0m0s`.
pub(super) fn go_duration(wait: Duration) -> String {
    let millis = wait.as_nanos().div_ceil(1_000_000);
    if millis == 0 {
        return "0s".to_owned();
    }
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (minutes, millis) = (millis / 60_000, millis % 60_000);
    let fraction = format!(".{:03}", millis % 1000);
    let seconds = format!("{}{}s", millis / 1000, fraction.trim_end_matches('0').trim_end_matches('.'));
    match (minutes / 60, minutes % 60) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}
