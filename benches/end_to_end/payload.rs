//! What is asked and answered: every byte is made once, so that neither the load nor the upstream spends time on it.
//!
//! A request takes 1.2 KB, a whole answer 1 KB, a chunk of a stream 275 bytes. A stream is [`CHUNKS`] chunks with
//! content, then the finish, the usage chunk if it was asked for, and `[DONE]`. The load never asks for usage, as most
//! clients do not: Tollgate asks in its place and takes the extra chunk out again, and the byte count proves it.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use memchr::memmem;

/// Chunks with content in one stream.
pub(crate) const CHUNKS: usize = 64;
/// Writes of the upstream in one stream: the finish, the usage and `[DONE]` go in one.
pub(crate) const WRITES: usize = CHUNKS + 1;
/// The key that the load calls with.
pub(crate) const KEY: &str = "sk-bench-0123456789abcdefghijklmnopqrstuvwxyz";

const REQUEST_BYTES: usize = 1_200;
const ANSWER_BYTES: usize = 1_000;
const CHUNK_BYTES: usize = 275;
const MODEL: &str = "bench-";
const ASKS_USAGE: &[u8] = b"\"include_usage\":true";
const HEAD: &str = r#"{"id":"chatcmpl-Bq3VwYxT7mPz9kLr2NdHs5JfGc8Ae","object":"chat.completion"#;
const USAGE: &str = r#"{"prompt_tokens":212,"completion_tokens":64,"total_tokens":276,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}}"#;

/// What a request asks of the upstream. The model's name says it, so that it passes through every proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// One answer of 1 KB.
    Whole,
    /// A stream with this pause before each write but the first; zero: flat out.
    Stream(Duration),
}

impl Ask {
    /// The request's body.
    pub(crate) fn body(self) -> Bytes {
        let (name, stream) = match self {
            Self::Whole => ("whole".to_owned(), ""),
            Self::Stream(pause) => (pause.as_millis().to_string(), r#""stream":true,"#),
        };
        let head = format!(
            r#"{{"model":"{MODEL}{name}",{stream}"max_tokens":256,"temperature":0.7,"messages":[{{"role":"system","content":"You answer briefly."}},{{"role":"user","content":""#
        );
        padded(&head, "\"}]}", REQUEST_BYTES)
    }

    /// What a request's body asks for.
    pub(crate) fn read(body: &[u8]) -> Result<Self> {
        let marker = format!("\"model\":\"{MODEL}");
        let start = memmem::find(body, marker.as_bytes()).context("the request names no model of ours")? + marker.len();
        let name = body.get(start..).unwrap_or_default().split(|byte| *byte == b'"').next().unwrap_or_default();
        if name == b"whole" {
            return Ok(Self::Whole);
        }
        let millis = std::str::from_utf8(name)?.parse().context("the model's name is none of ours")?;
        Ok(Self::Stream(Duration::from_millis(millis)))
    }

    /// The bytes of the answer's body that a client must get which did not ask for usage.
    pub(crate) fn answer_bytes(self) -> usize {
        match self {
            Self::Whole => ANSWER_BYTES,
            Self::Stream(_) => CHUNKS * CHUNK_BYTES + finish().len() + DONE.len(),
        }
    }
}

/// The upstream's answers, ready to be written to a socket.
#[derive(Debug)]
pub(crate) struct Answers {
    /// Head and body.
    pub(crate) whole: Bytes,
    /// The writes of a stream; the first one brings the head along.
    pub(crate) stream: Vec<Bytes>,
    /// The last write of a stream, when usage was asked for.
    pub(crate) last_with_usage: Bytes,
}

impl Answers {
    /// Makes them.
    pub(crate) fn new() -> Self {
        let mut stream: Vec<Vec<u8>> = (0..CHUNKS).map(|number| framed(&chunk(number))).collect();
        if let Some(first) = stream.first_mut() {
            let head =
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n\
                transfer-encoding: chunked\r\n\r\n";
            first.splice(..0, *head);
        }
        stream.push([framed(&finish()), framed(DONE), END.to_vec()].concat());
        let last_with_usage = [framed(&finish()), framed(&usage()), framed(DONE), END.to_vec()].concat();
        let stream = stream.into_iter().map(Bytes::from).collect();
        Self { whole: whole(), stream, last_with_usage: last_with_usage.into() }
    }

    /// The last write of a stream for this request.
    pub(crate) fn last_of(&self, request: &[u8]) -> &Bytes {
        let plain = self.stream.last().unwrap_or(&self.last_with_usage);
        if memmem::find(request, ASKS_USAGE).is_some() { &self.last_with_usage } else { plain }
    }
}

const DONE: &[u8] = b"data: [DONE]\n\n";
const END: &[u8] = b"0\r\n\r\n";

fn whole() -> Bytes {
    let head = format!(
        r#"{HEAD}","created":1763719200,"model":"bench-1","usage":{USAGE},"choices":[{{"index":0,"finish_reason":"stop","logprobs":null,"message":{{"role":"assistant","content":""#
    );
    let body = padded(&head, "\"}}]}", ANSWER_BYTES);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), &body].concat().into()
}

/// One event with content. OpenAI writes `"usage":null` into each once usage was asked for; here it always stands, so
/// that every proxy carries the same bytes.
fn chunk(number: usize) -> Vec<u8> {
    let head = format!(
        r#"data: {HEAD}.chunk","created":1763719200,"model":"bench-1","choices":[{{"index":0,"delta":{{"content":" word{number:02}"}},"logprobs":null,"finish_reason":null}}],"usage":null,"obfuscation":""#
    );
    padded(&head, "\"}\n\n", CHUNK_BYTES).to_vec()
}

fn finish() -> Vec<u8> {
    let rest = r#".chunk","created":1763719200,"model":"bench-1","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}"#;
    format!("data: {HEAD}{rest}\n\n").into_bytes()
}

fn usage() -> Vec<u8> {
    format!("data: {HEAD}.chunk\",\"created\":1763719200,\"model\":\"bench-1\",\"choices\":[],\"usage\":{USAGE}}}\n\n")
        .into_bytes()
}

/// As a chunk of HTTP/1.1's chunked coding.
fn framed(body: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat()
}

/// Filled up between the two with words.
fn padded(head: &str, tail: &str, length: usize) -> Bytes {
    let room = length.saturating_sub(head.len() + tail.len());
    let words = "all the world is a stage and men and women merely players ".chars().cycle().take(room);
    let text: String = head.chars().chain(words).chain(tail.chars()).collect();
    assert_eq!(text.len(), length, "the frame alone is too long");
    text.into()
}
