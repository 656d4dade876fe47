use crate::config::DialectChoice;
use crate::dialect::{Dialect, Flags, Payload, Reading, Route, route};

fn made() -> Route {
    route(DialectChoice::Auto, &http::Method::POST, "/v1/responses")
}

fn again() -> Route {
    route(DialectChoice::Auto, &http::Method::GET, "/v1/responses/resp_1")
}

fn dialect() -> &'static dyn Dialect {
    made().dialect
}

fn read_with(route: Route, payloads: &[&str]) -> Reading {
    let mut reading = Reading::default();
    for payload in payloads {
        route.dialect.read_answer(payload.as_bytes().into(), &mut reading);
    }
    reading
}

fn read(payloads: &[&str]) -> Reading {
    read_with(made(), payloads)
}

fn text(reading: &Reading) -> &str {
    std::str::from_utf8(reading.escaped_text()).unwrap()
}

fn response(status: &str, more: &str) -> String {
    format!(
        r#"{{"id":"resp_1","object":"response","status":"{status}","model":"gpt-5","error":null,"output":[]{more}}}"#
    )
}

const USAGE: &str = r#","usage":{"input_tokens":30,"input_tokens_details":{"cached_tokens":10},"output_tokens":4,
    "output_tokens_details":{"reasoning_tokens":3},"total_tokens":34}"#;

fn event(kind: &str, response: &str) -> String {
    format!(r#"{{"type":"{kind}","sequence_number":1,"response":{response}}}"#)
}

#[test]
fn a_request_says_what_it_asks_for() {
    let body = r#"{"model":"gpt-5","instructions":"be kind","input":[{"role":"user","content":"hi"}],"stream":true,
        "max_output_tokens":50,"tools":[1],"safety_identifier":"u","temperature":0.2,"background":true}"#;
    let ask = dialect().read_request("/v1/responses", body.as_bytes()).unwrap();
    assert_eq!((ask.model.as_deref(), ask.stream, ask.max_tokens), (Some("gpt-5"), true, Some(50)));
    assert_eq!((ask.end_user.as_deref(), ask.temperature), (Some("u"), Some(0.2)));
    assert_eq!(ask.input_bytes, (r#""be kind"[{"role":"user","content":"hi"}][1]"#).len() as u64);
    assert!(ask.wants_usage, "usage comes unasked, so nothing is asked for");
    assert!(dialect().read_request("/v1/responses", br#"{"prompt":{"id":"p"}}"#).is_err(), "no model to permit");
    assert!(dialect().read_request("/v1/responses", br#"{"model":"a","model":"b"}"#).is_err());
}

#[test]
fn usage_of_each_ending_is_read_and_ends_the_stream() {
    let cases = [
        ("completed", "", "completed", None),
        ("incomplete", r#","incomplete_details":{"reason":"max_output_tokens"}"#, "max_output_tokens", None),
        ("failed", "", "failed", None),
    ];
    for (status, more, reason, error) in cases {
        let last = event(&format!("response.{status}"), &response(status, &format!("{more}{USAGE}")));
        let reading = read(&[&event("response.created", &response("in_progress", "")), &last]);
        let usage = reading.usage().unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens, usage.total_tokens), (Some(30), Some(4), Some(34)));
        assert_eq!((usage.cache_read_tokens, usage.reasoning_tokens), (Some(10), Some(3)));
        assert_eq!(reading.finish_reasons, [reason]);
        assert_eq!((reading.done, reading.error.as_deref()), (true, error));
        assert_eq!(reading.model_served.as_deref(), Some("gpt-5"));
        assert_eq!(reading.flags(), Flags::default());
    }
}

#[test]
fn a_failure_is_noted_by_its_code_alone() {
    let failed = response("failed", "").replace("null", r#"{"code":"rate_limit_exceeded","message":"secret"}"#);
    assert_eq!(read(&[&event("response.failed", &failed)]).error.as_deref(), Some("rate_limit_exceeded"));
    let flat = r#"{"type":"error","code":"server_error","message":"secret","param":null,"sequence_number":3}"#;
    let reading = read(&[flat]);
    assert_eq!((reading.error.as_deref(), reading.done), (Some("server_error"), false));
    let nested = r#"{"type":"error","error":{"type":"invalid_request_error","code":"no_such","message":"secret"}}"#;
    assert_eq!(read(&[nested]).error.as_deref(), Some("no_such"));
    assert_eq!(
        read(&[r#"{"error":{"type":"invalid_request_error"}}"#]).error.as_deref(),
        Some("invalid_request_error")
    );
}

#[test]
fn every_kind_of_delta_the_model_writes_is_content() {
    let delta = |kind: &str, delta: &str| {
        format!(
            r#"{{"type":"response.{kind}.delta","item_id":"i","output_index":0,"delta":{delta},"obfuscation":"x"}}"#
        )
    };
    for kind in [
        "output_text",
        "refusal",
        "reasoning_text",
        "reasoning_summary_text",
        "function_call_arguments",
        "custom_tool_call_input",
        "mcp_call_arguments",
        "code_interpreter_call_code",
        "shell_call_command",
    ] {
        let reading = read(&[&delta(kind, r#""a\"b""#)]);
        assert_eq!((text(&reading), reading.had_content), (r#"a\"b"#, true), "{kind}");
        assert!(!read(&[&delta(kind, r#""""#)]).had_content, "an empty {kind}");
    }
    let sound = read(&[&delta("output_audio", r#""AAA=""#)]);
    assert_eq!((text(&sound), sound.had_content), ("", true));
    let tool = read(&[&delta("shell_call_output_content", r#"{"stdout":"hi"}"#)]);
    assert_eq!((text(&tool), tool.had_content, tool.flags()), ("", false, Flags::default()));
    for quiet in [
        event("response.created", &response("in_progress", "")),
        r#"{"type":"response.content_part.added","part":{"type":"output_text","text":""}}"#.to_owned(),
    ] {
        assert!(!read(&[&quiet]).had_content, "{quiet}");
    }
}

#[test]
fn the_name_of_an_event_may_stand_beside_it_or_anywhere_in_it() {
    let late = r#"{"item":{"type":"x"},"delta":"hi","sequence_number":7,"type":"response.output_text.delta"}"#;
    assert!(read(&[late]).had_content);
    let mut reading = Reading::default();
    let named = Payload { name: Some(b"response.output_text.delta"), data: br#"{"delta":"hi"}"# };
    dialect().read_answer(named, &mut reading);
    assert_eq!(text(&reading), "hi");
    let fooled = r#"{"type":"response.output_text.delta","delta":"\"type\":\"response.completed\""}"#;
    assert!(!read(&[fooled]).done);
}

#[test]
fn an_item_that_came_without_deltas_is_read_when_it_is_done_and_otherwise_not_twice() {
    let added = r#"{"type":"response.output_item.added","item":{"type":"function_call","name":"f","arguments":""}}"#;
    let delta = r#"{"type":"response.function_call_arguments.delta","delta":"{}1"}"#;
    let done = r#"{"type":"response.output_item.done","item":{"type":"function_call","name":"f","arguments":"{}1"}}"#;
    assert_eq!(text(&read(&[added, delta, done])), "f{}1");
    assert_eq!(text(&read(&[added, done])), "f{}1");
    let message = r#"{"type":"response.output_item.done","item":{"type":"message","content":[{"type":"output_text","text":"hey"}]}}"#;
    assert!(read(&[message]).had_content);
}

#[test]
fn a_whole_response_is_read_and_its_text_only_where_usage_is_missing() {
    let output =
        r#","output":[{"type":"reasoning","summary":[{"text":"hm"}]},{"type":"message","content":[{"text":"yes"}]}]"#;
    let body = response("completed", USAGE).replace(r#","output":[]"#, output);
    let reading = read(&[&body]);
    assert_eq!((reading.usage().unwrap().output_tokens, text(&reading)), (Some(4), ""));
    assert_eq!(reading.finish_reasons, ["completed"]);
    let silent = response("completed", "").replace(r#","output":[]"#, output);
    assert_eq!(text(&read(&[&silent])), "hmyes");
    let compacted = r#"{"id":"resp_1","object":"response.compaction","output":[],"usage":{"input_tokens":5,"output_tokens":2,"total_tokens":7}}"#;
    assert_eq!(read(&[compacted]).usage().unwrap().total_tokens, Some(7));
}

#[test]
fn a_background_response_has_no_usage_until_it_is_asked_for_when_finished() {
    let background = |status: &str, more: &str| response(status, &format!(r#","background":true{more}"#));
    let queued = read(&[&background("queued", r#","usage":null"#)]);
    assert!(queued.deferred && queued.usage().is_none() && queued.finish_reasons.is_empty());
    for pending in ["queued", "in_progress"] {
        assert!(read_with(again(), &[&background(pending, "")]).usage().is_none());
    }
    let finished = read_with(again(), &[&background("completed", USAGE)]);
    assert_eq!(finished.usage().unwrap().total_tokens, Some(34));
    assert_eq!((finished.kept.as_deref(), finished.repeated), (Some("resp_1"), false));
    let streamed = read(&[&event("response.completed", &background("completed", USAGE))]);
    assert_eq!((streamed.kept.as_deref(), streamed.usage().is_some()), (Some("resp_1"), true));
}

#[test]
fn what_was_counted_when_it_was_made_is_not_counted_when_asked_for_again() {
    let reading = read_with(again(), &[&response("completed", &format!(r#","background":false{USAGE}"#))]);
    assert!(reading.usage().is_none() && reading.repeated);
    assert_eq!(reading.model_served.as_deref(), Some("gpt-5"));
}

#[test]
fn what_xai_charges_is_noted() {
    let usage = r#","usage":{"input_tokens":100,"input_tokens_details":{"cached_tokens":20},"output_tokens":50,
        "output_tokens_details":{"reasoning_tokens":30},"total_tokens":150,"num_sources_used":0,"cost_in_usd_ticks":123456}"#;
    let reading = read(&[&response("completed", usage)]);
    assert_eq!(reading.provider_cost.map(|cost| cost.0), Some(12_346));
}

#[test]
fn what_cannot_be_understood_is_flagged() {
    for odd in ["{", "[1]", r#"{"type":"response.completed"}"#, r#"{"type":"response.output_text.delta","delta":"x"#] {
        assert!(read(&[odd]).flags().contains(Flags::METER_ERROR), "{odd}");
    }
    for fine in ["", "[DONE]", r#"{"type":"response.new_thing","response":7}"#, r#"{"type":"response.x.delta"}"#] {
        assert_eq!(read(&[fine]).flags(), Flags::default(), "{fine}");
    }
}

#[test]
fn steps_in_one_stream_go_on_after_a_call_and_the_last_ones_usage_holds() {
    let step = |kind: &str, input: u64| {
        format!(
            r#"{{"type":"response.completed","response":{{"model":"m","status":"completed","output":[{{"type":"{kind}"}}],
            "usage":{{"input_tokens":{input},"output_tokens":1,"total_tokens":{}}}}}}}"#,
            input + 1
        )
    };
    let mut reading = Reading::default();
    let mut read = |payload: &str| {
        dialect().read_answer(payload.as_bytes().into(), &mut reading);
        (reading.done, reading.may_go_on, reading.usage().and_then(|usage| usage.input_tokens))
    };
    assert_eq!(read(&step("function_call", 10)), (true, true, Some(10)));
    let created = r#"{"type":"response.created","response":{"model":"m","status":"in_progress","output":[]}}"#;
    assert_eq!(read(created), (false, false, Some(10)));
    assert_eq!(read(&step("message", 20)), (true, false, Some(20)));
}
