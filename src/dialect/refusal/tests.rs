use std::fmt::Write;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::limits::{go_duration, whole_seconds};
use super::{Style, mid_stream, render};
use crate::dialect::Streams;
use crate::reject::{Denial, LimitState, Limited, Reject};
use crate::types::{RequestId, Timestamp};

fn limited(what: Limited, retry_after: Option<Duration>) -> Reject {
    Reject::Limited(LimitState { what, limit: 60, remaining: 0, retry_after, reset: Duration::from_millis(59_001) })
}

fn shown(style: Style, reject: &Reject) -> (StatusCode, String, HeaderMap) {
    let id: RequestId = serde_json::from_str("\"req_1\"").unwrap();
    let now = Timestamp::parse("2026-11-21T10:00:00Z").unwrap();
    let response = render(style, reject, &id, now);
    let text = String::from_utf8(response.body().to_vec()).unwrap();
    (response.status(), text, response.headers().clone())
}

fn lines(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}

#[test]
fn an_unknown_key_looks_to_openai_clients_as_openai_says_it() {
    let (status, body, headers) = shown(Style::OpenAi, &Reject::Unauthorized(Denial::UnknownKey));
    assert_eq!(status, 401);
    let want = concat!(
        r#"{"error":{"message":"The API key is missing or not valid here. Send a valid key, for example as "#,
        r#"'Authorization: Bearer KEY'.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#
    );
    assert_eq!(body, want);
    assert_eq!(lines(&headers), ["content-type: application/json", "x-request-id: req_1", "x-should-retry: false"]);
}

#[test]
fn every_reason_for_a_401_has_the_same_body() {
    let all = [Denial::NoKey, Denial::UnknownKey, Denial::Expired, Denial::Disabled, Denial::Secret];
    for style in ALL {
        let first = shown(style, &Reject::Unauthorized(Denial::NoKey));
        assert!(all.iter().all(|denial| shown(style, &Reject::Unauthorized(*denial)) == first));
    }
}

#[test]
fn a_request_limit_says_in_openai_headers_when_to_come_back() {
    let (status, body, headers) = shown(Style::OpenAi, &limited(Limited::Requests, Some(Duration::from_millis(1200))));
    assert_eq!(status, 429);
    let want = concat!(
        r#"{"error":{"message":"Too many requests per minute. Wait as 'retry-after' says.","#,
        r#""type":"requests","param":null,"code":"rate_limit_exceeded"}}"#
    );
    assert_eq!(body, want);
    let want = [
        "content-type: application/json",
        "retry-after: 2",
        "x-ratelimit-limit-requests: 60",
        "x-ratelimit-remaining-requests: 0",
        "x-ratelimit-reset-requests: 59.001s",
        "x-request-id: req_1",
        "x-tollgate-limit-origin: gateway",
    ];
    assert_eq!(lines(&headers), want);
}

#[test]
fn a_token_limit_says_in_anthropic_headers_when_it_is_whole_again() {
    let (status, body, headers) = shown(Style::Anthropic, &limited(Limited::Tokens, Some(Duration::ZERO)));
    assert_eq!(status, 429);
    let want = concat!(
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"Too many tokens per minute. "#,
        r#"Wait as 'retry-after' says."},"request_id":"req_1"}"#
    );
    assert_eq!(body, want);
    let want = [
        "anthropic-ratelimit-tokens-limit: 60",
        "anthropic-ratelimit-tokens-remaining: 0",
        "anthropic-ratelimit-tokens-reset: 2026-11-21T10:00:59.001Z",
        "content-type: application/json",
        "request-id: req_1",
        "retry-after: 1",
        "x-tollgate-limit-origin: gateway",
    ];
    assert_eq!(lines(&headers), want);
}

#[test]
fn what_waiting_cannot_help_is_not_to_be_retried() {
    for reject in [Reject::BudgetSpent, limited(Limited::Tokens, None)] {
        let (status, _, headers) = shown(Style::OpenAi, &reject);
        assert_eq!(status, 429);
        assert_eq!(headers["x-should-retry"], "false");
        assert!(!headers.contains_key("retry-after"));
        assert_eq!(headers["x-tollgate-limit-origin"], "gateway");
    }
    let (_, body, _) = shown(Style::OpenAi, &Reject::BudgetSpent);
    assert!(body.contains(r#""type":"insufficient_quota","param":null,"code":"insufficient_quota""#), "{body}");
}

#[test]
fn types_follow_the_status_in_both_styles() {
    let cases = [
        (Reject::ModelForbidden, 403, "invalid_request_error", "permission_error"),
        (Reject::NoRoute, 404, "invalid_request_error", "not_found_error"),
        (Reject::BodyNotJson, 400, "invalid_request_error", "invalid_request_error"),
        (Reject::BodyTooLarge { limit: 9 }, 413, "invalid_request_error", "request_too_large"),
        (limited(Limited::Concurrency, Some(Duration::ZERO)), 429, "requests", "rate_limit_error"),
        (Reject::NotSupported, 501, "invalid_request_error", "invalid_request_error"),
        (Reject::UpstreamBroken, 502, "server_error", "api_error"),
        (Reject::SpoolFull, 503, "server_error", "overloaded_error"),
        (Reject::UpstreamTimeout, 504, "server_error", "timeout_error"),
    ];
    for (reject, status, openai, anthropic) in cases {
        for (style, kind) in [(Style::OpenAi, openai), (Style::Anthropic, anthropic)] {
            let (got, body, _) = shown(style, &reject);
            assert_eq!(got, status);
            assert!(body.contains(&format!(r#""type":"{kind}""#)), "{reject:?}: {body}");
        }
    }
    assert!(shown(Style::OpenAi, &Reject::BodyTooLarge { limit: 9 }).1.contains("The limit is 9 bytes."));
}

const ALL: [Style; 9] = [
    Style::OpenAi,
    Style::Anthropic,
    Style::Google,
    Style::Bedrock,
    Style::Cohere,
    Style::Ollama,
    Style::UsageGuard,
    Style::LlmStudio,
    Style::BrConnector,
];

/// Every style's refusals and stream ends, as they stand on the wire.
#[test]
fn every_style_says_it_in_its_own_words() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/refusals.txt");
    let mut text = String::new();
    for style in ALL {
        for reject in [
            Reject::Unauthorized(Denial::UnknownKey),
            Reject::ModelForbidden,
            Reject::NoRoute,
            Reject::BodyTooLarge { limit: 9 },
            limited(Limited::Requests, Some(Duration::from_secs(2))),
            Reject::BudgetSpent,
            Reject::SpoolFull,
            Reject::UpstreamTimeout,
        ] {
            let (status, body, headers) = shown(style, &reject);
            let headers = lines(&headers).join("\n");
            writeln!(text, "{style:?}: {}\n{headers}\n{body}\n", status.as_u16()).unwrap();
        }
        for streams in [Streams::Events, Streams::Lines, Streams::Frames, Streams::Objects] {
            let event = mid_stream(style, streams, &Reject::UpstreamCut, "req_1");
            let event = event.map_or_else(|| "none".to_owned(), |event| event.escape_ascii().to_string());
            writeln!(text, "{style:?} in a stream of {streams:?}: {event}").unwrap();
        }
        text.push('\n');
    }
    if std::env::var_os("TOLLGATE_TEST_BLESS").is_some() {
        std::fs::write(golden, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(golden).unwrap());
}

#[test]
fn brconnectors_clients_know_400_alone_for_what_they_did_wrong() {
    for reject in [Reject::Unauthorized(Denial::NoKey), Reject::ModelForbidden, Reject::NoRoute, Reject::BudgetSpent] {
        assert_eq!(shown(Style::BrConnector, &reject).0, 400, "{reject:?}");
    }
    assert_eq!(shown(Style::BrConnector, &limited(Limited::Tokens, Some(Duration::ZERO))).0, 429, "waiting helps");
}

#[test]
fn an_exception_frame_is_sound() {
    let frame = mid_stream(Style::Bedrock, Streams::Frames, &Reject::ShuttingDown, "req_1").unwrap();
    let number = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap()) as usize;
    let crc = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum() as usize
    };
    assert_eq!((number(0), number(8)), (frame.len(), crc(&frame[..8])));
    assert_eq!(number(frame.len() - 4), crc(&frame[..frame.len() - 4]));
    let payload = &frame[12 + number(4)..frame.len() - 4];
    assert_eq!(payload, br#"{"message":"This instance is shutting down. Try again."}"#);
}

#[test]
fn the_path_chooses_the_style() {
    let cases = [
        ("/v1/messages", Style::Anthropic),
        ("/x/v1/messages/", Style::Anthropic),
        ("/v1/messages/count_tokens", Style::Anthropic),
        ("/v1/chat/completions", Style::OpenAi),
        ("/v1/threads/messages", Style::OpenAi),
    ];
    for (path, style) in cases {
        assert_eq!(Style::of_path(path), style, "{path}");
    }
}

#[test]
fn durations_are_rounded_up_and_written_as_the_clients_read_them() {
    let cases = [(0, "0s"), (12, "12ms"), (1000, "1s"), (1500, "1.5s"), (60_000, "1m0s"), (360_000, "6m0s")];
    for (millis, want) in cases {
        assert_eq!(go_duration(Duration::from_millis(millis)), want);
    }
    assert_eq!(go_duration(Duration::from_hours(1)), "1h0m0s");
    assert_eq!(go_duration(Duration::from_micros(1)), "1ms");
    assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
    assert_eq!(whole_seconds(Duration::from_millis(2001)), 3);
}
