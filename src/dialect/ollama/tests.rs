use super::Ollama;
use crate::dialect::{AskError, Dialect, Flags, Reading};

fn read(payloads: &[&str]) -> Reading {
    let mut reading = Reading::default();
    for payload in payloads {
        Ollama.read_answer(payload.as_bytes().into(), &mut reading);
    }
    reading
}

const PIECE: &str = r#"{"model":"llama3.2","created_at":"2025-10-17T23:14:07Z","message":{"role":"assistant","content":"Hi"},"done":false}"#;
const LAST: &str = r#"{"model":"llama3.2","created_at":"2025-10-17T23:14:08Z","message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"total_duration":174560334,"load_duration":101397084,"prompt_eval_count":11,"prompt_eval_duration":13074791,"eval_count":18,"eval_duration":52479709}"#;

#[test]
fn counts_and_durations_of_the_last_object_are_the_usage() {
    let reading = read(&[PIECE, LAST]);
    let usage = reading.usage().unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.total_tokens), (Some(11), Some(18), Some(29)));
    assert_eq!(
        usage.raw.unwrap().get(),
        r#"{"total_duration":174560334,"load_duration":101397084,"prompt_eval_count":11,"prompt_eval_duration":13074791,"eval_count":18,"eval_duration":52479709}"#
    );
    assert!(reading.done);
    assert_eq!(
        (reading.model_served.as_deref(), &*reading.finish_reasons),
        (Some("llama3.2"), ["stop".to_owned()].as_slice())
    );
    assert_eq!(reading.escaped_text(), b"Hi");
}

#[test]
fn a_cached_prompt_without_a_count_has_none() {
    let cached = LAST.replace(r#""prompt_eval_count":11,"prompt_eval_duration":13074791,"#, "");
    let usage = read(&[&cached]).usage().unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.total_tokens), (None, Some(18), None));
}

#[test]
fn text_thinking_and_tool_calls_are_content_of_chat_and_generate() {
    for payload in [
        PIECE,
        r#"{"model":"m","message":{"role":"assistant","content":"","thinking":"Hm"},"done":false}"#,
        r#"{"model":"m","message":{"content":"","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},"done":false}"#,
        r#"{"model":"m","response":"Hi","done":false}"#,
        r#"{"model":"m","response":"","thinking":"Hm","done":false}"#,
    ] {
        let reading = read(&[payload]);
        assert!(reading.had_content && !reading.done && !reading.has_usage(), "{payload}");
    }
    for payload in [LAST, r#"{"model":"m","message":{"role":"assistant","content":""},"done":false}"#] {
        assert!(!read(&[payload]).had_content, "{payload}");
    }
    let tool = r#"{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]}}"#;
    assert_eq!(read(&[tool]).escaped_text(), br#"f{"a":1}"#);
}

#[test]
fn what_follows_the_text_does_not_count_however_long_it_is() {
    let context = vec!["128006"; 10_000].join(",");
    let last = format!(
        r#"{{"model":"m","response":"","done":true,"context":[{context}],"eval_count":3,"prompt_eval_count":4}}"#
    );
    let reading = read(&[&last]);
    assert_eq!(reading.usage().unwrap().raw.unwrap().get(), r#"{"prompt_eval_count":4,"eval_count":3}"#);
    assert_eq!(reading.flags(), Flags::default());
}

#[test]
fn embeddings_have_input_only() {
    let body = r#"{"model":"m","embeddings":[[0.1,0.2]],"total_duration":14143917,"load_duration":1019500,"prompt_eval_count":8}"#;
    let usage = read(&[body]).usage().unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens), (Some(8), None));
    assert!(read(&[r#"{"embedding":[0.1]}"#]).usage().is_none(), "the older endpoint counts nothing");
}

#[test]
fn an_error_in_the_stream_is_one_without_its_text() {
    let reading = read(&[PIECE, r#"{"error":"about my prompt"}"#]);
    assert_eq!((reading.error.as_deref(), reading.done), (Some("error"), false));
    assert!(!format!("{reading:?}").contains("my prompt"));
}

#[test]
fn odd_parts_cost_their_own_facts_only() {
    let odd =
        r#"{"model":7,"message":"odd","done":"yes","eval_count":5.0,"prompt_eval_count":"4","total_duration":{}}"#;
    let reading = read(&[odd]);
    assert_eq!(reading.usage().unwrap().output_tokens, Some(5));
    assert!(!reading.done);
    let long = format!(r#"{{"eval_count":5.{},"prompt_eval_count":4}}"#, "0".repeat(50));
    assert!(read(&[&long]).usage().unwrap().raw.is_some());
    for payload in ["", "[1]", "null", "7"] {
        assert!(!read(&[payload]).has_usage(), "{payload}");
    }
}

#[test]
fn a_request_streams_unless_told_not_to() {
    let ask = |path, body: &str| Ollama.read_request(path, body.as_bytes());
    let asked =
        ask("/api/chat", r#"{"model":"m","messages":[],"options":{"num_predict":5,"temperature":0.1,"top_p":0.2}}"#);
    let asked = asked.unwrap();
    assert_eq!((asked.stream, asked.max_tokens), (true, Some(5)));
    assert_eq!((asked.temperature, asked.top_p, asked.wants_usage), (Some(0.1), Some(0.2), true));
    assert!(ask("/api/generate/", r#"{"model":"m","stream":null}"#).unwrap().stream);
    assert!(!ask("/api/generate", r#"{"model":"m","stream":false}"#).unwrap().stream);
    assert!(!ask("/api/embed", r#"{"model":"m","input":"x"}"#).unwrap().stream);
    assert_eq!(ask("/api/chat", r#"{"model":"m","options":{"num_predict":-1}}"#).unwrap().max_tokens, None);
    let image = "iVBORw0KGgo".repeat(1000);
    let asked = ask("/api/chat", &format!(r#"{{"model":"m","messages":[{{"content":"x","images":["{image}"]}}]}}"#));
    assert!(asked.unwrap().input_bytes < 50);
    assert_eq!(ask("/api/chat", r#"{"messages":[]}"#), Err(AskError::NoModel));
    assert_eq!(ask("/api/chat", r#"{"model":"a","model":"b"}"#), Err(AskError::NotJson));
}
