//! Ollama's client, against recordings.

use serde_json::json;

use super::{assert_counted, json_lines, played, recording, streams};
use crate::support::{Asked, Mock, Reply, World};

const GENERATED: &str = r#"{"model":"qwen3:0.6b","created_at":"2026-10-17T23:14:07Z","response":"Hi","done":false}
{"model":"qwen3:0.6b","created_at":"2026-10-17T23:14:08Z","response":"","done":true,"done_reason":"length","context":[1,2,3],"total_duration":100,"load_duration":10,"prompt_eval_count":9,"prompt_eval_duration":20,"eval_count":4,"eval_duration":60}
"#;

fn answer(asked: &Asked) -> Reply {
    match (asked.path(), streams(asked, true)) {
        ("/api/chat", true) => json_lines("application/x-ndjson", &recording("ollama-tools.chunks.txt")),
        ("/api/chat", false) => Reply::json(200, recording("ollama-tools.json").trim()),
        // Some servers stream under the type of a whole body.
        ("/api/generate", true) => json_lines("application/json; charset=utf-8", GENERATED),
        ("/api/generate", false) => Reply::json(200, &GENERATED.lines().nth(1).unwrap().replace("\"\"", "\"Hi\"")),
        ("/api/embed", _) => Reply::json(
            200,
            r#"{"model":"demo","embeddings":[[0.5,0.25]],"total_duration":14143917,"load_duration":1019500,"prompt_eval_count":8}"#,
        ),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn ollamas_client_sees_recorded_answers_as_they_were_and_each_is_counted() {
    let upstream = Mock::start(answer).await;
    let world = World::before(&upstream).start().await;
    let scenarios = &["tools", "stream_tools", "generate", "stream_generate", "embed"];
    let calls = played(&world, "ollama_python.py", scenarios).await;

    let [tools, stream_tools, generate, stream_generate, embed] = calls.as_slice() else { panic!("five calls") };
    for (seen, event) in [tools, stream_tools] {
        assert_eq!((&seen["text"], &seen["tools"]), (&json!("Looking."), &json!([["weather", {"city": "Köln"}]])));
        assert_eq!((&seen["finish_reason"], &event["finish_reasons"]), (&json!("stop"), &json!(["stop"])));
        assert_counted(event, "ollama.chat", (Some(169), Some(15)));
        assert_eq!(event["usage"]["raw"]["eval_duration"], 52_479_709);
    }
    assert_eq!((&stream_tools.0["objects"], &stream_tools.0["thinking"]), (&json!(5), &json!("They ask for Köln.")));
    let delivered = &stream_tools.1["delivered"];
    assert_eq!((&delivered["frames"], &delivered["content_frames"]), (&json!(5), &json!(4)));
    for (seen, event) in [generate, stream_generate] {
        assert_eq!((&seen["text"], &event["finish_reasons"]), (&json!("Hi"), &json!(["length"])));
        assert_counted(event, "ollama.generate", (Some(9), Some(4)));
    }
    assert_eq!((&stream_generate.1["stream"], &generate.1["stream"]), (&json!(true), &json!(false)));
    assert_counted(&embed.1, "ollama.embed", (Some(8), None));
}
