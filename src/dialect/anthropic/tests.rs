use super::{Anthropic, route};
use crate::dialect::{Ask, AskError, Dialect, Flags, Operation, Reading};
use crate::types::Usage;

fn read(payloads: &[&str]) -> Reading {
    let mut reading = Reading::default();
    for payload in payloads {
        Anthropic.read_answer(payload.as_bytes().into(), &mut reading);
    }
    reading
}

fn ask(path: &str, body: &str) -> Result<Ask, AskError> {
    Anthropic.read_request(path, body.as_bytes())
}

fn usage(reading: &Reading) -> Usage {
    reading.usage().unwrap()
}

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-x-1","content":[],"stop_reason":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":300,"cache_read_input_tokens":2000,"cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":200},"output_tokens":1,"service_tier":"standard"}}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

fn delta(kind: &str, field: &str, text: &str) -> String {
    format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"{kind}","{field}":"{text}"}}}}"#)
}

#[test]
fn the_head_of_a_stream_is_no_content_and_its_counts_are_input_with_both_kinds_of_cache() {
    let reading = read(&[START]);
    assert!(!reading.had_content && !reading.done);
    let usage = usage(&reading);
    assert_eq!((usage.input_tokens, usage.cache_read_tokens), (Some(2310), Some(2000)));
    assert_eq!((usage.cache_write_tokens, usage.cache_write_1h_tokens), (Some(300), Some(200)));
    assert_eq!(reading.model_served.as_deref(), Some("claude-x-1"));
}

#[test]
fn later_counts_replace_earlier_ones_and_what_they_leave_out_stays() {
    let output = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":30}}"#;
    let reading = read(&[START, output, STOP]);
    let seen = usage(&reading);
    assert_eq!((seen.input_tokens, seen.output_tokens, seen.total_tokens), (Some(2310), Some(30), Some(2340)));
    assert_eq!(seen.cache_write_1h_tokens, Some(200));
    assert!(reading.done && !reading.may_go_on);

    let corrected = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":12,
        "cache_read_input_tokens":0,"cache_creation_input_tokens":2300,"output_tokens":30}}"#;
    let again = corrected.replace("30}", "31}");
    let seen = usage(&read(&[START, corrected, &again]));
    assert_eq!((seen.input_tokens, seen.output_tokens), (Some(2312), Some(31)), "cumulative, never summed");
    assert_eq!((seen.cache_read_tokens, seen.cache_write_tokens), (Some(0), Some(2300)));
}

#[test]
fn input_that_only_the_end_reports_is_input() {
    let start = START.replace(r#""input_tokens":10,"#, r#""input_tokens":0,"#);
    let end = r#"{"type":"message_delta","delta":{},"usage":{"input_tokens":55,"output_tokens":2}}"#;
    assert_eq!(usage(&read(&[&start, end])).input_tokens, Some(2355));
}

#[test]
fn text_thinking_and_tool_arguments_are_content_and_nothing_else_is() {
    let contents = [
        delta("text_delta", "text", "Hi"),
        delta("thinking_delta", "thinking", "Hm"),
        delta("input_json_delta", "partial_json", r#"{\"a\":"#),
        delta("compaction_delta", "content", "Summary"),
        r#"{"index":0,"delta":{"type":"text_delta","text":"Hi"},"type":"content_block_delta"}"#.to_owned(),
        r#"{ "type" : "content_block_delta", "delta" : {"text" : "Hi"} }"#.to_owned(),
        r#"{"type":"content_block_start","content_block":{"type":"text","text":"Hi"}}"#.to_owned(),
        r#"{"type":"content_block_start","content_block":{"type":"tool_use","name":"f","input":{"a":1}}}"#.to_owned(),
        r#"{"type":"content_block_start","content_block":{"type":"redacted_thinking","data":"x"}}"#.to_owned(),
    ];
    for payload in &contents {
        assert!(read(&[payload]).had_content, "{payload}");
    }
    let others = [
        r#"{"type": "ping"}"#.to_owned(),
        delta("text_delta", "text", ""),
        delta("input_json_delta", "partial_json", ""),
        delta("signature_delta", "signature", "EqQB"),
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"citations_delta","citation":{"cited_text":"x"}}}"#
            .to_owned(),
        r#"{"type":"content_block_start","content_block":{"type":"text","text":""}}"#.to_owned(),
        r#"{"type":"content_block_start","content_block":{"type":"tool_use","name":"f","input":{}}}"#.to_owned(),
        r#"{"type":"content_block_start","content_block":{"type":"web_search_tool_result","content":[{"title":"x"}]}}"#
            .to_owned(),
        r#"{"type":"content_block_stop","index":0}"#.to_owned(),
        STOP.to_owned(),
    ];
    for payload in &others {
        let reading = read(&[payload]);
        assert!(!reading.had_content && reading.flags() == Flags::default(), "{payload}");
    }
    let text = read(&[&contents[0], &contents[1], &contents[2]]);
    assert_eq!(text.escaped_text(), br#"HiHm{\"a\":"#);
}

#[test]
fn text_that_speaks_of_the_format_is_text() {
    let spoken = delta("text_delta", "text", r#"\"delta\":{\"text\":\"no\"}, {\"usage\":{\"output_tokens\":9}}"#);
    let reading = read(&[&spoken]);
    assert!(reading.had_content && !reading.has_usage());
    let tool = r#"{"type":"message","usage":{"input_tokens":1,"output_tokens":2},
        "content":[{"type":"tool_use","input":{"type":"content_block_delta","delta":{"text":"no"}}}]}"#;
    assert_eq!(usage(&read(&[tool])).output_tokens, Some(2));
}

#[test]
fn every_finish_reason_is_kept_in_the_providers_words() {
    for reason in ["end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"] {
        let end = format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}","stop_sequence":null}}}}"#);
        assert_eq!(read(&[START, &end]).finish_reasons, [reason]);
        let whole = format!(r#"{{"type":"message","stop_reason":"{reason}","content":[]}}"#);
        assert_eq!(read(&[&whole]).finish_reasons, [reason]);
    }
}

#[test]
fn a_message_after_the_end_of_another_goes_on_and_its_usage_holds() {
    let tool = r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":725}}"#;
    let mut reading = read(&[START, tool, STOP]);
    assert!(reading.done && reading.may_go_on, "its end is awaited a moment");
    let empty =
        r#"{"type":"message_start","message":{"stop_reason":"tool_use","usage":{"input_tokens":0,"output_tokens":0}}}"#;
    let last = r#"{"type":"message_start","message":{"usage":{"input_tokens":4551,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}}}"#;
    let end = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":197}}"#;
    for payload in [empty, STOP, last, end] {
        Anthropic.read_answer(payload.as_bytes().into(), &mut reading);
    }
    assert!(!reading.done);
    Anthropic.read_answer(STOP.as_bytes().into(), &mut reading);
    assert!(reading.done && !reading.may_go_on);
    assert_eq!((usage(&reading).input_tokens, usage(&reading).output_tokens), (Some(4551), Some(197)));
    assert_eq!(reading.finish_reasons, ["tool_use", "end_turn"]);
}

#[test]
fn an_error_in_the_stream_or_the_body_gives_its_type_and_not_its_text() {
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"about: my prompt"},"request_id":"r"}"#;
    let reading = read(&[START, error]);
    assert_eq!(reading.error.as_deref(), Some("overloaded_error"));
    assert!(!reading.done, "a stream that failed did not end well");
    assert!(!format!("{reading:?}").contains("my prompt"));
    assert_eq!(read(&[r#"{"type":"error","error":"odd"}"#]).error.as_deref(), Some("error"));
    assert_eq!(read(&[r#"{"type":"message","error":null}"#]).error, None);
}

#[test]
fn a_whole_answer_reports_searches_thinking_and_its_own_object() {
    let body = r#"{"type":"message","model":"claude-x","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn",
        "usage":{"input_tokens":5,"output_tokens":9,"output_tokens_details":{"thinking_tokens":4},
        "server_tool_use":{"web_search_requests":2,"web_fetch_requests":1},"service_tier":"standard",
        "iterations":[{"type":"message","input_tokens":700,"output_tokens":800}]}}"#;
    let seen = usage(&read(&[body]));
    assert_eq!((seen.input_tokens, seen.output_tokens), (Some(5), Some(9)), "iterations are not added");
    assert_eq!((seen.reasoning_tokens, seen.searches, seen.cache_read_tokens), (Some(4), Some(2), Some(0)));
    assert!(seen.raw.unwrap().get().starts_with(r#"{"input_tokens":5,"output_tokens":9,"#));
}

#[test]
fn writes_that_are_only_said_in_parts_are_summed() {
    let body = r#"{"usage":{"input_tokens":5,"output_tokens":9,
        "cache_creation":{"ephemeral_5m_input_tokens":3,"ephemeral_1h_input_tokens":4}}}"#;
    let seen = usage(&read(&[body]));
    assert_eq!((seen.input_tokens, seen.cache_write_tokens), (Some(12), Some(7)));
}

#[test]
fn odd_parts_cost_their_own_facts_only() {
    let body = r#"{"type":"message","model":7,"content":"odd","stop_reason":["x"],"usage":{"input_tokens":"5",
        "output_tokens":9.0,"cache_creation":[1,2],"server_tool_use":null}}"#;
    let reading = read(&[body]);
    assert_eq!((usage(&reading).input_tokens, usage(&reading).output_tokens), (None, Some(9)));
    assert_eq!((reading.model_served.clone(), reading.finish_reasons.len()), (None, 0));
    for payload in ["", " ", "null", "[1]", "{", r#"{"type":"content_block_delta","delta":7}"#, r#"{"usage":7}"#] {
        let reading = read(&[payload]);
        assert!(!reading.has_usage() && !reading.done, "{payload}");
    }
    let done = read(&[STOP, "[DONE]"]);
    assert!(done.done && done.flags() == Flags::default(), "some that copy the format end so");
    assert!(read(&["not json"]).flags().contains(Flags::METER_ERROR));
}

#[test]
fn counting_tokens_spends_none() {
    let reading = read(&[r#"{"input_tokens":2095}"#]);
    assert!(!reading.has_usage() && !reading.had_content && reading.flags() == Flags::default());
}

#[test]
fn older_completions_are_content_until_they_say_why_they_stopped() {
    let piece = r#"{"type":"completion","completion":" Hi","stop_reason":null,"model":"claude-2.1"}"#;
    let last = r#"{"type":"completion","completion":"","stop_reason":"stop_sequence","model":"claude-2.1"}"#;
    let mut reading = read(&[piece]);
    assert!(reading.had_content && !reading.done);
    Anthropic.read_answer(last.as_bytes().into(), &mut reading);
    assert!(reading.done && !reading.had_content && !reading.has_usage());
    assert_eq!(reading.escaped_text(), b" Hi");
    assert_eq!(reading.finish_reasons, ["stop_sequence"]);
    let body = r#"{"model":"claude-x","max_tokens_to_sample":7,"prompt":"Human: hi"}"#;
    assert_eq!(ask("/v1/complete", body).unwrap().max_tokens, Some(7));
}

#[test]
fn a_request_says_what_it_wants() {
    let image = "iVBORw0KGgo".repeat(1000);
    let body = format!(
        r#"{{"model":"claude-x","max_tokens":100,"stream":true,"temperature":0.5,"top_p":0.9,"metadata":{{"user_id":"u1"}},
        "system":"Be brief.","messages":[{{"role":"user","content":[{{"type":"image","source":{{"type":"base64","data":"{image}"}}}}]}}]}}"#
    );
    let asked = ask("/v1/messages", &body).unwrap();
    assert_eq!((asked.model.as_deref(), asked.stream, asked.max_tokens), (Some("claude-x"), true, Some(100)));
    assert_eq!((asked.temperature, asked.top_p, asked.end_user.as_deref()), (Some(0.5), Some(0.9), Some("u1")));
    assert!(asked.input_bytes < 200, "{} bytes", asked.input_bytes);
    assert_eq!(ask("/v1/messages", r#"{"messages":[]}"#), Err(AskError::NoModel));
    for twice in [r#"{"model":"a","model":"b"}"#, r#"{"model":"a","stream":true,"stream":false}"#, "[]", "x"] {
        assert_eq!(ask("/v1/messages", twice), Err(AskError::NotJson), "{twice}");
    }
}

#[test]
fn vertex_names_the_model_in_the_path() {
    let path = "/v1/projects/p/locations/us/publishers/anthropic/models/claude-x@20250101:streamRawPredict";
    let asked = ask(path, r#"{"anthropic_version":"vertex-2023-10-16","max_tokens":5,"stream":true}"#).unwrap();
    assert_eq!((asked.model.as_deref(), asked.stream), (Some("claude-x@20250101"), true));
    assert!(ask(path, "{}").unwrap().stream);
    assert_eq!(ask(&path.replace('@', "%40"), "{}").unwrap().model.as_deref(), Some("claude-x@20250101"));
    let whole = path.replace("streamRaw", "raw");
    assert!(!ask(&whole, "{}").unwrap().stream);
    let count = whole.replace("claude-x@20250101", "count-tokens");
    assert_eq!(ask(&count, r#"{"model":"claude-y"}"#).unwrap().model.as_deref(), Some("claude-y"));
    assert_eq!(route(&count).unwrap().operation, Operation::CountTokens);
    for other in ["/publishers/google/models/g:rawPredict", "/publishers/anthropic/models/c:predict"] {
        assert!(route(other).is_none(), "{other}");
    }
}
