//! Recorded answers of many providers: the client gets every byte, the event the right numbers, however they are cut.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Mock, Reply, World, aws_event, chat};

/// One answer, and what is known of its usage.
pub(crate) struct Recording {
    pub(crate) name: String,
    pub(crate) stream: bool,
    pub(crate) content_type: &'static str,
    /// Wire bytes, one piece per event (or the whole body).
    pieces: Vec<Vec<u8>>,
    pub(crate) expected: Value,
}

/// The dialects whose recordings are checked.
const READ: [&str; 8] = [
    "openai.chat",
    "openai.responses",
    "anthropic.messages",
    "cohere.chat",
    "ollama.chat",
    "google.generate_content",
    "google.interactions",
    "bedrock.converse",
];

/// Recordings of the dialects that are read: always our own, and more where they are: beside the repository as
/// `shared/corpus`, or where `TOLLGATE_CORPUS` says.
pub(crate) fn recordings() -> Vec<Recording> {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/corpus");
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let shared = std::env::var_os("TOLLGATE_CORPUS").map_or(beside, PathBuf::from);
    let mut found = load(&own);
    assert!(!found.is_empty(), "our own recordings are missing");
    if shared.is_dir() {
        found.extend(load(&shared));
    } else {
        println!("no recordings in {}: running on our own {} alone", shared.display(), found.len());
    }
    found
}

fn load(folder: &std::path::Path) -> Vec<Recording> {
    let expected = std::fs::read_to_string(folder.join("expected.json")).expect("expected.json");
    let expected: serde_json::Map<String, Value> = serde_json::from_str(&expected).unwrap();
    let ours = expected.into_iter().filter(|(_, expected)| READ.contains(&expected["dialect"].as_str().unwrap()));
    ours.flat_map(|(name, expected)| {
        let text = std::fs::read_to_string(folder.join(&name)).unwrap();
        let stream = expected["kind"] == "stream";
        let google = expected["dialect"] == "google.generate_content";
        let pieces = if stream { events(&expected, &text) } else { vec![text.clone().into_bytes()] };
        let content_type = match expected["dialect"].as_str() {
            _ if !stream => "application/json",
            Some("bedrock.converse") => "application/vnd.amazon.eventstream",
            Some("ollama.chat") => "application/x-ndjson",
            _ => "text/event-stream",
        };
        let list = (google && stream).then(|| Recording {
            name: format!("{name} as a list"),
            stream,
            content_type: "application/json; charset=UTF-8",
            pieces: list(&text),
            expected: expected.clone(),
        });
        [Recording { name, stream, content_type, pieces, expected }].into_iter().chain(list)
    })
    .collect()
}

/// Google's objects as they stand on the wire without `alt=sse`.
fn list(text: &str) -> Vec<Vec<u8>> {
    let lines = text.lines().filter(|line| !line.is_empty()).enumerate();
    let pieces = lines.map(|(at, line)| format!("{}{line}\n", if at == 0 { "[" } else { ",\r\n" }).into_bytes());
    pieces.chain([b"]".to_vec()]).collect()
}

/// The events of a stream as they stand on the wire.
fn events(expected: &Value, text: &str) -> Vec<Vec<u8>> {
    let lines = text.lines().filter(|line| !line.is_empty());
    match expected["dialect"].as_str().unwrap() {
        "openai.chat" => {
            let events = lines.map(|line| format!("data: {line}\n\n").into_bytes());
            events.chain([b"data: [DONE]\n\n".to_vec()]).collect()
        }
        "ollama.chat" => lines.map(|line| format!("{line}\n").into_bytes()).collect(),
        "google.generate_content" => lines.map(|line| format!("data: {line}\r\n\r\n").into_bytes()).collect(),
        "bedrock.converse" => lines.map(frames).collect(),
        _ => lines.map(named_event).collect(),
    }
}

fn named_event(line: &str) -> Vec<u8> {
    let event: Value = serde_json::from_str(line).unwrap();
    // Google's interactions call it so.
    let kind = event["type"].as_str().or(event["event_type"].as_str()).unwrap();
    format!("event: {kind}\ndata: {line}\n\n").into_bytes()
}

/// A line is `{"EVENTTYPE": payload}`.
fn frames(line: &str) -> Vec<u8> {
    let events: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
    events.iter().flat_map(|(name, payload)| aws_event(name, &payload.to_string())).collect()
}

impl Recording {
    pub(crate) fn wire(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    fn reply(&self, pieces: Vec<Vec<u8>>) -> Reply {
        Reply::head(200, self.content_type).chunks(pieces).end()
    }

    /// Where a client of the dialect sends its request, and what it asks.
    pub(crate) fn request(&self) -> (String, String) {
        match self.expected["dialect"].as_str().unwrap() {
            "openai.chat" => {
                let path = if self.name.contains("completion/") { "/v1/completions" } else { "/v1/chat/completions" };
                // The client asks for usage itself, so nothing is hidden and every byte must be the same.
                let asks = "\"stream_options\":{\"include_usage\":true},\"model\"";
                (path.to_owned(), chat(self.stream).replace("\"model\"", asks))
            }
            "anthropic.messages" => ("/v1/messages".to_owned(), chat(self.stream)),
            "cohere.chat" => ("/v2/chat".to_owned(), chat(self.stream)),
            "google.generate_content" => {
                let method = if self.stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
                let path = format!("/v1beta/models/demo:{method}");
                let path = if self.name.ends_with("as a list") { path.replace("?alt=sse", "") } else { path };
                (path, r#"{"contents":[{"parts":[{"text":"hello there"}]}]}"#.to_owned())
            }
            "bedrock.converse" => {
                let path = format!("/model/demo/converse{}", if self.stream { "-stream" } else { "" });
                (path, r#"{"messages":[{"role":"user","content":[{"text":"hello there"}]}]}"#.to_owned())
            }
            "openai.responses" => {
                let body = format!(r#"{{"model":"demo","stream":{},"input":"hi"}}"#, self.stream);
                ("/v1/responses".to_owned(), body)
            }
            "google.interactions" => {
                let body = format!(r#"{{"model":"demo","stream":{},"input":"hi"}}"#, self.stream);
                ("/v1beta/interactions".to_owned(), body)
            }
            "ollama.chat" => ("/api/chat".to_owned(), chat(self.stream)),
            other => panic!("{other} has no request yet"),
        }
    }

    async fn check(&self, cut: &str, pieces: Vec<Vec<u8>>) {
        let upstream = Mock::always(self.reply(pieces)).await;
        let world = World::before(&upstream).start().await;
        let (path, body) = self.request();
        let got = world.client().await.post(&path, None, body).await;
        assert_eq!(got.bytes().await, self.wire(), "{} cut {cut}: bytes", self.name);
        let data = world.only_event().await["data"].clone();
        self.compare(cut, &data);
    }

    fn compare(&self, cut: &str, data: &Value) {
        self.compare_usage(cut, data);
        assert_eq!((&data["outcome"], &data["stream"]), (&"ok".into(), &self.stream.into()), "{} cut {cut}", self.name);
        // Cohere and Bedrock name no model.
        let names_model = !["cohere.chat", "bedrock.converse"].contains(&self.expected["dialect"].as_str().unwrap());
        assert_eq!(data["model_served"].is_string(), names_model, "{} cut {cut}: model", self.name);
        // The older completions are listed with the chats that replaced them.
        let older = self.name.contains("completion/") && data["dialect"] == "openai.completions";
        assert!(older || data["dialect"] == self.expected["dialect"], "{} cut {cut}: {}", self.name, data["dialect"]);
    }

    /// The event has exactly the usage that the provider reported.
    pub(crate) fn compare_usage(&self, cut: &str, data: &Value) {
        let usage = &data["usage"];
        let pairs = [
            ("input", "input_tokens"),
            ("output", "output_tokens"),
            ("cache_read", "cache_read_tokens"),
            ("cache_write", "cache_write_tokens"),
            ("reasoning", "reasoning_tokens"),
            ("provider_total", "total_tokens"),
        ];
        for (expected, ours) in pairs {
            if let Some(expected) = self.expected.get(expected) {
                assert_eq!(&usage[ours], expected, "{} cut {cut}: {ours} in {data}", self.name);
            }
        }
        assert_eq!(
            (&usage["source"], &usage["complete"]),
            (&"provider".into(), &true.into()),
            "{} cut {cut}",
            self.name
        );
    }
}

#[tokio::test]
async fn every_recording_per_event() {
    for recording in recordings() {
        recording.check("per event", recording.pieces.clone()).await;
    }
}

#[tokio::test]
async fn every_recording_whole() {
    for recording in recordings() {
        recording.check("whole", vec![recording.wire()]).await;
    }
}

#[tokio::test]
async fn every_recording_per_byte() {
    for recording in recordings() {
        // Each byte in a chunk of its own; of the longest only the last part, where usage stands, to bound the time.
        let wire = recording.wire();
        let whole = wire.len().saturating_sub(20_000);
        let mut pieces = vec![wire[..whole].to_vec()];
        pieces.extend(wire[whole..].iter().map(|byte| vec![*byte]));
        pieces.retain(|piece| !piece.is_empty());
        recording.check("per byte", pieces).await;
    }
}

#[tokio::test]
async fn every_recording_at_random_places() {
    let mut random = fastrand::Rng::with_seed(7);
    for recording in recordings() {
        for round in 0..3 {
            let mut rest = &recording.wire()[..];
            let mut pieces = Vec::new();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(random.usize(1..=rest.len().min(2000)));
                pieces.push(piece.to_vec());
                rest = after;
            }
            recording.check(&format!("at random {round}"), pieces).await;
        }
    }
}
