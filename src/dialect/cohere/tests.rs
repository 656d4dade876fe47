use super::{V1, V2};
use crate::dialect::{AskError, Dialect, Flags, Reading, Streams};
use crate::types::Usage;

fn read(payloads: &[&str]) -> Reading {
    let mut reading = Reading::default();
    for payload in payloads {
        V2.read_answer(payload.as_bytes().into(), &mut reading);
    }
    reading
}

fn usage(reading: &Reading) -> Usage {
    reading.usage().unwrap()
}

const END: &str = r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":8,"output_tokens":50},"tokens":{"input_tokens":1394,"output_tokens":54},"cached_tokens":1360}}}"#;

#[test]
fn tokens_are_the_count_and_billed_units_are_kept_for_the_cost() {
    let reading = read(&[END]);
    let seen = usage(&reading);
    assert_eq!((seen.input_tokens, seen.output_tokens, seen.total_tokens), (Some(1394), Some(54), Some(1448)));
    assert_eq!((seen.cache_read_tokens, reading.billed()), (Some(1360), (Some(8), Some(50))));
    assert!(seen.raw.unwrap().get().contains("billed_units"));
    assert!(reading.done && !reading.had_content);
    assert_eq!(reading.finish_reasons, ["COMPLETE"]);
}

#[test]
fn text_reasoning_plans_and_tool_arguments_are_content_and_nothing_else_is() {
    for payload in [
        r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hi"}}}}"#,
        r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"thinking":"Hm"}}}}"#,
        r#"{"index":0,"delta":{"message":{"content":{"text":"Hi"}}},"type":"content-delta"}"#,
        r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"I will"}}}"#,
        r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{\""}}}}}"#,
        r#"{"is_finished":false,"event_type":"text-generation","text":"Hi"}"#,
        r#"{"event_type":"tool-calls-chunk","tool_call_delta":{"index":0,"parameters":"{\""}}"#,
    ] {
        assert!(read(&[payload]).had_content, "{payload}");
    }
    for payload in [
        r#"{"id":"x","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":""}}}"#,
        r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}"#,
        r#"{"type":"content-end","index":0}"#,
        r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"a","type":"function","function":{"name":"f","arguments":""}}}}}"#,
        r#"{"type":"tool-call-end","index":0}"#,
        r#"{"type":"citation-start","delta":{"message":{"citations":{"text":"x"}}}}"#,
        r#"{"is_finished":false,"event_type":"stream-start","generation_id":"g"}"#,
        r#"{"is_finished":false,"event_type":"citation-generation","citations":[{"text":"x"}]}"#,
    ] {
        let reading = read(&[payload]);
        assert!(!reading.had_content && !reading.done && reading.flags() == Flags::default(), "{payload}");
    }
}

#[test]
fn version_1_ends_with_the_whole_answer_whose_text_is_not_counted_twice() {
    let end = r#"{"is_finished":true,"event_type":"stream-end","finish_reason":"MAX_TOKENS","response":{"text":"Hi there",
        "finish_reason":"MAX_TOKENS","meta":{"api_version":{"version":"1"},"billed_units":{"input_tokens":2.0,
        "output_tokens":3.0},"tokens":{"input_tokens":68.0,"output_tokens":3.0}}}}"#;
    let reading = read(&[r#"{"is_finished":false,"event_type":"text-generation","text":"Hi there"}"#, end]);
    assert!(reading.done && !reading.had_content);
    assert_eq!(
        (reading.escaped_text(), &*reading.finish_reasons),
        (b"Hi there".as_slice(), ["MAX_TOKENS".to_owned()].as_slice())
    );
    assert_eq!((usage(&reading).input_tokens, reading.billed().0), (Some(68), Some(2)));
    assert_eq!((V1.streams(), V2.streams()), (Streams::Lines, Streams::Events));
}

#[test]
fn whole_answers_of_both_versions_report_their_usage() {
    let v2 = r#"{"id":"x","finish_reason":"TOOL_CALL","message":{"role":"assistant","tool_plan":"I","tool_calls":[]},
        "usage":{"billed_units":{"input_tokens":5,"output_tokens":6},"tokens":{"input_tokens":70,"output_tokens":9}}}"#;
    let v1 = r#"{"text":"Hi","generation_id":"g","finish_reason":"COMPLETE",
        "meta":{"billed_units":{"input_tokens":5,"output_tokens":6},"tokens":{"input_tokens":70,"output_tokens":9}}}"#;
    for (body, reason) in [(v2, "TOOL_CALL"), (v1, "COMPLETE")] {
        let reading = read(&[body]);
        assert_eq!((usage(&reading).input_tokens, usage(&reading).output_tokens), (Some(70), Some(9)));
        assert_eq!(reading.finish_reasons, [reason]);
    }
    let silent = r#"{"message":{"content":[{"type":"thinking","thinking":"Hm"},{"type":"text","text":"Hi"}],
        "tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}"#;
    assert_eq!(read(&[silent]).escaped_text(), b"HmHif{}");
}

#[test]
fn embeddings_and_reranking_are_counted_by_what_is_billed() {
    let embed = r#"{"id":"x","embeddings":{"float":[[0.1]]},"texts":["a"],"meta":{"api_version":{"version":"2"},
        "billed_units":{"input_tokens":3}}}"#;
    let seen = usage(&read(&[embed]));
    assert_eq!((seen.input_tokens, seen.output_tokens), (Some(3), None));
    let rerank = r#"{"results":[{"index":0,"relevance_score":0.9}],"meta":{"billed_units":{"search_units":1}}}"#;
    let seen = usage(&read(&[rerank]));
    assert_eq!((seen.searches, seen.input_tokens, seen.total_tokens), (Some(1), None, None));
    let other_server = r#"{"model":"m","usage":{"total_tokens":56,"prompt_tokens":56},"results":[]}"#;
    assert_eq!(usage(&read(&[other_server])).input_tokens, Some(56));
}

#[test]
fn an_answer_that_failed_says_so_without_its_text() {
    let end = r#"{"type":"message-end","delta":{"error":"about my prompt","finish_reason":"ERROR"}}"#;
    let reading = read(&[end]);
    assert_eq!(reading.error.as_deref(), Some("ERROR"));
    assert!(reading.done && !reading.has_usage());
    assert_eq!(read(&[r#"{"message":"invalid request"}"#]).flags(), Flags::default());
}

#[test]
fn odd_parts_cost_their_own_facts_only() {
    let odd = r#"{"type":"message-end","delta":{"finish_reason":7,"usage":{"tokens":[1,2],"billed_units":{"input_tokens":5}}}}"#;
    assert_eq!(usage(&read(&[odd])).input_tokens, Some(5));
    for payload in ["", "null", "[1]", r#"{"type":"message-end"}"#, r#"{"type":"content-delta","delta":null}"#] {
        assert!(!read(&[payload]).has_usage(), "{payload}");
    }
    assert!(read(&["{"]).flags().contains(Flags::METER_ERROR));
    assert!(read(&["[DONE]"]).done);
}

#[test]
fn a_request_says_what_it_wants() {
    let body = br#"{"model":"command-a","stream":true,"max_tokens":5,"temperature":0.3,"p":0.7,"messages":[]}"#;
    let asked = V2.read_request("/v2/chat", body).unwrap();
    assert_eq!((asked.model.as_deref(), asked.stream, asked.max_tokens), (Some("command-a"), true, Some(5)));
    assert_eq!((asked.temperature, asked.top_p, asked.wants_usage), (Some(0.3), Some(0.7), true));
    let rerank = V2.read_request("/v2/rerank", br#"{"model":"r","query":"abc","documents":["def"]}"#).unwrap();
    assert_eq!(rerank.input_bytes, 12);
    assert_eq!(V1.read_request("/v1/chat", br#"{"message":"hi"}"#), Err(AskError::NoModel));
    assert_eq!(V1.read_request("/v1/chat", br#"{"model":"a","model":"b"}"#), Err(AskError::NotJson));
}
