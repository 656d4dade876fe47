//! How a refusal looks on the wire, in the words that the client's own SDK understands.
//!
//! The SDKs act on the status, `retry-after` and `x-should-retry`; people read the message and the code. Nothing of the
//! request is repeated in a body, so a refusal is no oracle.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header::CONTENT_TYPE, header::RETRY_AFTER};
use serde::Serialize;

use crate::header;
use crate::reject::{LimitState, Limited, Reject};
use crate::types::{RequestId, Timestamp};

/// Whose error bodies and headers to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// OpenAI's, which most others understand.
    OpenAi,
    /// Anthropic's.
    Anthropic,
}

#[derive(Serialize)]
struct OpenAiBody<'a> {
    error: OpenAiError<'a>,
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: &'a str,
}

#[derive(Serialize)]
struct AnthropicBody<'a> {
    r#type: &'a str,
    error: AnthropicError<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'a str,
    message: &'a str,
}

impl Style {
    /// The style that the clients of a path expect.
    pub fn of_path(path: &str) -> Self {
        let path = path.trim_end_matches('/');
        let messages = path.ends_with("/v1/messages") || path.contains("/v1/messages/");
        if messages { Self::Anthropic } else { Self::OpenAi }
    }
}

/// The whole answer to a refused request. `now` is only for headers that state a time of day.
pub fn render(style: Style, reject: &Reject, id: &RequestId, now: Timestamp) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body(style, reject, id)));
    *response.status_mut() = reject.row().status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let id_header = match style {
        Style::OpenAi => header::X_REQUEST_ID,
        Style::Anthropic => header::REQUEST_ID,
    };
    set(headers, id_header, id.as_str());
    retry_headers(headers, reject);
    if let Reject::Limited(state) = reject {
        limit_headers(headers, style, state, now);
    }
    response
}

/// One event that ends a stream which has already begun.
pub fn mid_stream(style: Style, reject: &Reject, id: &RequestId) -> Bytes {
    let name = match style {
        Style::OpenAi => "",
        Style::Anthropic => "event: error\n",
    };
    Bytes::from(format!("{name}data: {}\n\n", body(style, reject, id)))
}

fn body(style: Style, reject: &Reject, id: &RequestId) -> String {
    let row = reject.row();
    let message = match reject {
        Reject::BodyTooLarge { limit } => format!("{} The limit is {limit} bytes.", row.text),
        _ => row.text.to_owned(),
    };
    let written = match style {
        Style::OpenAi => serde_json::to_string(&OpenAiBody {
            error: OpenAiError { message: &message, r#type: openai_type(reject), param: None, code: row.code },
        }),
        Style::Anthropic => serde_json::to_string(&AnthropicBody {
            r#type: "error",
            error: AnthropicError { r#type: anthropic_type(row.status), message: &message },
            request_id: id.as_str(),
        }),
    };
    // Writing strings as JSON cannot fail; an empty object is still an answer.
    written.unwrap_or_else(|_| "{}".to_owned())
}

fn openai_type(reject: &Reject) -> &'static str {
    match reject {
        Reject::Limited(LimitState { what: Limited::Tokens, .. }) => "tokens",
        Reject::Limited(_) => "requests",
        Reject::BudgetSpent => "insufficient_quota",
        _ if reject.row().status.is_server_error() && *reject != Reject::NotSupported => "server_error",
        _ => "invalid_request_error",
    }
}

fn anthropic_type(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
        StatusCode::GATEWAY_TIMEOUT => "timeout_error",
        status if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => "api_error",
        _ => "invalid_request_error",
    }
}

fn retry_headers(headers: &mut HeaderMap, reject: &Reject) {
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

fn limit_headers(headers: &mut HeaderMap, style: Style, state: &LimitState, now: Timestamp) {
    let Some([limit, remaining, reset]) = limit_names(style, state.what) else { return };
    set(headers, limit, &state.limit.to_string());
    set(headers, remaining, &state.remaining.to_string());
    let when = match style {
        Style::OpenAi => go_duration(state.reset),
        Style::Anthropic => later(now, state.reset).to_string(),
    };
    set(headers, reset, &when);
}

/// Neither has headers for requests in flight.
fn limit_names(style: Style, what: Limited) -> Option<[HeaderName; 3]> {
    match (style, what) {
        (_, Limited::Concurrency) => None,
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
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Rounded up, so that nobody comes too early.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    Timestamp::from_millis(now.as_millis().saturating_add(wait.as_millis() as u64))
}

/// As Go writes durations, in milliseconds rounded up: `12ms`, `1.5s`, `6m0s`, `1h0m0s`.
fn go_duration(wait: Duration) -> String {
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

#[cfg(test)]
mod tests;
