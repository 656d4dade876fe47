//! Events that are compared come to the same as events that are read.

use std::fmt::Write;

use crate::config::DialectChoice;
use crate::dialect::{Payload, Reading, Route, route};
use http::Method;

fn chat() -> Route {
    route(DialectChoice::Auto, &Method::POST, "/v1/chat/completions")
}

fn chunk(text: &str, rest: &str) -> String {
    format!(
        r#"{{"id":"c","model":"m","choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}]{rest}}}"#
    )
}

/// Reads as a stream is read, and each payload by its dialect alone; both must come to the same.
fn read(route: Route, payloads: &[(Option<&str>, String)]) -> (Reading, u64) {
    let (mut reading, mut plain, mut alike) = (Reading::default(), Reading::default(), 0);
    for (name, data) in payloads {
        let payload = Payload { name: name.map(str::as_bytes), data: data.as_bytes() };
        alike += u64::from(route.read(payload, &mut reading));
        route.dialect.read_answer(payload, &mut plain);
        assert_eq!(facts(&reading), facts(&plain), "{data}");
    }
    (reading, alike)
}

fn facts(reading: &Reading) -> String {
    let mut facts = format!("{:?} {:?}", reading.usage(), String::from_utf8_lossy(reading.escaped_text()));
    let Reading { model_served, finish_reasons, had_content, error, done, .. } = reading;
    let flags = reading.flags();
    write!(facts, "{model_served:?} {finish_reasons:?} {had_content} {error:?} {done} {flags:?}").unwrap();
    facts
}

fn unnamed(texts: &[&str], rest: &str) -> Vec<(Option<&'static str>, String)> {
    texts.iter().map(|text| (None, chunk(text, rest))).collect()
}

#[test]
fn from_the_third_on_events_that_differ_in_their_text_are_only_compared() {
    let (reading, alike) = read(chat(), &unnamed(&["a", "b", r#"c\"d"#, "é", r"\\"], ""));
    assert_eq!((alike, reading.escaped_text()), (3, r#"abc\"dé\\"#.as_bytes()));
}

#[test]
fn padding_numbers_and_clocks_do_not_matter() {
    let events: Vec<_> = (0..9)
        .map(|i| {
            let rest = format!(r#","obfuscation":"{}","sequence_number":{i}"#, "x".repeat(i));
            (None, chunk("a", &rest))
        })
        .collect();
    assert_eq!(read(chat(), &events).1, 7);
}

#[test]
fn what_says_more_is_read() {
    let mut events = unnamed(&["a", "b", "c"], "");
    for odd in [
        chunk("d", r#","usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}"#),
        chunk("e", "").replace("null", r#""stop""#),
        chunk(r#"e"},"x":{"y":"z"#, ""),
        chunk("", ""),
        chunk("f", r#","error":{"code":"g"}"#),
        chunk("half", "").split_at(70).0.to_owned(),
        "[DONE]".to_owned(),
    ] {
        events.push((None, odd));
        events.extend(unnamed(&["h"], ""));
    }
    let (reading, alike) = read(chat(), &events);
    // Half an event takes the place of the one remembered.
    assert_eq!((alike, reading.usage().and_then(|usage| usage.input_tokens)), (6, Some(3)));
    assert_eq!(
        (reading.error.as_deref(), reading.finish_reasons.as_slice()),
        (Some("g"), ["stop".to_owned()].as_slice())
    );
}

#[test]
fn an_event_of_another_name_is_another_event() {
    let route = route(DialectChoice::Auto, &Method::POST, "/model/m/converse-stream");
    let data = r#"{"contentBlockIndex":0,"delta":{"text":"a"},"p":"abc"}"#;
    let names = ["contentBlockDelta", "contentBlockDelta", "validationException", "contentBlockDelta"];
    let (reading, alike) = read(route, &names.map(|name| (Some(name), data.to_owned())));
    assert_eq!((alike, reading.escaped_text(), reading.error.is_some()), (2, b"aaa".as_slice(), true));
}

#[test]
fn what_json_does_not_allow_is_left_to_the_dialect() {
    let route = route(DialectChoice::Auto, &Method::POST, "/model/m/converse-stream");
    let event = |text: &str, p: &str| {
        let data = format!(r#"{{"contentBlockIndex":0,"delta":{{"text":"{text}"}},"p":{p}}}"#);
        (Some("contentBlockDelta"), data)
    };
    let texts = ["a", "b", r"\n", "\u{0}", r"\q", r"\u00"].map(|text| event(text, "12"));
    let paddings = ["7", "0", "07", r#""\x""#, "\"\t\""].map(|padding| event("c", padding));
    assert_eq!(read(route, &[texts.as_slice(), &paddings].concat()).1, 4);
}

#[test]
fn a_stream_of_events_that_are_not_alike_is_given_up() {
    let unlike: Vec<_> = (0..20).map(|i| (None, chunk("a", &format!(r#","x":{i}"#)))).collect();
    let alike = unnamed(&["a", "b", "c"], "");
    assert_eq!(read(chat(), &[unlike, alike].concat()).1, 0);
}

/// An object of Google's with this text and usage.
fn object(text: &str, usage: &str) -> (Option<&'static str>, String) {
    let data = format!(
        r#"{{"candidates": [{{"content": {{"parts": [{{"text": "{text}"}}],"role": "model"}},"index": 0}}],"usageMetadata": {{{usage}}},"modelVersion": "m","responseId": "r1"}}"#
    );
    (None, data)
}

fn google(events: &[(Option<&str>, String)]) -> (Reading, u64) {
    read(route(DialectChoice::Auto, &Method::POST, "/v1beta/models/m:streamGenerateContent"), events)
}

#[test]
fn numbers_of_usage_are_taken_where_they_stand() {
    let usage = |prompt: u64, candidates: u64| {
        format!(
            r#""promptTokenCount": {prompt},"candidatesTokenCount": {candidates},"totalTokenCount": {},"promptTokensDetails": [{{"modality": "TEXT","tokenCount": {prompt}}}]"#,
            prompt + candidates
        )
    };
    let events: Vec<_> = (1..10).map(|i| object("a", &usage(9, i * 7))).collect();
    let (reading, alike) = google(&events);
    // The first names the model, the second is remembered.
    assert_eq!(alike, 7);
    let said = reading.usage().unwrap();
    assert_eq!((said.input_tokens, said.output_tokens, said.total_tokens), (Some(9), Some(63), Some(72)));
    assert!(said.raw.unwrap().get().ends_with(r#""tokenCount":9}]}"#));

    let first =
        format!(r#"{{"usageMetadata":{{{}}},"candidates":[{{"content":{{"parts":[{{"text":"a"}}]}}}}]}}"#, usage(1, 2));
    let (reading, alike) = google(&[(None, first.clone()), (None, first.replace(": 2", ": 5"))]);
    assert_eq!((alike, reading.usage().unwrap().output_tokens), (1, Some(5)), "{first}");
}

#[test]
fn usage_that_is_not_alike_is_read() {
    let with = |usage: &str| object("a", usage);
    let plain = r#""promptTokenCount":9,"candidatesTokenCount":3,"totalTokenCount":12"#;
    let mut events = vec![with(plain), with(plain)];
    for (odd, alike) in [
        // More numbers, or fewer.
        (r#""promptTokenCount":9,"candidatesTokenCount":3,"thoughtsTokenCount":5,"totalTokenCount":17"#, 0),
        (r#""promptTokenCount":9,"thoughtsTokenCount":5,"totalTokenCount":17"#, 0),
        (r#""promptTokenCount":9,"thoughtsTokenCount":7,"totalTokenCount":1"#, 1),
        (r#""promptTokenCount":9,"totalTokenCount":12"#, 0),
        (r#""promptTokenCount":9,"totalTokenCount":5"#, 1),
        (r#""promptTokenCount":9"#, 0),
        (r#""promptTokenCount":10"#, 1),
        // What is no whole number of a sensible size.
        (r#""promptTokenCount":10.0"#, 0),
        (r#""promptTokenCount":11"#, 0),
        (r#""promptTokenCount":1e1"#, 0),
        (r#""promptTokenCount":99999999999999999999"#, 0),
        (r#""promptTokenCount":007"#, 0),
        (r#""promptTokenCount":"12""#, 0),
        (r#""promptTokenCount":-1"#, 0),
        (r#""promptTokenCount":3,"promptTokenCount":4"#, 0),
        (r#""x":{"promptTokenCount":3}"#, 0),
    ] {
        events.push(with(odd));
        assert_eq!(google(&events).1 - google(&events[..events.len() - 1]).1, alike, "{odd}");
    }
}
