//! Which framing an answer has.
//!
//! Its content type decides where it is one of a stream's; JSON is a stream only to a dialect that streams JSON and a
//! client that asked for a stream. An error is never a stream unless it says so.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use super::{Cutter, Frames, Framing, Lines, Objects, Sse, Whole};
use crate::dialect::Streams;

/// The content types of one JSON text on each line. None of them is registered; these are in use.
const LINES: [&str; 7] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonl",
    "application/json-lines",
    "application/jsonlines",
    "application/stream+json",
];

impl Framing {
    /// Chooses by the head of an answer; `asked` says how the stream that the client asked for is cut, if it asked.
    pub fn of(status: StatusCode, headers: &HeaderMap, asked: Option<Streams>) -> Self {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
        let kind = kind.split(';').next().unwrap_or("").trim();
        let is = |name: &str| kind.eq_ignore_ascii_case(name);
        let asked = asked.filter(|_| status.is_success());
        if is("text/event-stream") {
            Self::Stream(Cutter::Events(Sse::default()))
        } else if LINES.into_iter().any(is) {
            Self::Stream(Cutter::Lines(Lines::default()))
        } else if is("application/vnd.amazon.eventstream") {
            Self::Stream(Cutter::Frames(Frames::default()))
        } else if is("application/json") || is("text/json") || has_json_syntax(kind) {
            match asked {
                Some(Streams::Lines) => Self::Stream(Cutter::Lines(Lines::default())),
                Some(Streams::Objects) => Self::Stream(Cutter::Objects(Objects::default())),
                _ => Self::Whole(Whole::default()),
            }
        } else {
            // Some servers stream under another type.
            match asked {
                Some(Streams::Events) => Self::Stream(Cutter::Events(Sse::default())),
                Some(Streams::Lines) => Self::Stream(Cutter::Lines(Lines::default())),
                Some(Streams::Objects) => Self::Stream(Cutter::Objects(Objects::default())),
                Some(Streams::Frames) => Self::Stream(Cutter::Frames(Frames::default())),
                None => Self::Opaque,
            }
        }
    }
}

/// Whether a type is JSON by its name (RFC 6839, section 3.1), as `application/problem+json` is.
fn has_json_syntax(kind: &str) -> bool {
    kind.len()
        .checked_sub("+json".len())
        .and_then(|at| kind.get(at..))
        .is_some_and(|end| end.eq_ignore_ascii_case("+json"))
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::{Cutter, Framing, Streams};

    fn chosen(status: u16, kind: &str, asked: Option<Streams>) -> &'static str {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_str(kind).unwrap())]);
        match Framing::of(StatusCode::from_u16(status).unwrap(), &headers, asked) {
            Framing::Stream(Cutter::Lines(_)) => "lines",
            Framing::Stream(Cutter::Objects(_)) => "objects",
            Framing::Stream(Cutter::Frames(_)) => "frames",
            Framing::Stream(Cutter::Events(_)) => "events",
            Framing::Whole(_) => "whole",
            Framing::Opaque => "opaque",
        }
    }

    #[test]
    fn a_content_type_of_lines_is_lines_whoever_asked() {
        for kind in ["application/x-ndjson", "Application/JSONL; charset=utf-8", "application/stream+json"] {
            assert_eq!(chosen(200, kind, None), "lines", "{kind}");
            assert_eq!(chosen(500, kind, Some(Streams::Events)), "lines", "{kind}");
        }
    }

    #[test]
    fn json_is_lines_only_to_a_dialect_of_lines_that_was_asked_for_a_stream() {
        let json = "application/json; charset=utf-8";
        assert_eq!(chosen(200, json, Some(Streams::Lines)), "lines");
        assert_eq!(chosen(200, json, None), "whole");
        assert_eq!(chosen(200, json, Some(Streams::Events)), "whole");
        assert_eq!(chosen(404, json, Some(Streams::Lines)), "whole", "an error is no stream");
        for named in ["text/json", "application/problem+json", "Application/vnd.api+JSON; charset=utf-8"] {
            assert_eq!(chosen(400, named, None), "whole", "{named}");
        }
        for other in ["", "+jso", "application/jsonp", "audio/mpeg"] {
            assert_eq!(chosen(200, other, None), "opaque", "{other}");
        }
        assert_eq!(chosen(200, "text/plain", Some(Streams::Lines)), "lines");
        assert_eq!(chosen(200, "text/plain", Some(Streams::Events)), "events");
        assert_eq!(chosen(500, "text/plain", Some(Streams::Events)), "opaque");
    }

    #[test]
    fn objects_are_a_stream_only_to_who_asked_for_one_and_aws_frames_always_are() {
        let json = "application/json; charset=UTF-8";
        assert_eq!(chosen(200, json, Some(Streams::Objects)), "objects");
        assert_eq!(chosen(429, json, Some(Streams::Objects)), "whole", "an error is no stream");
        assert_eq!(chosen(200, "text/event-stream", Some(Streams::Objects)), "events", "Google's alt=sse");
        assert_eq!(chosen(200, "application/vnd.amazon.eventstream", None), "frames");
        assert_eq!(chosen(200, json, Some(Streams::Frames)), "whole");
    }
}
