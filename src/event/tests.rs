//! The public contract, frozen: schema, golden events, bounds.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::{Cost, LimitsUsed, LocalCount, MAX_BYTES, Outcome, Previous, Sequence, Timing, UsageData, UsageEvent};
use crate::types::{NanoUsd, Source, Timestamp, Usage};

/// Set to write golden files anew instead of comparing.
const BLESS: &str = "TOLLGATE_TEST_BLESS";

fn golden(path: &str, actual: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(&file, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(actual, expected, "{path} differs; if the change is meant, run once with {BLESS}=1");
}

fn event() -> UsageEvent {
    UsageEvent {
        specversion: "1.0".into(),
        id: "5f0c2b9a77e1-3-41".into(),
        source: "/tollgate/local".into(),
        kind: super::TYPE.into(),
        subject: "org_acme".into(),
        time: Timestamp::parse("2026-11-21T10:00:00.000Z").unwrap(),
        datacontenttype: "application/json".into(),
        data: UsageData {
            sequence: Sequence { spool: "5f0c2b9a77e1".into(), epoch: 3, number: 41, previous: None },
            request_id: "req_0123456789abcdef0000000000000001".into(),
            attempt: 1,
            dialect: "openai.chat".into(),
            operation: "chat".into(),
            ..UsageData::default()
        },
    }
}

pub(super) fn complete() -> UsageEvent {
    let mut event = event();
    let raw = r#"{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46}"#;
    event.data = UsageData {
        trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".into()),
        key_id: Some("acme-ci".into()),
        org_id: Some("org_acme".into()),
        group: Some("research".into()),
        end_user: Some("user-7".into()),
        session_id: Some("s-1".into()),
        upstream: Some("openai".into()),
        provider: Some("openai".into()),
        host: Some("api.openai.com".into()),
        model_requested: Some("gpt-4o".into()),
        model_served: Some("gpt-4o-2024-08-06".into()),
        stream: true,
        outcome: Outcome::Ok,
        status: Some(200),
        upstream_status: Some(200),
        finish_reasons: vec!["stop".into()],
        usage: Usage {
            input_tokens: Some(12),
            output_tokens: Some(34),
            total_tokens: Some(46),
            cache_read_tokens: Some(0),
            source: Source::Provider,
            complete: true,
            raw: Some(RawValue::from_string(raw.into()).unwrap()),
            ..Usage::default()
        },
        local: Some(LocalCount { input_tokens: Some(12), output_tokens: Some(33), tokenizer: "o200k_base".into() }),
        timing: Timing {
            total_ms: 812.4,
            first_byte_ms: Some(101.2),
            first_token_ms: Some(120.9),
            inter_token_ms: Some(20.8),
            tokens_per_second: Some(41.9),
            guard_us: 9,
            overhead_us: 41,
        },
        cost: Some(Cost {
            currency: "USD".into(),
            total_nano: NanoUsd(61_000),
            input_nano: NanoUsd(9_000),
            output_nano: NanoUsd(52_000),
            price: "2026-11-01".into(),
        }),
        limits: Some(LimitsUsed { reserved_tokens: 4108, settled_tokens: Some(46) }),
        flags: vec!["usage_injected".into()],
        ..event.data
    };
    event
}

#[test]
fn the_schema_is_the_shipped_one() {
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(UsageEvent)).unwrap();
    golden("deploy/schema/usage.v1.json", &(schema + "\n"));
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(super::LossEvent)).unwrap();
    golden("deploy/schema/loss.v1.json", &(schema + "\n"));
}

#[test]
fn events_look_as_they_always_did() {
    let golden_event = |name: &str, mut event: UsageEvent| {
        let line = String::from_utf8(event.encode().unwrap()).unwrap();
        golden(&format!("tests/fixtures/events/{name}.json"), &(line.clone() + "\n"));
        let again: UsageEvent = serde_json::from_str(&line).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), line, "an event survives reading");
    };
    golden_event("v1_complete", complete());
    golden_event("v1_interrupted", event());
    let mut first = event();
    first.id = "5f0c2b9a77e1-3-1".into();
    first.data.sequence.number = 1;
    first.data.sequence.previous = Some(Previous { epoch: 2, number: 977, clean: true });
    golden_event("v1_first_of_an_epoch", first);
}

#[test]
fn an_event_is_bounded_whatever_a_client_sends() {
    let mut event = complete();
    let long = "\u{1F600}\"\\\u{0}".repeat(5000);
    event.data.end_user = Some(long.clone());
    event.data.model_requested = Some(long.clone());
    event.data.model_served = Some(long.clone());
    event.data.session_id = Some(long.clone());
    event.data.connection_id = Some(long.clone());
    event.data.trace_id = Some(long.clone());
    event.data.finish_reasons = vec![long.clone(); 50];
    event.data.usage.raw = Some(RawValue::from_string(serde_json::to_string(&"x".repeat(4000)).unwrap()).unwrap());
    let bytes = event.encode().unwrap();
    assert!(bytes.len() <= MAX_BYTES, "{} bytes", bytes.len());
    assert!(event.data.flags.iter().any(|flag| flag == "event_truncated"));
    assert!(!bytes.contains(&b'\n'), "an event is one line");
}

#[test]
fn absent_is_not_zero() {
    let mut event = event();
    event.data.usage.cache_read_tokens = Some(0);
    let line = String::from_utf8(event.encode().unwrap()).unwrap();
    assert!(line.contains(r#""cache_read_tokens":0"#));
    assert!(!line.contains("input_tokens") && !line.contains("cost"));
    let _: Arc<str> = event.subject;
}
