use super::UsageGuard;
use crate::dialect::{AskError, Dialect, Reading};

fn read(payloads: &[&str]) -> Reading {
    let mut reading = Reading::default();
    for payload in payloads {
        UsageGuard.read_answer(payload.as_bytes().into(), &mut reading);
    }
    reading
}

fn tokens(reading: &Reading) -> (u64, u64, u64) {
    let usage = reading.usage().unwrap();
    (usage.input_tokens.unwrap(), usage.output_tokens.unwrap(), usage.total_tokens.unwrap())
}

#[test]
fn the_documented_answer_is_read() {
    let whole = r#"{"schema":"inference.response.v1","message":{"role":"assistant","content":[{"type":"text",
        "text":"Bonjour, comment ça va?"}]},"model":"meta.llama3-8b-instruct-v1:0",
        "usage":{"inputTokens":30,"outputTokens":88,"totalTokens":118},"stop_reason":"end_turn","created":1721205824}"#;
    let reading = read(&[whole]);
    assert_eq!(tokens(&reading), (30, 88, 118));
    assert_eq!(reading.finish_reasons, ["end_turn"]);
    assert_eq!(reading.model_served.as_deref(), Some("meta.llama3-8b-instruct-v1:0"));
    assert_eq!(reading.escaped_text(), "Bonjour, comment ça va?".as_bytes());
    assert!(reading.flags().names().next().is_none());
    let snake = whole.replace("inputTokens", "prompt_tokens").replace("outputTokens", "completion_tokens");
    assert_eq!(tokens(&read(&[&snake.replace("totalTokens", "total_tokens")])), (30, 88, 118), "as its table has it");
}

/// The documented stream, each chunk on one line.
const STREAM: [&str; 5] = [
    r#"{"schema":"inference.response.chunk.v1","created":1721208440,"model_id":"meta.llama3-8b-instruct-v1:0","content":"ça"}"#,
    r#"{"schema":"inference.response.chunk.v1","created":1721208440,"model_id":"meta.llama3-8b-instruct-v1:0","content":"va"}"#,
    r#"{"schema":"inference.response.chunk.v1","created":1721208440,"model_id":"meta.llama3-8b-instruct-v1:0","content":"?"}"#,
    r#"{"schema":"inference.response.usage.chunk.v1","usage":{"inputTokens":40,"outputTokens":131,"totalTokens":171},"created":1721208440,"model_id":"meta.llama3-8b-instruct-v1:0","content":""}"#,
    "[DONE]",
];

#[test]
fn the_documented_stream_is_read() {
    let mut reading = Reading::default();
    let mut contents = 0;
    for payload in STREAM {
        assert!(!reading.done);
        UsageGuard.read_answer(payload.as_bytes().into(), &mut reading);
        contents += u32::from(reading.had_content);
    }
    assert!(reading.done);
    assert_eq!((tokens(&reading), contents), ((40, 131, 171), 3), "the usage chunk's empty text is no content");
    assert_eq!(reading.escaped_text(), "çava?".as_bytes());
    assert_eq!(reading.model_served.as_deref(), Some("meta.llama3-8b-instruct-v1:0"));
    assert!(reading.flags().names().next().is_none());
}

// Lines that do not begin with `data:` are nothing in an event stream, and events end with a blank line.
#[test]
fn chunks_printed_over_two_lines_lose_what_the_second_line_says_and_no_more() {
    let cut = [
        r#"{"schema":"inference.response.chunk.v1","#,
        r#"{"schema":"inference.response.usage.chunk.v1","usage":{"inputTokens":40,"outputTokens":131,"totalTokens":171},"#,
        "[DONE]",
    ];
    for payloads in [cut.map(str::to_owned).to_vec(), vec![cut.join("\n")]] {
        let reading = read(&payloads.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((tokens(&reading), reading.done), ((40, 131, 171), true), "{payloads:?}");
        assert!(reading.flags().names().next().is_none());
    }
}

#[test]
fn an_error_leaves_its_code_and_not_its_text() {
    let body = r#"{"requestId":"traceid-ug-1","error":{"code":"REQUEST_BLOCKED_BY_POLICY","message":"…","details":"","docUrl":""}}"#;
    assert_eq!(read(&[body]).error.as_deref(), Some("REQUEST_BLOCKED_BY_POLICY"));
    assert_eq!(read(&["{\"broken"]).flags().names().collect::<Vec<_>>(), ["meter_error"]);
}

#[test]
fn requests_of_all_generations_are_read() {
    let first = UsageGuard.read_request(
        "/v1/inference/chat",
        br#"{"model":"llama3:latest","messages":[{"role":"user","content":"Translate"}],
            "parameters":{"maxTokens":60,"temperature":0.7,"stream":true}}"#,
    );
    let first = first.unwrap();
    assert_eq!((first.model.as_deref(), first.stream, first.wants_usage), (Some("llama3:latest"), true, true));
    assert_eq!((first.max_tokens, first.temperature, first.choices), (Some(60), Some(0.7), 1));
    let later = UsageGuard.read_request(
        "/v1/inference/chat",
        br#"{"type":"Inference","version":"2.0","modelId":"m","messages":[{"role":"user","content":"hi"}],
            "parameters":{"max_tokens":9,"topP":0.5,"endUserId":"u1","includeUsage":false}}"#,
    );
    let later = later.unwrap();
    assert_eq!((later.model.as_deref(), later.stream, later.wants_usage), (Some("m"), false, false));
    assert_eq!((later.max_tokens, later.top_p, later.end_user.as_deref()), (Some(9), Some(0.5), Some("u1")));
}

#[test]
fn what_could_be_read_two_ways_is_refused() {
    let refused = |body: &str| UsageGuard.read_request("", body.as_bytes()).unwrap_err();
    assert_eq!(refused(r#"{"model":"a","modelId":"b"}"#), AskError::NotJson);
    assert_eq!(refused(r#"{"model":"a","parameters":{"stream":true,"stream":false}}"#), AskError::NotJson);
    assert_eq!(refused(r#"{"messages":[]}"#), AskError::NoModel);
}
