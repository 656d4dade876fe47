use crate::config::DialectChoice;
use crate::dialect::{Reading, route};

fn read(path: &str, payloads: &[&str]) -> Reading {
    let route = route(DialectChoice::Auto, &http::Method::POST, path);
    let mut reading = Reading::default();
    for payload in payloads {
        route.dialect.read_answer(payload.as_bytes().into(), &mut reading);
    }
    assert_eq!(reading.flags().names().next(), None);
    reading
}

#[test]
fn pictures_are_counted_and_their_tokens_are_the_providers() {
    let gpt = r#"{"created":1,"background":"opaque","data":[{"b64_json":"AAAA"},{"b64_json":"BBBB"}],"size":"1024x1024",
        "usage":{"total_tokens":100,"input_tokens":50,"output_tokens":50,
        "input_tokens_details":{"text_tokens":10,"image_tokens":40}}}"#;
    let usage = read("/v1/images/edits", &[gpt]).usage().unwrap();
    assert_eq!((usage.images, usage.input_tokens, usage.output_tokens), (Some(2), Some(50), Some(50)));
    assert!(usage.raw.unwrap().get().contains("image_tokens"));
    let dalle = r#"{"created":1,"data":[{"url":"https://x","revised_prompt":"y"}]}"#;
    let usage = read("/v1/images/generations", &[dalle]).usage().unwrap();
    assert_eq!((usage.images, usage.total_tokens), (Some(1), None));
}

#[test]
fn a_stream_of_pictures_ends_with_the_one_that_counts() {
    let partial = r#"{"type":"image_generation.partial_image","b64_json":"AAAA","partial_image_index":0}"#;
    let last = r#"{"type":"image_generation.completed","b64_json":"AAAA","usage":{"total_tokens":100,"input_tokens":50,"output_tokens":50}}"#;
    let begun = read("/v1/images/generations", &[partial]);
    assert!(begun.had_content && !begun.done && begun.usage().is_none());
    let reading = read("/v1/images/generations", &[partial, partial, last]);
    let usage = reading.usage().unwrap();
    assert_eq!((usage.images, usage.total_tokens, reading.done), (Some(1), Some(100), true));
}

#[test]
fn transcriptions_report_tokens_or_seconds() {
    let tokens = r#"{"text":"hello","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":10,
        "audio_tokens":4},"output_tokens":45,"total_tokens":59}}"#;
    let usage = read("/v1/audio/transcriptions", &[tokens]).usage().unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.audio_ms), (Some(14), Some(45), None));
    let seconds = r#"{"text":"hello","usage":{"type":"duration","seconds":3}}"#;
    let usage = read("/v1/audio/transcriptions", &[seconds]).usage().unwrap();
    assert_eq!((usage.audio_ms, usage.total_tokens), (Some(3000), None));
    for verbose in [r#"{"text":"x","duration":8.47,"segments":[]}"#, r#"{"text":"x","duration":"8.470"}"#] {
        assert_eq!(read("/v1/audio/translations", &[verbose]).usage().unwrap().audio_ms, Some(8470), "{verbose}");
    }
    assert!(read("/v1/audio/translations", &[r#"{"text":"x"}"#]).usage().is_none(), "nothing is made up");
}

#[test]
fn a_streamed_transcription_reports_in_its_last_event() {
    let delta = r#"{"type":"transcript.text.delta","delta":"I see"}"#;
    let done = r#"{"type":"transcript.text.done","text":"I see","usage":{"type":"tokens","input_tokens":14,"output_tokens":45,"total_tokens":59}}"#;
    let reading = read("/v1/audio/transcriptions", &[delta]);
    assert!(reading.had_content && !reading.done);
    let reading = read("/v1/audio/transcriptions", &[delta, done]);
    assert_eq!((reading.done, reading.usage().unwrap().total_tokens), (true, Some(59)));
    assert_eq!(reading.escaped_text(), b"I see");
}

#[test]
fn speech_is_counted_in_characters_of_the_request_or_in_tokens_of_the_answer() {
    let route = route(DialectChoice::Auto, &http::Method::POST, "/v1/audio/speech");
    let body = r#"{"model":"tts-1","input":"h\u00e9llo \ud83d\ude00","voice":"alloy"}"#;
    assert_eq!(route.dialect.characters(body.as_bytes()), Some(7));
    assert_eq!(route.dialect.characters(br#"{"input":7}"#), None);
    let delta = r#"{"type":"speech.audio.delta","audio":"AAAA"}"#;
    let done = r#"{"type":"speech.audio.done","usage":{"input_tokens":14,"output_tokens":101,"total_tokens":115}}"#;
    let reading = read("/v1/audio/speech", &[delta, done]);
    assert_eq!((reading.done, reading.usage().unwrap().total_tokens), (true, Some(115)));
}

#[test]
fn moderations_name_their_model_and_cost_nothing() {
    let reading =
        read("/v1/moderations", &[r#"{"id":"m","model":"omni-moderation-latest","results":[{"flagged":false}]}"#]);
    assert_eq!((reading.model_served.as_deref(), reading.usage().is_none()), (Some("omni-moderation-latest"), true));
}

#[test]
fn a_model_may_be_left_out_where_the_provider_has_one_of_its_own() {
    for path in ["/v1/images/generations", "/v1/moderations"] {
        let route = route(DialectChoice::Auto, &http::Method::POST, path);
        assert_eq!(route.dialect.read_request(path, br#"{"prompt":"x"}"#).unwrap().model, None, "{path}");
        assert!(route.dialect.read_request(path, br#"{"model":"a","model":"b"}"#).is_err(), "{path}");
    }
    let path = "/openai/deployments/my-dalle/images/generations";
    let route = route(DialectChoice::Auto, &http::Method::POST, path);
    assert_eq!(route.dialect.read_request(path, br#"{"prompt":"x"}"#).unwrap().model.as_deref(), Some("my-dalle"));
}

#[test]
fn housekeeping_is_passed_and_the_usage_in_it_is_another_requests() {
    let batch = r#"{"id":"batch_1","status":"completed","model":"gpt-5","usage":{"input_tokens":9,"output_tokens":9,"total_tokens":18}}"#;
    for path in ["/v1/batches", "/v1/files", "/v1/batches/batch_1/cancel"] {
        assert!(read(path, &[batch]).usage().is_none(), "{path}");
    }
}
