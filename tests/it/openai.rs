//! OpenAI's other operations end to end: responses in the background, forms, sound, pictures, batches.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::Value;

use crate::support::{Mock, Reply, World};

fn json(body: &str) -> Reply {
    Reply::head(200, "application/json").chunk(body).end()
}

fn response(status: &str, background: bool, usage: &str) -> String {
    format!(
        r#"{{"id":"resp_1","object":"response","status":"{status}","background":{background},"model":"gpt-5","output":[],"usage":{usage}}}"#
    )
}

const USAGE: &str = r#"{"input_tokens":30,"output_tokens":4,"total_tokens":34}"#;

#[tokio::test]
async fn a_background_response_is_counted_once_however_often_it_is_asked_for() {
    let looks = std::sync::atomic::AtomicU32::new(0);
    let upstream = Mock::start(move |asked| {
        if asked.line.starts_with("POST") {
            return json(&response("queued", true, "null"));
        }
        let look = looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        json(&if look == 0 { response("in_progress", true, "null") } else { response("completed", true, USAGE) })
    })
    .await;
    let world = World::before(&upstream).start().await;
    let mut client = world.client().await;
    client.post("/v1/responses", None, r#"{"model":"gpt-5","input":"hi","background":true}"#).await.bytes().await;
    for _ in 0..3 {
        client.get("/v1/responses/resp_1").await.bytes().await;
    }
    let events: Vec<Value> = world.finish().await.into_iter().map(|event| event["data"].clone()).collect();
    let totals: Vec<_> = events.iter().map(|data| data["usage"]["total_tokens"].as_u64()).collect();
    assert_eq!(totals, [None, None, Some(34), None]);
    assert_eq!((&events[0]["operation"], &events[0]["usage"]["source"]), (&"chat".into(), &"none".into()));
    assert_eq!(events[0]["flags"], serde_json::json!(["usage_deferred"]));
    assert_eq!(events[3]["flags"], serde_json::json!(["usage_repeated"]));
    assert!(events.iter().all(|data| data["dialect"] == "openai.responses" && data["outcome"] == "ok"));
}

#[tokio::test]
async fn no_answer_to_a_look_repeats_usage() {
    let upstream = Mock::always(json(&response("completed", false, USAGE))).await;
    let world = World::before(&upstream).start().await;
    let mut client = world.client().await;
    for path in ["/v1/responses/resp_1", "/v1/batches/batch_1"] {
        client.get(path).await.bytes().await;
    }
    client.post("/v1/batches", None, r#"{"input_file_id":"f"}"#).await.bytes().await;
    for event in world.finish().await {
        assert_eq!((&event["data"]["usage"]["source"], &event["data"]["operation"]), (&"none".into(), &"other".into()));
    }
}

fn form(parts: &[(&str, &str)]) -> String {
    let part = |(head, content): &(&str, &str)| {
        format!("--b0undary\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
    };
    parts.iter().map(part).collect::<String>() + "--b0undary--\r\n"
}

fn upload(path: &str, key: &str, form: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "multipart/form-data; boundary=b0undary")
        .body(Full::new(Bytes::from(form.to_owned())))
        .unwrap()
}

#[tokio::test]
async fn a_form_streams_through_untouched_and_its_model_is_known_where_it_stands_first() {
    let answer = r#"{"text":"hello","usage":{"type":"duration","seconds":3}}"#;
    let upstream = Mock::always(json(answer)).await;
    let world = World::before(&upstream).start().await;
    let sound = "ID3".repeat(100_000);
    let file = ("name=\"file\"; filename=\"a.mp3\"", sound.as_str());
    let model = ("name=\"model\"", "whisper-1");
    let mut sent = Vec::new();
    for parts in [[model, file], [file, model]] {
        sent.push(form(&parts));
        let request = upload("/v1/audio/transcriptions", "own", sent.last().unwrap());
        assert_eq!(world.client().await.send(request).await.text().await, answer);
    }
    let events = world.finish().await;
    for (asked, sent) in upstream.asked().iter().zip(&sent) {
        assert!(asked.body == *sent, "the form arrives as it was sent");
        assert_eq!(asked.headers["content-length"], sent.len().to_string());
    }
    let models: Vec<_> = events.iter().map(|event| event["data"]["model_requested"].as_str()).collect();
    assert_eq!(models, [Some("whisper-1"), None], "what stands behind a large file is not waited for");
    for event in &events {
        let data = &event["data"];
        assert_eq!((&data["operation"], &data["usage"]["audio_ms"]), (&"transcription".into(), &3000.into()));
    }
}

#[tokio::test]
async fn a_key_bound_to_models_uses_no_other_by_way_of_a_form() {
    let upstream = Mock::always(json(r#"{"text":"hello"}"#)).await;
    let keys = "- id: bound\n  key: sk-bound\n  models: [whisper-1]\n";
    let world = World::before(&upstream).keys(keys).start().await;
    let sound = "ID3".repeat(50_000);
    let file = ("name=\"file\"; filename=\"a.mp3\"", sound.as_str());
    let (model, other) = (("name=\"model\"", "whisper-1"), ("name=\"model\"", "gpt-4o-transcribe"));
    let cases: [(&[_], u16); 5] = [
        (&[model, file], 200),
        (&[file, model], 200),
        (&[file, other], 403),
        (&[model, file, other], 400),
        (&[file], 400),
    ];
    for (parts, status) in cases {
        let request = upload("/v1/audio/transcriptions", "sk-bound", &form(parts));
        assert_eq!(world.client().await.send(request).await.status, status, "{}", parts.len());
    }
    let image = world.client().await.post("/v1/images/generations", Some("sk-bound"), r#"{"prompt":"x"}"#).await;
    assert_eq!(image.status, 400, "without a name the provider would choose");
    assert_eq!(upstream.asked().len(), 2);
    world.stop().await;
}

#[tokio::test]
async fn speech_is_counted_in_characters_and_pictures_one_by_one() {
    let upstream = Mock::start(|asked| match asked.path() {
        "/v1/audio/speech" => Reply::head(200, "audio/mpeg").chunk("ID3").end(),
        _ => json(r#"{"created":1,"data":[{"url":"a"},{"url":"b"}]}"#),
    })
    .await;
    let world = World::before(&upstream).start().await;
    let mut client = world.client().await;
    let speech = r#"{"model":"tts-1","voice":"alloy","input":"hällo"}"#;
    assert_eq!(client.post("/v1/audio/speech", None, speech).await.text().await, "ID3");
    client.post("/v1/images/generations", None, r#"{"prompt":"x","n":2}"#).await.bytes().await;
    let events = world.finish().await;
    let (speech, images) = (&events[0]["data"], &events[1]["data"]);
    assert_eq!((&speech["usage"]["characters"], &speech["usage"]["source"]), (&5.into(), &"tokenizer".into()));
    assert_eq!((&speech["operation"], &speech["dialect"]), (&"speech".into(), &"openai.speech".into()));
    assert_eq!((&images["usage"]["images"], &images["operation"]), (&2.into(), &"image".into()));
}

#[tokio::test]
async fn what_follows_the_end_of_a_stream_passes_and_the_event_stands_as_it_was_at_the_end() {
    let text = "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]}\n\n";
    let usage = "data: {\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\n\n";
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    let late =
        Reply::head(200, "text/event-stream").chunk(text).chunk("data: [DONE]\n\n").gate(&gate).chunk(usage).end();
    let upstream = Mock::always(late).await;
    let world = World::before(&upstream).upstream("  inject_usage: false\n").start().await;
    let mut got = world.chat(None, &crate::support::chat(true)).await;
    assert_eq!(got.piece().await.unwrap().unwrap(), text);
    assert_eq!(got.piece().await.unwrap().unwrap(), "data: [DONE]\n\n", "nobody waits for what may follow");
    gate.notify_one();
    assert_eq!(got.text().await, usage);
    assert_eq!(world.only_event().await["data"]["usage"]["source"], "estimate");
}
