//! Which framing an answer has.
//!
//! Its content type decides where it is one of a stream's; JSON is a stream only to a dialect that streams JSON and a
//! client that asked for a stream. An error is never a stream unless it says so.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};

use super::{Cutter, Framing, Sse, Whole};

impl Framing {
    /// Chooses by the head of an answer; `stream_asked` says whether the client asked for a stream.
    pub fn of(status: StatusCode, headers: &HeaderMap, stream_asked: bool) -> Self {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("").trim_start();
        let is = |prefix: &str| kind.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        if is_encoded(headers) {
            Self::Opaque
        } else if is("text/event-stream") {
            Self::Stream(Cutter::Events(Sse::default()))
        } else if is("application/json") {
            Self::Whole(Whole::default())
        } else if stream_asked && status.is_success() {
            // Some servers stream events under another type.
            Self::Stream(Cutter::Events(Sse::default()))
        } else {
            Self::Opaque
        }
    }
}

/// Whether the body is compressed.
pub fn is_encoded(headers: &HeaderMap) -> bool {
    let encoding = headers.get(CONTENT_ENCODING);
    encoding.is_some_and(|encoding| {
        !encoding.as_bytes().is_empty() && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    })
}
