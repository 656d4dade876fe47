use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::config::DialectChoice;
use crate::dialect::{AskError, Flags, Operation, Payload, Reading, Route, route};

const CONVERSE: &str = "/model/us.anthropic.claude-sonnet-4-20250514-v1%3A0/converse-stream";
const INVOKE: &str = "/model/meta.llama3-8b-instruct-v1:0/invoke-with-response-stream";

fn of(path: &str) -> Route {
    route(DialectChoice::Auto, &Method::POST, path)
}

/// What is read of named events; also which of them were content, and after which it was done.
fn read(path: &str, events: &[(&str, &str)]) -> (Reading, Vec<bool>, Option<usize>) {
    let (mut reading, mut contents, mut done) = (Reading::default(), Vec::new(), None);
    for (at, (name, data)) in events.iter().enumerate() {
        let payload = Payload { name: Some(name.as_bytes()), data: data.as_bytes() };
        of(path).dialect.read_answer(payload, &mut reading);
        contents.push(reading.had_content);
        done = done.or(reading.done.then_some(at));
    }
    (reading, contents, done)
}

fn read_whole(path: &str, body: &str) -> Reading {
    let mut reading = Reading::default();
    of(path).dialect.read_answer(body.as_bytes().into(), &mut reading);
    reading
}

/// Reads a model's own events as Bedrock wraps them.
fn read_native(events: &[&str]) -> (Reading, Vec<bool>, Option<usize>) {
    let wrapped: Vec<String> =
        events.iter().map(|event| format!(r#"{{"bytes":"{}","p":"abcdef"}}"#, STANDARD.encode(event))).collect();
    read(INVOKE, &wrapped.iter().map(|event| ("chunk", event.as_str())).collect::<Vec<_>>())
}

fn counts(reading: &Reading) -> (Option<u64>, Option<u64>) {
    let usage = reading.usage().unwrap_or_default();
    (usage.input_tokens, usage.output_tokens)
}

#[test]
fn the_action_in_the_path_chooses_dialect_and_operation() {
    let cases = [
        (CONVERSE, "bedrock.converse", Operation::Chat),
        ("/model/amazon.nova-lite-v1:0/converse", "bedrock.converse", Operation::Chat),
        (INVOKE, "bedrock.invoke", Operation::Chat),
        ("/model/amazon.titan-embed-text-v2:0/invoke", "bedrock.invoke", Operation::Embeddings),
        ("/model/anthropic.claude/count-tokens", "bedrock.count_tokens", Operation::CountTokens),
        ("/model/m/async-invoke", "unknown", Operation::Other),
        ("/guardrail/g/version/1/apply", "unknown", Operation::Other),
    ];
    for (path, name, operation) in cases {
        assert_eq!((of(path).name(), of(path).operation), (name, operation), "{path}");
    }
}

#[test]
fn requests_are_read_from_path_and_body() {
    let body = br#"{"messages":[{"role":"user","content":[{"text":"hi"}]}],"inferenceConfig":{"maxTokens":100,
        "temperature":0.5,"topP":0.9},"system":[{"text":"s"}]}"#;
    let ask = of(CONVERSE).dialect.read_request(CONVERSE, body).unwrap();
    assert_eq!(ask.model.as_deref(), Some("us.anthropic.claude-sonnet-4-20250514-v1:0"));
    assert_eq!((ask.stream, ask.wants_usage, ask.max_tokens), (true, true, Some(100)));
    assert_eq!((ask.temperature, ask.top_p, ask.input_bytes), (Some(0.5), Some(0.9), 44 + 13));
    assert_eq!(of(CONVERSE).dialect.read_request(CONVERSE, b"x"), Err(AskError::NotJson));

    let most = [
        (r#"{"max_tokens":7,"temperature":1}"#, 7),
        (r#"{"max_gen_len":8}"#, 8),
        (r#"{"textGenerationConfig":{"maxTokenCount":9}}"#, 9),
        (r#"{"inferenceConfig":{"max_new_tokens":10}}"#, 10),
    ];
    for (body, most) in most {
        let ask = of(INVOKE).dialect.read_request(INVOKE, body.as_bytes()).unwrap();
        assert_eq!((ask.max_tokens, ask.stream, ask.choices), (Some(most), true, 1), "{body}");
    }
    let whole = "/model/m/invoke";
    assert!(!of(whole).dialect.read_request(whole, b"\x00 no json").unwrap().stream);
}

#[test]
fn a_converse_stream_is_done_when_its_reason_and_its_usage_have_come() {
    let events = [
        ("messageStart", r#"{"role":"assistant","p":"ab"}"#),
        ("contentBlockStart", r#"{"contentBlockIndex":0,"start":{}}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"hm"}}}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"AAAA"}}}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"text":"a\"b"},"p":"abc"}"#),
        ("contentBlockStop", r#"{"contentBlockIndex":1}"#),
        ("contentBlockStart", r#"{"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"t","name":"now"}}}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":2,"delta":{"toolUse":{"input":""}}}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"a\":1}"}}}"#),
        ("messageStop", r#"{"stopReason":"tool_use"}"#),
        (
            "metadata",
            r#"{"usage":{"inputTokens":10,"outputTokens":5,"totalTokens":1015,"cacheReadInputTokens":600,
            "cacheWriteInputTokens":400,"cacheDetails":[{"ttl":"1h","inputTokens":300},{"ttl":"5m","inputTokens":100}]},
            "metrics":{"latencyMs":1},"trace":{"promptRouter":{"invokedModelId":"arn:x"}}}"#,
        ),
    ];
    let (reading, contents, done) = read(CONVERSE, &events);
    let content: Vec<usize> = (0..events.len()).filter(|at| contents[*at]).collect();
    assert_eq!((content, done), (vec![2, 4, 8], Some(10)));
    assert_eq!(reading.escaped_text(), br#"hma\"bnow{\"a\":1}"#);
    assert_eq!(
        (reading.finish_reasons.as_slice(), reading.model_served.as_deref()),
        (&["tool_use".to_owned()][..], Some("arn:x"))
    );
    let usage = reading.usage().unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.total_tokens), (Some(1010), Some(5), Some(1015)));
    assert_eq!((usage.cache_read_tokens, usage.cache_write_tokens), (Some(600), Some(400)));
    assert_eq!((usage.cache_write_1h_tokens, reading.flags()), (Some(300), Flags::default()));

    let swapped = [events[10], events[9]];
    assert_eq!(read(CONVERSE, &swapped).2, Some(1), "the usage may come first");
}

#[test]
fn a_cache_that_had_no_part_is_zero_only_where_the_total_shows_it() {
    let of = |usage: &str| read_whole(CONVERSE, &format!(r#"{{"usage":{usage}}}"#)).usage().unwrap().cache_read_tokens;
    assert_eq!(of(r#"{"inputTokens":10,"outputTokens":5,"totalTokens":15}"#), Some(0));
    assert_eq!(of(r#"{"inputTokens":10,"outputTokens":5}"#), None);
    assert_eq!(of(r#"{"inputTokens":10,"outputTokens":5,"totalTokens":99}"#), None);
    assert_eq!(
        of(r#"{"inputTokens":1,"outputTokens":1,"cacheReadInputTokenCount":7,"cacheReadInputTokens":7}"#),
        Some(7)
    );
}

#[test]
fn exceptions_end_a_stream_with_their_code_and_without_their_text() {
    let half = ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"a"}}"#);
    let (reading, _, done) = read(CONVERSE, &[half, ("modelStreamErrorException", r#"{"message":"secret"}"#)]);
    assert_eq!((reading.error.as_deref(), done), (Some("modelStreamErrorException"), None));
    let (reading, _, _) = read(INVOKE, &[("throttlingException", "{}")]);
    assert_eq!(reading.error.as_deref(), Some("throttlingException"));
    let (reading, _, _) = read(CONVERSE, &[("InternalFailure", "")]);
    assert_eq!(reading.error.as_deref(), Some("InternalFailure"));
    assert_eq!(read(CONVERSE, &[("initial-response", "{}"), ("newEvent", "{}")]).0.error, None);
}

#[test]
fn a_whole_answer_without_usage_is_read_for_its_text() {
    let body = r#"{"output":{"message":{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"hm",
        "signature":"AA"}}},{"text":"hi"},{"toolUse":{"toolUseId":"t","name":"now","input":{"a":1}}}]}},"stopReason":"end_turn"}"#;
    let reading = read_whole(CONVERSE, body);
    assert_eq!(reading.escaped_text(), br#"hmhinow{"a":1}"#);
    assert!(reading.finish_reasons == ["end_turn"] && !reading.has_usage());
    assert_eq!(
        read_whole(CONVERSE, r#"{"__type":"ThrottlingException","message":"no"}"#).error.as_deref(),
        Some("ThrottlingException")
    );
}

#[test]
fn plain_models_report_their_own_counts_whole() {
    let cases = [
        (
            r#"{"inputTextTokenCount":5,"results":[{"tokenCount":50,"outputText":"hi","completionReason":"FINISH"}]}"#,
            (Some(5), Some(50)),
            "FINISH",
            r#"{"inputTextTokenCount":5,"results":[{"tokenCount":50}]}"#,
        ),
        (
            r#"{"generation":"hi","prompt_token_count":7,"generation_token_count":3,"stop_reason":"length"}"#,
            (Some(7), Some(3)),
            "length",
            r#"{"prompt_token_count":7,"generation_token_count":3}"#,
        ),
        (
            r#"{"output":{"message":{"content":[{"text":"hi"}]}},"stopReason":"end_turn",
                "usage":{"inputTokens":4,"outputTokens":2,"totalTokens":6}}"#,
            (Some(4), Some(2)),
            "end_turn",
            r#"{"inputTokens":4,"outputTokens":2,"totalTokens":6}"#,
        ),
        (
            r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}}"#,
            (Some(8), Some(2)),
            "stop",
            r#"{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}"#,
        ),
    ];
    for (body, expected, reason, raw) in cases {
        let reading = read_whole("/model/m/invoke", body);
        assert_eq!(
            (counts(&reading), reading.finish_reasons.as_slice()),
            (expected, &[reason.to_owned()][..]),
            "{body}"
        );
        assert_eq!(reading.usage().unwrap().raw.unwrap().get(), raw);
        assert_eq!(reading.flags(), Flags::default(), "{body}");
    }
    let vector =
        read_whole("/model/amazon.titan-embed-text-v2:0/invoke", r#"{"embedding":[0.1],"inputTextTokenCount":3}"#);
    assert_eq!(counts(&vector), (Some(3), None));
    for silent in [
        r#"{"outputs":[{"text":"hi","stop_reason":"stop"}]}"#,
        r#"{"generations":[{"text":"hi","finish_reason":"COMPLETE"}]}"#,
        r#"{"choices":[{"text":"hi","stop_reason":"stop"}]}"#,
    ] {
        let reading = read_whole("/model/m/invoke", silent);
        assert_eq!(
            (reading.escaped_text(), reading.finish_reasons.len(), reading.has_usage()),
            (&b"hi"[..], 1, false),
            "{silent}"
        );
    }
}

#[test]
fn awss_own_count_wins_and_ends_the_stream() {
    let metrics =
        r#""amazon-bedrock-invocationMetrics":{"inputTokenCount":12,"outputTokenCount":34,"invocationLatency":1}"#;
    let llama = [
        r#"{"generation":"","prompt_token_count":11,"generation_token_count":1,"stop_reason":null}"#.to_owned(),
        r#"{"generation":"hi","prompt_token_count":null,"generation_token_count":2,"stop_reason":null}"#.to_owned(),
        format!(
            r#"{{"generation":"","prompt_token_count":null,"generation_token_count":33,"stop_reason":"stop",{metrics}}}"#
        ),
    ];
    let (reading, contents, done) = read_native(&llama.each_ref().map(String::as_str));
    assert_eq!((counts(&reading), contents, done), ((Some(12), Some(34)), vec![false, true, false], Some(2)));
    assert!(reading.usage().unwrap().raw.unwrap().get().starts_with("{\"inputTokenCount\":12"));
    let (reading, ..) = read_native(&[&llama[0], &llama[1]]);
    assert_eq!(counts(&reading), (Some(11), Some(2)), "cut short, the model's own count is what there is");

    let nova = [
        r#"{"messageStart":{"role":"assistant"}}"#.to_owned(),
        r#"{"contentBlockDelta":{"delta":{"text":"hi"},"contentBlockIndex":0}}"#.to_owned(),
        r#"{"messageStop":{"stopReason":"end_turn"}}"#.to_owned(),
        format!(r#"{{"metadata":{{"usage":{{"inputTokens":1,"outputTokens":2}}}},{metrics}}}"#),
    ];
    let (reading, contents, done) = read_native(&nova.each_ref().map(String::as_str));
    assert_eq!((counts(&reading), contents[1], done), ((Some(12), Some(34)), true, Some(3)));
    assert_eq!(reading.finish_reasons, ["end_turn"]);

    let openai = [
        r#"{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"hi"}}]}"#.to_owned(),
        format!(
            r#"{{"choices":[{{"index":0,"delta":{{"content":""}},"finish_reason":"stop"}}],
            "usage":{{"prompt_tokens":12,"completion_tokens":30,"total_tokens":42}},{metrics}}}"#
        ),
    ];
    let (reading, contents, done) = read_native(&openai.each_ref().map(String::as_str));
    assert_eq!((counts(&reading), contents, done), ((Some(12), Some(34)), vec![true, false], Some(1)));

    let cached = r#"{"text":"hi","amazon-bedrock-invocationMetrics":{"inputTokenCount":3,"outputTokenCount":1,
        "cacheReadInputTokenCount":10,"cacheWriteInputTokenCount":5}}"#;
    let (reading, ..) = read_native(&[cached]);
    assert_eq!(counts(&reading), (Some(18), Some(1)), "cached tokens are counted beside");
}

#[test]
fn anthropics_events_are_read_as_anthropics() {
    let events = [
        r#"{"type":"message_start","message":{"model":"claude-x","id":"msg_bdrk_1","type":"message","usage":
            {"input_tokens":3,"cache_creation_input_tokens":5,"cache_read_input_tokens":10,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}"#,
        r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":3,"outputTokenCount":8,
            "invocationLatency":400,"firstByteLatency":300}}"#,
    ];
    let (reading, contents, done) = read_native(&events);
    assert_eq!((counts(&reading), done), ((Some(18), Some(8)), Some(4)));
    assert_eq!(reading.usage().unwrap().cache_read_tokens, Some(10), "what the metrics leave out stays");
    assert_eq!((contents[1], contents[2], contents[4]), (false, true, false));
    assert_eq!(
        (reading.model_served.as_deref(), reading.finish_reasons.as_slice()),
        (Some("claude-x"), &["end_turn".to_owned()][..])
    );

    let whole = r#"{"id":"msg_bdrk_1","type":"message","role":"assistant","model":"claude-x","content":[{"type":"text","text":"hi"}],
        "stop_reason":"end_turn","usage":{"input_tokens":3,"cache_read_input_tokens":10,"output_tokens":7}}"#;
    let reading = read_whole("/model/anthropic.claude-x/invoke", whole);
    assert_eq!((counts(&reading), reading.model_served.as_deref()), ((Some(13), Some(7)), Some("claude-x")));
}

#[test]
fn the_head_counts_where_the_body_says_nothing() {
    let head = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    };
    let both = head(&[("x-amzn-bedrock-input-token-count", "21"), ("x-amzn-bedrock-output-token-count", "4")]);
    let read = |headers: &HeaderMap, body: &str| {
        let (mut reading, dialect) = (Reading::default(), of("/model/m/invoke").dialect);
        dialect.read_head(headers, &mut reading);
        dialect.read_answer(body.as_bytes().into(), &mut reading);
        reading
    };
    let mistral = read(&both, r#"{"outputs":[{"text":"hi","stop_reason":"stop"}]}"#);
    assert_eq!(counts(&mistral), (Some(21), Some(4)));
    let raw = mistral.usage().unwrap().raw.unwrap();
    assert_eq!(raw.get(), r#"{"x-amzn-bedrock-input-token-count":21,"x-amzn-bedrock-output-token-count":4}"#);
    let llama = read(&both, r#"{"generation":"hi","prompt_token_count":7,"generation_token_count":3}"#);
    assert_eq!(counts(&llama), (Some(7), Some(3)));
    assert!(!read(&head(&[("x-amzn-bedrock-input-token-count", "many")]), "{}").has_usage());
}

#[test]
fn odd_events_cost_their_own_facts_only() {
    for (name, data) in [("chunk", "{\"bytes\":\"%%%\"}"), ("chunk", "{}"), ("chunk", "[]"), ("metadata", "x")] {
        let path = if name == "chunk" { INVOKE } else { CONVERSE };
        let (reading, ..) = read(path, &[(name, data)]);
        assert!(reading.flags().contains(Flags::METER_ERROR) && !reading.has_usage(), "{name} {data}");
    }
    let (reading, ..) =
        read(CONVERSE, &[("metadata", r#"{"usage":{"inputTokens":"x","outputTokens":3.0},"trace":7}"#)]);
    assert_eq!(counts(&reading), (None, Some(3)));
    assert!(reading.flags().contains(Flags::METER_ERROR));
}
