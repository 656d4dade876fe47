//! A snapshot in an event is the event with its numbers.

use std::time::Duration;

use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use serde_json::value::RawValue;

use super::super::tests::complete;
use super::super::{Delivered, EncodeError, MAX_BYTES, Spans, UsageEvent};
use super::{LONGEST_REPORT, Reported, Snapshot, Tokens, WORD_BYTES};
use crate::types::{NanoUsd, Source, Usage};

/// Mostly numbers as they come, sometimes the greatest.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..100_000_u64, 1 => any::<u64>()]
}

fn span() -> impl Strategy<Value = Duration> {
    prop_oneof![4 => 0..600_000_000_000_u64, 1 => any::<u64>()].prop_map(Duration::from_nanos)
}

fn spans() -> impl Strategy<Value = Spans> {
    let content = prop::option::of((span(), span()));
    let others = (number(), number(), number());
    (span(), prop::option::of(span()), content, others).prop_map(|(total, first_byte, content, others)| Spans {
        total,
        first_byte,
        first_content: content.map(|(first, _)| first),
        last_content: content.map(|(_, last)| last),
        content_frames: others.0,
        guard_us: others.1,
        overhead_us: others.2,
    })
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    let delivered = (number(), number(), number()).prop_map(|(bytes, frames, content_frames)| Delivered {
        bytes,
        frames,
        content_frames,
    });
    let cost = prop::option::of((any::<i64>(), any::<i64>()));
    (delivered, spans(), tokens(), cost).prop_map(|(delivered, spans, tokens, cost)| {
        let cost = cost.map(|(input, output)| (NanoUsd(input), NanoUsd(output)));
        Snapshot { delivered, spans, tokens, cost }
    })
}

fn tokens() -> impl Strategy<Value = Tokens> {
    let estimated = (number(), number()).prop_map(|(input, output)| Tokens::Estimated { input, output });
    prop_oneof![estimated, reported().prop_map(|usage| Tokens::Reported(Reported::of(&usage).unwrap()))]
}

/// What a provider may say.
fn reported() -> impl Strategy<Value = Usage> {
    let counts = [(); 4].map(|()| prop::option::of(number()));
    let raw = prop::option::of("[a-z \"\\\\{}é]{0,40}");
    (counts, raw).prop_map(|([input_tokens, output_tokens, cache_read_tokens, images], raw)| Usage {
        input_tokens,
        output_tokens,
        cache_read_tokens,
        images,
        source: Source::Provider,
        raw: raw.map(|text| RawValue::from_string(serde_json::json!({ "text": text }).to_string()).unwrap()),
        ..Usage::default()
    })
}

/// What is put around the numbers.
#[derive(Clone, Debug)]
struct Around {
    texts: Vec<String>,
    floats: [f64; 2],
    local: bool,
    limits: bool,
}

fn around() -> impl Strategy<Value = Around> {
    // What could be taken for a part that is replaced.
    let text = prop_oneof![
        any::<String>(),
        r#"[{}\[\]",:a\\]{0,40}"#,
        prop_oneof![r#","usage":\{"source":"estimate"\}"#, r#"\},"timing":\{\},"cost":\{"#],
    ];
    let float = prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO;
    (prop::collection::vec(text, 0..10), [float, float], any::<bool>(), any::<bool>())
        .prop_map(|(texts, floats, local, limits)| Around { texts, floats, local, limits })
}

/// An event with usage of the same kind, as a whole PROGRESS holds it.
fn begun(around: Around, tokens: &Tokens) -> UsageEvent {
    let mut event = complete();
    let data = &mut event.data;
    let mut texts = around.texts.into_iter();
    data.end_user = texts.next();
    data.model_served = texts.next();
    data.trace_id = texts.next();
    if let (Some(cost), Some(text)) = (&mut data.cost, texts.next()) {
        cost.price = text.chars().take(100).collect::<String>().into();
    }
    data.tags = texts.collect();
    data.usage = match tokens {
        Tokens::Estimated { .. } => Usage::estimated(7, 0),
        Tokens::Reported(_) => Usage { source: Source::Provider, input_tokens: Some(7), ..Usage::default() },
    };
    data.local = data.local.take().filter(|_| around.local);
    data.limits = data.limits.take().filter(|_| around.limits);
    (data.request.temperature, data.request.top_p) = (Some(around.floats[0]), Some(around.floats[1]));
    event
}

/// The same one later.
fn later(mut event: UsageEvent, snapshot: &Snapshot) -> Result<Vec<u8>, EncodeError> {
    let data = &mut event.data;
    data.delivered = snapshot.delivered;
    data.usage = match &snapshot.tokens {
        Tokens::Estimated { input, output } => Usage {
            input_tokens: Some(*input),
            output_tokens: Some(*output),
            total_tokens: Some(input.saturating_add(*output)),
            source: Source::Estimate,
            ..Usage::default()
        },
        Tokens::Reported(reported) => serde_json::from_str(&reported.text).unwrap(),
    };
    data.timing = snapshot.spans.timing(data.usage.output_tokens);
    if let (Some(cost), Some((input, output))) = (&mut data.cost, snapshot.cost) {
        (cost.total_nano, cost.input_nano, cost.output_nano) = (input.saturating_add(output), input, output);
    }
    event.encode()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

proptest! {
    #[test]
    fn an_event_with_a_snapshot_is_the_event_of_that_moment_to_the_last_byte(
        around in around(),
        snapshots in (snapshot(), snapshot()),
    ) {
        let (before, now) = snapshots;
        let mut event = begun(around, &now.tokens);
        event.data.cost = event.data.cost.filter(|_| now.cost.is_some());
        let line = event.encode().unwrap();
        let expected = later(event, &now).unwrap();
        prop_assert_eq!(now.apply(&line).map(text), Some(text(expected.clone())));
        // Whatever came before it.
        let same_kind = matches!(before.tokens, Tokens::Reported(_)) == matches!(now.tokens, Tokens::Reported(_));
        let tokens = if same_kind { before.tokens.clone() } else { now.tokens.clone() };
        let before = Snapshot { cost: now.cost.and(before.cost.or(now.cost)), tokens, ..before };
        prop_assert_eq!(now.apply(&before.apply(&line).unwrap()).map(text), Some(text(expected)));
    }

    #[test]
    fn a_snapshot_is_read_as_it_was_written(snapshot in snapshot()) {
        prop_assert_eq!(snapshot.bytes(), encoded(&snapshot).len());
        prop_assert_eq!(Snapshot::decode(&encoded(&snapshot)), Some(snapshot));
    }

    #[test]
    fn what_is_reported_is_told_as_the_event_says_it(usage in reported()) {
        let mut event = complete();
        event.data.usage = usage.clone();
        let (line, reported) = (text(event.encode().unwrap()), Reported::of(&usage).unwrap());
        prop_assert!(line.contains(&format!(r#""usage":{},"#, reported.text)), "{line}");
        prop_assert_eq!(reported.output_tokens, usage.output_tokens);
        prop_assert_eq!(Reported::of(&Usage { source: Source::Tokenizer, ..usage }), None);
    }

    #[test]
    fn what_is_no_snapshot_is_none(bytes: Vec<u8>, snapshot in snapshot(), version in 3..=255_u8) {
        let mut encoded = encoded(&snapshot);
        prop_assert_eq!(Snapshot::decode(&encoded[..encoded.len() - 1]), None);
        prop_assert_eq!(Snapshot::decode(&[&encoded[..], &[0]].concat()), None);
        encoded[0] ^= 3;
        prop_assert_eq!(Snapshot::decode(&encoded), None, "an estimate with a report, or neither");
        encoded[0] = version;
        prop_assert_eq!(Snapshot::decode(&encoded), None);
        prop_assert_eq!(Snapshot::decode(&bytes).filter(|_| bytes.len() != WORD_BYTES), None);
        prop_assert_eq!(snapshot.apply(&bytes), None);
    }
}

fn encoded(snapshot: &Snapshot) -> Vec<u8> {
    [&snapshot.words()[..], snapshot.report()].concat()
}

fn snapshot_of(cost: Option<(NanoUsd, NanoUsd)>) -> Snapshot {
    let (delivered, spans) = (Delivered::default(), Spans::default());
    Snapshot { delivered, spans, tokens: Tokens::Estimated { input: 1, output: 2 }, cost }
}

#[test]
fn an_event_that_a_snapshot_does_not_fit_is_left_alone() {
    let (with, without) = (snapshot_of(Some((NanoUsd(1), NanoUsd(2)))), snapshot_of(None));
    let mut reported = complete();
    assert_eq!(with.apply(&reported.encode().unwrap()), None, "what the provider says stands");
    let report = Usage { raw: None, ..reported.data.usage.clone() };
    let told = Snapshot { tokens: Tokens::Reported(Reported::of(&report).unwrap()), ..with.clone() };
    assert!(told.apply(&reported.encode().unwrap()).is_some());
    reported.data.usage = Usage::estimated(1, 1);
    let line = reported.encode().unwrap();
    assert_eq!(told.apply(&line), None, "an estimate does not become what the provider says");
    assert!(with.apply(&line).is_some());
    assert_eq!(without.apply(&line), None, "a cost does not go");
    reported.data.cost = None;
    assert_eq!(with.apply(&reported.encode().unwrap()), None, "nor does it come from nowhere");
    assert_eq!(with.apply(&line[..line.len() - 1]), None);
    reported.data.usage = Usage::default();
    assert_eq!(without.apply(&reported.encode().unwrap()), None, "an INTENT has no estimate");
}

#[test]
fn an_event_does_not_become_too_long() {
    let mut event = complete();
    event.data.usage = Usage::estimated(1, 2);
    event.data.timing = Spans::default().timing(Some(2));
    event.data.cost = None;
    let short = event.encode().unwrap().len();
    event.data.group = Some(format!("research{}", "x".repeat(MAX_BYTES - short)).into());
    let line = event.encode().unwrap();
    let longer = |bytes| Snapshot { delivered: Delivered { bytes, ..Delivered::default() }, ..snapshot_of(None) };
    assert_eq!((line.len(), longer(9).apply(&line).map(|line| line.len())), (MAX_BYTES, Some(MAX_BYTES)));
    assert!(longer(10).apply(&line).is_none());
}

#[test]
fn what_a_later_version_adds_stays() {
    let mut event = complete();
    event.data.usage = Usage::estimated(1, 1);
    let line = text(event.encode().unwrap()).replace(r#","local":"#, r#","newer":{"timing":[{}]},"local":"#);
    let applied = text(snapshot_of(Some((NanoUsd(1), NanoUsd(2)))).apply(line.as_bytes()).unwrap());
    assert!(
        applied.contains(r#","newer":{"timing":[{}]},"local":"#) && applied.contains(r#""total_nano":3"#),
        "{applied}"
    );
}

#[test]
fn usage_that_takes_much_is_told_whole() {
    let usage = |bytes: usize| Usage {
        source: Source::Provider,
        raw: Some(RawValue::from_string(format!("\"{}\"", "x".repeat(bytes))).unwrap()),
        ..Usage::default()
    };
    let most = (0..LONGEST_REPORT).rev().find(|bytes| Reported::of(&usage(*bytes)).is_some()).unwrap();
    assert_eq!(Reported::of(&usage(most)).unwrap().text.len(), LONGEST_REPORT);
    assert_eq!(Reported::of(&usage(most + 1)), None);
}
