use http::Method;

use crate::config::DialectChoice;
use crate::dialect::{AskError, Operation, Reading, Route, route};

const PATH: &str = "/v1beta/interactions";
const ONE: &str = "/v1beta/interactions/v1_abc";

fn of(method: &Method, path: &str) -> Route {
    route(DialectChoice::Auto, method, path)
}

fn read(payloads: &[&str]) -> (Reading, Vec<bool>) {
    let (mut reading, route) = (Reading::default(), of(&Method::POST, PATH));
    let contents = payloads.iter().map(|payload| {
        route.read(payload.as_bytes().into(), &mut reading);
        reading.had_content
    });
    let contents = contents.collect();
    (reading, contents)
}

fn ask(body: &str) -> Result<crate::dialect::Ask, AskError> {
    of(&Method::POST, PATH).dialect.read_request(PATH, body.as_bytes())
}

#[test]
fn an_interaction_is_made_by_post_and_asked_for_again_by_its_id() {
    let cases = [
        (Method::POST, PATH, "google.interactions", Operation::Chat),
        (Method::POST, "/gw/v1/interactions/", "google.interactions", Operation::Chat),
        (Method::GET, ONE, "google.interactions", Operation::Other),
        (Method::POST, "/v1beta/interactions/v1_abc/cancel", "google.interactions", Operation::Other),
        (Method::GET, PATH, "unknown", Operation::Other),
        (Method::DELETE, ONE, "unknown", Operation::Other),
        (Method::POST, "/v1beta/interactions/v1_abc/auth_tokens", "unknown", Operation::Other),
    ];
    for (method, path, name, operation) in cases {
        let route = of(&method, path);
        assert_eq!((route.name(), route.operation), (name, operation), "{method} {path}");
    }
}

#[test]
fn a_request_names_a_model_or_an_agent_and_never_both() {
    let body = r#"{"model":"models/gemini-3-flash","stream":true,"input":"hello","system_instruction":"s",
        "generation_config":{"max_output_tokens":9,"temperature":0.5,"top_p":0.9}}"#;
    let read = ask(body).unwrap();
    assert_eq!((read.model.as_deref(), read.stream, read.wants_usage), (Some("gemini-3-flash"), true, true));
    assert_eq!((read.max_tokens, read.temperature, read.top_p, read.input_bytes), (Some(9), Some(0.5), Some(0.9), 10));
    let agent = ask(r#"{"agent":"deep-research-pro","background":true,"input":"x"}"#).unwrap();
    assert_eq!((agent.model.as_deref(), agent.stream), (Some("deep-research-pro"), false));
    assert_eq!(ask(r#"{"model":"a","agent":"b"}"#), Err(AskError::NotJson));
    assert_eq!(ask(r#"{"model":"a","model":"b"}"#), Err(AskError::NotJson));
    assert_eq!(ask(r#"{"input":"x"}"#), Err(AskError::NoModel));
}

#[test]
fn usage_of_a_whole_interaction_is_its_own() {
    let body = r#"{"id":"v1_abc","status":"completed","usage":{"total_tokens":1373,"total_input_tokens":22,
        "input_tokens_by_modality":[{"modality":"text","tokens":22}],"total_cached_tokens":4,"total_output_tokens":973,
        "total_tool_use_tokens":129,"total_thought_tokens":249},"steps":[{"type":"model_output","content":
        [{"type":"text","text":"unread"}]}],"object":"interaction","model":"gemini-2.5-flash"}"#;
    let (mut reading, contents) = read(&[body]);
    let usage = reading.take_usage().unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.total_tokens), (Some(151), Some(1222), Some(1373)));
    assert_eq!((usage.cache_read_tokens, usage.reasoning_tokens), (Some(4), Some(249)));
    assert_eq!((reading.model_served.as_deref(), contents), (Some("gemini-2.5-flash"), vec![false]));
    assert_eq!(
        (reading.finish_reasons.as_slice(), reading.kept.as_deref()),
        (&["completed".to_owned()][..], Some("v1_abc"))
    );
    assert!(!reading.deferred && reading.flags().names().next().is_none());
}

#[test]
fn a_stream_is_read_by_its_steps_and_ends_with_its_usage() {
    let (reading, contents) = read(&[
        r#"{"interaction":{"id":"v1_abc","status":"in_progress","object":"interaction","model":"gemini-2.5-flash"},"event_type":"interaction.created"}"#,
        r#"{"interaction_id":"v1_abc","status":"in_progress","event_type":"interaction.status_update"}"#,
        r#"{"index":0,"step":{"type":"thought"},"event_type":"step.start"}"#,
        r#"{"index":0,"delta":{"content":{"text":"hm","type":"text"},"type":"thought_summary"},"event_type":"step.delta"}"#,
        r#"{"index":0,"delta":{"signature":"CiQB","type":"thought_signature"},"event_type":"step.delta"}"#,
        r#"{"index":1,"step":{"type":"model_output"},"event_type":"step.start"}"#,
        r#"{"index":1,"delta":{"text":"one","type":"text"},"event_id":"a1","event_type":"step.delta"}"#,
        r#"{"index":1,"delta":{"text":" two","type":"text"},"event_id":"a2","event_type":"step.delta"}"#,
        r#"{"index":2,"step":{"id":"c","type":"function_call","name":"now","arguments":{}},"event_type":"step.start"}"#,
        r#"{"index":2,"delta":{"arguments":"{\"a\":1}","type":"arguments_delta"},"event_type":"step.delta"}"#,
        r#"{"index":3,"step":{"type":"google_search_result","content":"not the model's"},"event_type":"step.start"}"#,
        r#"{"index":4,"delta":{"data":"AAAA","mime_type":"image/png","type":"image"},"event_type":"step.delta"}"#,
        r#"{"interaction":{"id":"v1_abc","status":"requires_action","usage":{"total_tokens":133,"total_input_tokens":53,"total_cached_tokens":0,"total_output_tokens":15,"total_tool_use_tokens":0,"total_thought_tokens":65},"model":"gemini-2.5-flash"},"event_type":"interaction.completed"}"#,
    ]);
    let seen: Vec<usize> = contents.iter().enumerate().filter_map(|(at, content)| content.then_some(at)).collect();
    assert_eq!(seen, [3, 6, 7, 9, 11]);
    assert_eq!(String::from_utf8_lossy(reading.escaped_text()), r#"hmone twonow{\"a\":1}"#);
    let usage = reading.usage().unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.total_tokens), (Some(53), Some(80), Some(133)));
    assert_eq!((reading.finish_reasons.as_slice(), reading.done), (&["requires_action".to_owned()][..], true));
    assert_eq!((reading.kept.as_deref(), reading.flags().names().next()), (Some("v1_abc"), None));
}

#[test]
fn events_by_their_former_names_are_read_too() {
    let (reading, contents) = read(&[
        r#"{"event_type":"interaction.start","interaction":{"id":"v1_abc","status":"in_progress","agent":"deep-research"}}"#,
        r#"{"event_type":"content.start","index":0,"content":{"type":"text"}}"#,
        r#"{"event_type":"content.delta","index":0,"delta":{"type":"text","text":"hi"}}"#,
        r#"{"event_type":"interaction.complete","interaction":{"id":"v1_abc","status":"completed","usage":{"total_input_tokens":3,"total_output_tokens":1,"total_tokens":4}}}"#,
        "[DONE]",
    ]);
    assert_eq!(contents, [false, false, true, false, false]);
    assert_eq!((reading.model_served.as_deref(), reading.done), (Some("deep-research"), true));
    assert_eq!(reading.usage().unwrap().total_tokens, Some(4));
}

#[test]
fn one_in_the_background_is_deferred_and_its_text_is_read_where_no_usage_comes() {
    let (reading, _) = read(&[r#"{"id":"v1_abc","status":"queued","object":"interaction","agent":"deep-research"}"#]);
    assert!(reading.deferred && reading.usage().is_none() && reading.finish_reasons.is_empty());
    let (reading, _) = read(&[r#"{"id":"v1_abc","status":"incomplete","outputs":[{"type":"text","text":"so far"},
        {"type":"user_input","content":"asked"},{"type":"model_output","content":[{"type":"text","text":", and"}]}]}"#]);
    assert_eq!((reading.escaped_text(), reading.deferred), (&b"so far, and"[..], false));
}

#[test]
fn what_went_wrong_is_told_by_its_code() {
    let failed = r#"{"event_type":"error","error":{"message":"no","code":"rate_limit_exceeded"}}"#;
    assert_eq!(read(&[failed]).0.error.as_deref(), Some("rate_limit_exceeded"));
    let whole = r#"{"error":{"code":404,"status":"NOT_FOUND","message":"no such model"}}"#;
    assert_eq!(read(&[whole]).0.error.as_deref(), Some("NOT_FOUND"));
    let (reading, _) = read(&["{\"id\":"]);
    assert_eq!(reading.flags().names().collect::<Vec<_>>(), ["meter_error"]);
}

#[test]
fn nesting_without_end_is_not_followed() {
    let deep = format!("{}\"x\"{}", r#"{"content":"#.repeat(100_000), "}".repeat(100_000));
    let (reading, _) = read(&[&format!(r#"{{"event_type":"step.start","step":{deep}}}"#)]);
    assert_eq!(reading.text_bytes(), 0);
}
