//! What is asked and answered: every byte is made once, so that neither the load nor the upstream spends time on it.
//!
//! A request takes 1.2 KB, a whole answer 1 KB, a chunk of a stream 275 bytes. A stream is [`CHUNKS`] chunks with
//! content, then its end, in the wire format that was asked for (see `format`). The load never asks for usage, as most
//! clients do not: Tollgate asks in its place and takes the extra chunk out again, and the byte count proves it.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::ValueEnum;
use memchr::memmem;

use crate::format::Format;

/// Chunks with content in one stream.
pub(crate) const CHUNKS: usize = 64;
/// Writes of the upstream in one stream: whatever follows the content goes in one.
pub(crate) const WRITES: usize = CHUNKS + 1;
/// The key that the load calls with.
pub(crate) const KEY: &str = "sk-bench-0123456789abcdefghijklmnopqrstuvwxyz";

const REQUEST_BYTES: usize = 1_200;
const ANSWER_BYTES: usize = 1_000;
const MODEL: &str = "bench-";
const ASKS_USAGE: &[u8] = b"\"include_usage\":true";

/// What a request asks of the upstream. The model's name says it, so that it passes through every proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// One answer of 1 KB, in OpenAI's format.
    Whole,
    /// A stream in this format with this pause before each write but the first; zero: flat out.
    Stream(Format, Duration),
}

impl Ask {
    /// Where the request goes.
    pub(crate) fn path(self) -> String {
        match self {
            Self::Whole => Format::OpenAi.path(""),
            Self::Stream(format, _) => format.path(&self.model()),
        }
    }

    /// The request's body. Where a format has the model in its path, it stands here once more, for the upstream.
    pub(crate) fn body(self) -> Bytes {
        let stream = match self {
            Self::Whole => "",
            Self::Stream(..) => r#""stream":true,"#,
        };
        let head = format!(
            r#"{{"model":"{}",{stream}"max_tokens":256,"temperature":0.7,"messages":[{{"role":"system","content":"You answer briefly."}},{{"role":"user","content":""#,
            self.model()
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
        let stream = std::str::from_utf8(name)?.rsplit_once('-').and_then(|(format, millis)| {
            let pause = Duration::from_millis(millis.parse().ok()?);
            Some(Self::Stream(Format::from_str(format, false).ok()?, pause))
        });
        stream.context("the model's name is none of ours")
    }

    /// The bytes of the answer's body that a client must get which did not ask for usage.
    pub(crate) fn answer_bytes(self) -> usize {
        match self {
            Self::Whole => ANSWER_BYTES,
            Self::Stream(format, _) => {
                let chunks: usize = (0..CHUNKS).map(|number| format.chunk(number).len()).sum();
                chunks + format.end().iter().map(Vec::len).sum::<usize>()
            }
        }
    }

    fn model(self) -> String {
        match self {
            Self::Whole => format!("{MODEL}whole"),
            Self::Stream(format, pause) => format!("{MODEL}{}-{}", format.name(), pause.as_millis()),
        }
    }
}

/// The upstream's answers, ready to be written to a socket.
#[derive(Debug)]
pub(crate) struct Answers {
    /// Head and body.
    pub(crate) whole: Bytes,
    streams: Vec<Stream>,
}

/// One format's stream.
#[derive(Debug)]
pub(crate) struct Stream {
    format: Format,
    /// The writes with content; the first one brings the head along.
    pub(crate) chunks: Vec<Bytes>,
    last: Bytes,
    last_with_usage: Bytes,
}

impl Answers {
    /// Makes them.
    pub(crate) fn new() -> Self {
        Self { whole: whole(), streams: Format::value_variants().iter().copied().map(Stream::new).collect() }
    }

    /// The stream of this format.
    pub(crate) fn stream(&self, format: Format) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.format == format)
    }
}

impl Stream {
    fn new(format: Format) -> Self {
        let mut chunks: Vec<Vec<u8>> = (0..CHUNKS).map(|number| framed(&format.chunk(number))).collect();
        if let Some(first) = chunks.first_mut() {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {}\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n",
                format.content_type()
            );
            first.splice(..0, head.into_bytes());
        }
        let last = |events: Vec<Vec<u8>>| {
            let framed = events.iter().flat_map(|event| framed(event));
            framed.chain(*END).collect::<Vec<u8>>().into()
        };
        let chunks = chunks.into_iter().map(Bytes::from).collect();
        Self { format, chunks, last: last(format.end()), last_with_usage: last(format.end_with_usage()) }
    }

    /// The last write for this request.
    pub(crate) fn last_of(&self, request: &[u8]) -> &Bytes {
        if memmem::find(request, ASKS_USAGE).is_some() { &self.last_with_usage } else { &self.last }
    }
}

const END: &[u8; 5] = b"0\r\n\r\n";

fn whole() -> Bytes {
    let body = padded(&Format::whole_head(), "\"}}]}", ANSWER_BYTES);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), &body].concat().into()
}

/// As a chunk of HTTP/1.1's chunked coding.
fn framed(body: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat()
}

/// Filled up between the two with words.
pub(crate) fn padded(head: &str, tail: &str, length: usize) -> Bytes {
    let room = length.saturating_sub(head.len() + tail.len());
    let words = "all the world is a stage and men and women merely players ".chars().cycle().take(room);
    let text: String = head.chars().chain(words).chain(tail.chars()).collect();
    assert_eq!(text.len(), length, "the frame alone is too long");
    text.into()
}
