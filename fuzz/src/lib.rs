//! What the fuzz targets share: the routes of all wire formats, cuttings of a body, and the bound on time.
//!
//! A target's first bytes choose among these, the rest is the input proper.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use rustix::time::{ClockId, clock_gettime};
use tollgate::config::DialectChoice;
use tollgate::dialect::{Route, Streams, names, route};
use tollgate::meter::framing::{Cutter, Framing};

/// A path for each wire format and operation, with a method other than `POST`, or `br` for the one format that goes by
/// others' paths. New ones go to the end: the corpora name them by their place.
const PATHS: [&str; 54] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1beta/models/gemini-2.5-flash:generateContent",
    "/v1beta/models/gemini-2.5-flash:streamGenerateContent",
    "/v1beta/models/gemini:embedContent",
    "/v1beta/models/gemini:countTokens",
    "/model/m/converse",
    "/model/m/converse-stream",
    "/model/anthropic.claude/invoke",
    "/model/anthropic.claude/invoke-with-response-stream",
    "/model/amazon.titan/invoke-with-response-stream",
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/v2/chat",
    "/v1/chat",
    "/v2/embed",
    "/v2/rerank",
    "/v1/images/generations",
    "/v1/audio/transcriptions",
    "/v1/audio/speech",
    "/v1/moderations",
    "/v1/realtime",
    "/openai/deployments/d/chat/completions",
    "/v1/projects/p/locations/l/publishers/google/models/m:streamGenerateContent",
    "/api/v1/inference",
    "/v1/fim/completions",
    "/anything/else",
    "/v1/complete",
    "/model/m/count-tokens",
    "/api/engine/chat/openai",
    "/v1/inference/chat",
    "/v1/inference/completion",
    "/v1/responses/resp_1/cancel",
    "/v1/responses/input_tokens",
    "/v1/images/edits",
    "/v1/audio/translations",
    "/v1/files",
    "GET /v1/realtime",
    "GET /v1/responses/resp_1",
    "GET /v1/models",
    "br /v1/chat/completions",
    "br /v1/completions",
    "br /v1/embeddings",
    "br /v1/messages",
    "/v1/projects/p/locations/l/publishers/anthropic/models/claude-x@1:streamRawPredict",
    "/v1beta/models/gemini:batchEmbedContents",
    "/v1/rerank",
    "/v1beta/interactions",
    "GET /v1beta/interactions/v1_1",
];

/// The most processor time that one input may take. Brotli's decoder, counted at each branch and with its assertions, takes
/// three times as long here as in the program (`corpus/decode/window-4`: 28 ms against 9).
const MOST: Duration = Duration::from_millis(100);

/// All routes; no format is left out.
static ROUTES: LazyLock<Vec<(&str, Route)>> = LazyLock::new(|| {
    let routes: Vec<_> = PATHS.into_iter().map(routed).collect();
    let met: BTreeSet<_> = routes.iter().map(|(_, route)| route.name()).collect();
    let missed: Vec<_> = names().difference(&met).copied().collect();
    assert!(missed.is_empty(), "no path leads to {missed:?}");
    routes
});

fn routed(line: &'static str) -> (&'static str, Route) {
    let (method, choice, path) = match line.split_once(' ') {
        Some(("GET", path)) => (Method::GET, DialectChoice::Auto, path),
        Some((_, path)) => (Method::POST, DialectChoice::BrConnector, path),
        None => (Method::POST, DialectChoice::Auto, line),
    };
    (path, route(choice, &method, path))
}

/// The path and the route that a byte chooses.
pub fn chosen(byte: u8) -> (&'static str, Route) {
    ROUTES[usize::from(byte) % ROUTES.len()]
}

/// The cutter of a stream.
pub fn cutter(streams: Streams) -> Cutter {
    let kind = match streams {
        Streams::Events => "text/event-stream",
        Streams::Lines => "application/x-ndjson",
        Streams::Frames => "application/vnd.amazon.eventstream",
        Streams::Objects => "application/json",
    };
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
    match Framing::of(StatusCode::OK, &headers, Some(streams)) {
        Framing::Stream(cutter) => cutter,
        other => panic!("{other:?} is no stream"),
    }
}

/// A body in pieces of lengths that the seed chooses.
pub fn pieces(body: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut state) = (body, u32::from(seed));
    std::iter::from_fn(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let most = if seed % 4 == 0 { 1 } else { 1 << (state >> 29) };
        let (piece, after) = rest.split_at(rest.len().min(1 + (state >> 16) as usize % most));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Lines of a name, a tab and a payload as frames of AWS's event stream: a fuzzer does not guess checksums.
pub fn frames(lines: &[u8]) -> Vec<u8> {
    let frame = |line: &[u8]| {
        let mut parts = line.splitn(2, |byte| *byte == b'\t');
        let (name, payload) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let kind: &[u8] = if name.ends_with(b"Exception") { b":exception-type" } else { b":event-type" };
        let mut headers = Vec::new();
        for (name, value) in [(kind, name), (b":content-type", b"application/json")] {
            headers.push(name.len() as u8);
            headers.extend(name);
            headers.push(7);
            headers.extend((value.len() as u16).to_be_bytes());
            headers.extend(value);
        }
        let mut frame = ((16 + headers.len() + payload.len()) as u32).to_be_bytes().to_vec();
        frame.extend((headers.len() as u32).to_be_bytes());
        frame.extend(crc32fast::hash(&frame).to_be_bytes());
        frame.extend(headers);
        frame.extend(payload);
        frame.extend(crc32fast::hash(&frame).to_be_bytes());
        frame
    };
    lines.split(|byte| *byte == b'\n').filter(|line| line.len() < 60_000).flat_map(frame).collect()
}

/// The longest that an input took so far, in microseconds.
static SLOWEST: AtomicU64 = AtomicU64::new(100);

/// Does something within the bound on processor time. Time on the wall says little on a machine that does other things.
pub fn in_time<T>(work: impl FnOnce() -> T) -> T {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    let began = now();
    let done = work();
    let took = now() - began;
    assert!(took < MOST, "took {took:?}");
    let micros = took.as_micros() as u64;
    if SLOWEST.fetch_max(micros, Ordering::Relaxed) < micros {
        // The run's summary has the last of these.
        eprintln!("slowest {micros}");
    }
    done
}
