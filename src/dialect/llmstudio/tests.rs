use super::LlmStudio;
use crate::dialect::{AskError, Dialect, Reading};
use crate::types::NanoUsd;

/// The answer of its documentation.
const WHOLE: &str = r#"{
"id": "72f34d3b-f254-4950-9d6f-9f66e082fd2f",
"choices": [{"finish_reason": "stop", "index": 0, "logprobs": null, "message": {
  "content": "Hello! I am a virtual assistant here to help with any questions or tasks you may have. How can I assist you today?",
  "role": "assistant", "function_call": null, "tool_calls": null}}],
"created": 1718622757, "model": "gpt-3.5-turbo", "object": "chat.completion", "system_fingerprint": null, "usage": null,
"session_id": null, "chat_input": "Hello! Who are you?",
"chat_output": "Hello! I am a virtual assistant here to help with any questions or tasks you may have. How can I assist you today?",
"context": [{"role": "user", "content": "Hello! Who are you?"}], "provider": "openai", "timestamp": 1718622757.612226,
"parameters": {"temperature": 1, "max_tokens": 2048, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0},
"metrics": {"input_tokens": 6, "output_tokens": 26, "total_tokens": 32, "cost_usd": 0.000061,
  "latency_s": 1.0556859970092773, "time_to_first_token_s": 0.8302950859069824,
  "inter_token_latency_s": 0.008317514702125831, "tokens_per_second": 26.523038175483098}
}"#;

fn read(payloads: &[&str]) -> Reading {
    let mut reading = Reading::default();
    for payload in payloads {
        LlmStudio.read_answer(payload.as_bytes().into(), &mut reading);
    }
    reading
}

fn tokens(reading: &Reading) -> (u64, u64, u64) {
    let usage = reading.usage().unwrap();
    (usage.input_tokens.unwrap(), usage.output_tokens.unwrap(), usage.total_tokens.unwrap())
}

/// One object of a stream, as its newer version writes it.
fn object(delta: &str, finish: &str, rest: &str) -> String {
    format!(
        r#"{{"id":"x","choices":[{{"delta":{delta},"finish_reason":{finish},"index":0}}],"created":1,"model":"gpt-4o","object":"chat.completion.chunk","usage":null,"chat_input":"say \"metrics\": now","context":[{{"role":"user","content":"hi"}}],"provider":"openai","deployment":"gpt-4o-2024-08-06",{rest}}}"#
    )
}

#[test]
fn the_documented_answer_is_measured_by_its_metrics() {
    let reading = read(&[WHOLE]);
    assert_eq!(tokens(&reading), (6, 26, 32));
    assert_eq!(reading.provider_cost, NanoUsd::from_usd(0.000_061));
    assert_eq!(
        (reading.model_served.as_deref(), reading.finish_reasons.as_slice()),
        (Some("gpt-3.5-turbo"), &["stop".to_owned()][..])
    );
    assert!(reading.usage().unwrap().raw.unwrap().get().contains("\"tokens_per_second\":26.523038175483098"));
    assert!(reading.flags().names().next().is_none());
}

#[test]
fn a_stream_ends_with_the_object_that_has_metrics() {
    let part = |delta: &str| object(delta, "null", r#""chat_output":null,"metrics":null"#);
    let mut reading = Reading::default();
    for (delta, content) in
        [(r#"{"role":"assistant","content":""}"#, false), (r#"{"content":"He"}"#, true), (r#"{"content":"y"}"#, true)]
    {
        LlmStudio.read_answer(part(delta).as_bytes().into(), &mut reading);
        assert_eq!((reading.had_content, reading.done, reading.has_usage()), (content, false, false), "{delta}");
    }
    let last = object(
        "{}",
        "\"stop\"",
        r#""chat_output":"Hey","metrics":{"input_tokens":1,"output_tokens":1,"total_tokens":2,"cost_usd":1e-06}"#,
    );
    LlmStudio.read_answer(last.as_bytes().into(), &mut reading);
    assert!(reading.done);
    assert_eq!((tokens(&reading), reading.escaped_text()), ((1, 1, 2), &b"Hey"[..]), "the text is not counted twice");
    assert_eq!(reading.model_served.as_deref(), Some("gpt-4o-2024-08-06"), "the provider's name, not the asked one");
    assert_eq!(reading.finish_reasons, ["stop"]);
}

#[test]
fn usage_of_the_provider_goes_before_metrics_and_reasoning_is_not_counted_twice() {
    let both =
        WHOLE.replace("\"usage\": null", r#""usage":{"prompt_tokens":13,"completion_tokens":30,"total_tokens":43}"#);
    assert_eq!(tokens(&read(&[&both])), (13, 30, 43));
    let twice = WHOLE.replace("\"total_tokens\": 32", "\"total_tokens\": 52, \"reasoning_tokens\": 20");
    let reading = read(&[&twice]);
    assert_eq!((tokens(&reading), reading.usage().unwrap().reasoning_tokens), ((6, 26, 32), Some(20)));
    assert!(reading.flags().names().next().is_none());
}

#[test]
fn its_request_is_read() {
    let ask = |body: &str| LlmStudio.read_request("/api/engine/chat/openai", body.as_bytes());
    let read = ask(r#"{"api_key":"x","model":"gpt-3.5-turbo","chat_input":"Hello! Who are you?","is_stream":true,
        "parameters":{"temperature":1,"max_tokens":2048,"top_p":1}}"#)
    .unwrap();
    assert_eq!((read.model.as_deref(), read.stream, read.max_tokens), (Some("gpt-3.5-turbo"), true, Some(2048)));
    assert_eq!((read.temperature, read.top_p, read.input_bytes), (Some(1.0), Some(1.0), 21));
    assert_eq!(ask(r#"{"chat_input":"x"}"#), Err(AskError::NoModel));
    assert_eq!(ask(r#"{"model":"a","model":"b"}"#), Err(AskError::NotJson));
    assert_eq!(ask("[]"), Err(AskError::NotJson));
}
