//! Recorded answers, cut in every way, report the same usage each time.
//!
//! Our own few recordings lie in `tests/fixtures/sse/openai`. A larger corpus is used where it is found: beside the
//! repository as `shared/corpus`, or where `TOLLGATE_CORPUS` says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::framing::{Framing, aws_frame};
use crate::config::DialectChoice;
use crate::dialect::{Reading, Streams, route};

#[derive(Debug, Deserialize)]
struct Expected {
    dialect: String,
    kind: Kind,
    input: u64,
    output: u64,
    provider_total: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    reasoning: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Stream,
    Body,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sse/openai")
}

#[expect(clippy::disallowed_methods, reason = "a test may be told where its data lies")]
fn corpus() -> Option<PathBuf> {
    let told = std::env::var("TOLLGATE_CORPUS").ok().map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    told.or(Some(beside)).filter(|folder| folder.join("expected.json").exists())
}

/// The dialects whose recordings are read, each with the path of a request.
const READ: [(&str, &str); 6] = [
    ("openai.chat", "/v1/chat/completions"),
    ("openai.responses", "/v1/responses"),
    ("anthropic.messages", "/v1/messages"),
    ("cohere.chat", "/v2/chat"),
    ("google.generate_content", "/v1beta/models/gemini:streamGenerateContent"),
    ("bedrock.converse", "/model/m/converse-stream"),
];

/// Formats whose streams have no last event: the end of the body is theirs.
const ENDLESS: [&str; 1] = ["google.generate_content"];
/// Formats whose answers do not name the model.
const NAMELESS: [&str; 2] = ["cohere.chat", "bedrock.converse"];

fn expected(folder: &Path) -> BTreeMap<String, Expected> {
    let text = std::fs::read(folder.join("expected.json")).unwrap();
    let all: BTreeMap<String, Expected> = serde_json::from_slice(&text).unwrap();
    all.into_iter().filter(|(_, entry)| READ.iter().any(|(dialect, _)| *dialect == entry.dialect)).collect()
}

/// The bytes on the wire: our fixtures are wire bytes, the corpus has one JSON object on each line.
fn wire(file: &Path, entry: &Expected) -> Vec<u8> {
    let bytes = std::fs::read(file).unwrap();
    if entry.kind == Kind::Body || file.extension().is_some_and(|extension| extension == "sse") {
        return bytes;
    }
    let lines = String::from_utf8(bytes).unwrap();
    let lines = lines.lines().filter(|line| !line.is_empty());
    match entry.dialect.as_str() {
        "openai.chat" => {
            (lines.flat_map(|line| ["data: ", line, "\n\n"]).collect::<String>() + "data: [DONE]\n\n").into_bytes()
        }
        "google.generate_content" => {
            lines.flat_map(|line| ["data: ", line, "\r\n\r\n"]).collect::<String>().into_bytes()
        }
        "bedrock.converse" => lines.flat_map(aws_event).collect(),
        _ => lines.map(named_event).collect::<String>().into_bytes(),
    }
}

fn named_event(line: &str) -> String {
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    format!("event: {}\ndata: {line}\n\n", event["type"].as_str().unwrap())
}

/// A line is `{"EVENTTYPE": payload}`.
fn aws_event(line: &str) -> Vec<u8> {
    let event: BTreeMap<String, Box<RawValue>> = serde_json::from_str(line).unwrap();
    event.iter().flat_map(|(name, payload)| aws_frame(name, payload.get().as_bytes())).collect()
}

fn framing(entry: &Expected, streams: Streams) -> Framing {
    let kind = match (entry.kind, entry.dialect.as_str()) {
        (Kind::Body, _) => "application/json",
        (Kind::Stream, "bedrock.converse") => "application/vnd.amazon.eventstream",
        (Kind::Stream, _) => "text/event-stream",
    };
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
    Framing::of(StatusCode::OK, &headers, (entry.kind == Kind::Stream).then_some(streams))
}

fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, entry: &Expected) -> Reading {
    let path = READ.iter().find(|(dialect, _)| *dialect == entry.dialect).unwrap().1;
    let route = route(DialectChoice::Auto, &Method::POST, path);
    assert_eq!(route.name(), entry.dialect);
    let (mut reading, dialect) = (Reading::default(), route.dialect);
    let mut framing = framing(entry, dialect.streams());
    for chunk in chunks {
        match &mut framing {
            Framing::Stream(stream) => {
                stream.feed(chunk, &mut |event| {
                    route.read(event.payload(), &mut reading);
                });
            }
            Framing::Whole(whole) => whole.push(&Bytes::copy_from_slice(chunk)),
            Framing::Opaque => panic!("no framing"),
        }
    }
    match &mut framing {
        Framing::Stream(stream) => stream.finish(&mut |event| dialect.read_answer(event.payload(), &mut reading)),
        Framing::Whole(whole) => dialect.read_answer(whole.bytes().into(), &mut reading),
        Framing::Opaque => panic!("no framing"),
    }
    reading
}

fn at_random(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut chunks, mut random) = (bytes, Vec::new(), fastrand::Rng::with_seed(7));
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(random.usize(1..=rest.len().min(200)));
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

fn check(folder: &Path, file: &str, entry: &Expected) {
    let wire = wire(&folder.join(file), entry);
    let events = wire.split_inclusive(|byte| *byte == b'\n');
    let cuttings: [(&str, Vec<&[u8]>); 4] = [
        ("whole", vec![wire.as_slice()]),
        ("by line", events.collect()),
        ("by byte", wire.chunks(1).collect()),
        ("at random", at_random(&wire)),
    ];
    let mut texts = Vec::new();
    for (how, chunks) in cuttings {
        let reading = read(chunks, entry);
        let usage = reading.usage().unwrap_or_else(|| panic!("{file} {how}: no usage"));
        let counts = (usage.input_tokens, usage.output_tokens, usage.total_tokens);
        let total = entry.provider_total.unwrap_or(entry.input + entry.output);
        assert_eq!(counts, (Some(entry.input), Some(entry.output), Some(total)), "{file} {how}");
        // Some recordings state more than is expected of them; what is expected is there.
        let parts = [
            (usage.cache_write_tokens, entry.cache_write, "cache write"),
            (usage.reasoning_tokens, entry.reasoning, "reasoning"),
            (usage.cache_read_tokens, entry.cache_read, "cache read"),
        ];
        for (found, expected, part) in parts {
            assert!(expected.is_none() || found == expected, "{file} {how}: {part} is {found:?}, not {expected:?}");
        }
        assert_eq!(reading.flags().names().next(), None, "{file} {how}: nothing is odd");
        let named = !NAMELESS.contains(&entry.dialect.as_str());
        assert_eq!((usage.raw.is_some(), reading.model_served.is_some()), (true, named), "{file} {how}");
        assert!(!reading.finish_reasons.is_empty(), "{file} {how}");
        let says_so = entry.kind == Kind::Stream && !ENDLESS.contains(&entry.dialect.as_str());
        assert_eq!(reading.done, says_so, "{file} {how}");
        texts.push(reading.escaped_text().to_vec());
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{file}: the same text however it was cut");
    // A whole answer that reports its usage need not be read for its text.
    // A refusal or a picture may come without a word.
    let silent = entry.kind == Kind::Body || file.contains("refusal") || file.contains("image-generation");
    assert!(silent || !texts.concat().is_empty(), "{file}: a stream's text");
}

#[test]
fn our_recordings_report_the_expected_usage_however_they_are_cut() {
    let all = expected(&fixtures());
    assert!(all.len() >= 5);
    for (file, entry) in &all {
        check(&fixtures(), file, entry);
    }
}

#[test]
fn the_corpus_reports_the_expected_usage_however_it_is_cut() {
    let Some(folder) = corpus() else {
        println!("no corpus found: only our own recordings are checked");
        return;
    };
    let all = expected(&folder);
    assert!(all.len() > 20, "the corpus has recordings of what we read");
    for (file, entry) in &all {
        check(&folder, file, entry);
    }
}
