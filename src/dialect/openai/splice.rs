//! Asks for usage in a stream.
//!
//! The request is never written anew: bytes are put into the client's own JSON and every other byte stays as it was.
//! Whatever is not plainly safe is left alone, and the request goes as the client sent it.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::lenient;
use crate::dialect::scan::values;

const OPTIONS: &str = r#"{"include_usage":true}"#;

// Keys that stand twice are an error here, as they should be: which one holds would be a guess.
#[derive(Deserialize)]
struct Request<'a> {
    #[serde(default, deserialize_with = "lenient::value")]
    stream: Option<bool>,
    #[serde(borrow, default, deserialize_with = "lenient::present")]
    stream_options: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct StreamOptions<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::present")]
    include_usage: Option<&'a RawValue>,
}

/// The request with `stream_options.include_usage` set; `None` when it is no stream, asks already, or cannot be changed
/// safely.
pub(super) fn ask_for_usage(body: &[u8]) -> Option<Vec<u8>> {
    let field = || format!("\"stream_options\":{OPTIONS}");
    if is_plain(body) {
        return insert_first(body, 0, &field());
    }
    let request: Request<'_> = lenient::whole_object(body)?;
    if request.stream != Some(true) {
        return None;
    }
    match request.stream_options {
        None => insert_first(body, 0, &field()),
        Some(options) if options.get() == "null" => replace(body, options, OPTIONS),
        Some(options) => set_include_usage(body, options),
    }
}

/// Whether a request, which was read before as one for a stream, can only be that and has no such options: no key is
/// written with escapes.
fn is_plain(body: &[u8]) -> bool {
    static STREAM: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"stream\""));
    static ODD: LazyLock<[Finder<'static>; 2]> = LazyLock::new(|| ["\"stream_options\"", "\\u"].map(Finder::new));
    let text = body.trim_ascii();
    if !(text.starts_with(b"{") && text.ends_with(b"}")) {
        return false;
    }
    let mut stream = values(&STREAM, body);
    let streams = stream.next().is_some_and(|value| value.starts_with(b"true")) && stream.next().is_none();
    streams && ODD.iter().all(|odd| odd.find(body).is_none())
}

fn set_include_usage(body: &[u8], options: &RawValue) -> Option<Vec<u8>> {
    let fields: StreamOptions<'_> = lenient::inner_object(options)?;
    match fields.include_usage {
        None => {
            let start = position(body, options)?;
            let field = "\"include_usage\":true";
            if is_empty_within(options.get()) {
                splice(body, start + 1, start + 1, field)
            } else {
                insert_first(body, start, field)
            }
        }
        Some(value) if matches!(value.get(), "false" | "null") => replace(body, value, "true"),
        Some(_) => None,
    }
}

/// Puts a field first into the object that begins at or after `from` and has others.
fn insert_first(body: &[u8], from: usize, field: &str) -> Option<Vec<u8>> {
    let space = body.get(from..)?.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let inside = from + space + 1;
    (body.get(inside - 1) == Some(&b'{')).then_some(())?;
    splice(body, inside, inside, &format!("{field},"))
}

fn replace(body: &[u8], value: &RawValue, with: &str) -> Option<Vec<u8>> {
    let start = position(body, value)?;
    splice(body, start, start + value.get().len(), with)
}

fn splice(body: &[u8], start: usize, end: usize, with: &str) -> Option<Vec<u8>> {
    Some([body.get(..start)?, with.as_bytes(), body.get(end..)?].concat())
}

/// Where in the body a borrowed value stands.
fn position(body: &[u8], value: &RawValue) -> Option<usize> {
    let at = value.get().as_ptr().addr().checked_sub(body.as_ptr().addr())?;
    (body.get(at..at + value.get().len())? == value.get().as_bytes()).then_some(at)
}

/// Whether only whitespace stands between the brackets of a list or object.
pub(super) fn is_empty_within(json: &str) -> bool {
    let within = json.strip_prefix(['[', '{']).and_then(|json| json.strip_suffix([']', '}']));
    within.is_some_and(|within| within.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use super::ask_for_usage;

    fn asked(body: &str) -> Option<String> {
        ask_for_usage(body.as_bytes()).map(|body| String::from_utf8(body).unwrap())
    }

    #[test]
    fn usage_is_asked_for_and_every_other_byte_stays() {
        let cases = [
            (r#"{"stream":true}"#, r#"{"stream_options":{"include_usage":true},"stream":true}"#),
            (
                " \n{ \"b\" : 1e2,\"stream\" : true , \"é\":\"\\u00e9\"} ",
                " \n{\"stream_options\":{\"include_usage\":true}, \"b\" : 1e2,\"stream\" : true , \"é\":\"\\u00e9\"} ",
            ),
            (r#"{"stream":true,"stream_options":null}"#, r#"{"stream":true,"stream_options":{"include_usage":true}}"#),
            (r#"{"stream":true,"stream_options":{ }}"#, r#"{"stream":true,"stream_options":{"include_usage":true }}"#),
            (
                r#"{"stream_options":{"x":{"include_usage":false}},"stream":true}"#,
                r#"{"stream_options":{"include_usage":true,"x":{"include_usage":false}},"stream":true}"#,
            ),
            (
                r#"{"stream":true,"stream_options":{"x":1,"include_usage": false }}"#,
                r#"{"stream":true,"stream_options":{"x":1,"include_usage": true }}"#,
            ),
            (
                r#"{"messages":[{"content":"\"stream_options\":{\"include_usage\":false}"}],"stream":true}"#,
                concat!(
                    r#"{"stream_options":{"include_usage":true},"#,
                    r#""messages":[{"content":"\"stream_options\":{\"include_usage\":false}"}],"stream":true}"#
                ),
            ),
            (
                r#"{"metadata":{"stream_options":{"include_usage":false}},"str\u0065am_options":{"include_usage":false},"stream":true}"#,
                r#"{"metadata":{"stream_options":{"include_usage":false}},"str\u0065am_options":{"include_usage":true},"stream":true}"#,
            ),
        ];
        for (body, want) in cases {
            assert_eq!(asked(body).as_deref(), Some(want), "{body}");
            assert_eq!(asked(want), None, "asked once is enough: {want}");
        }
    }

    #[test]
    fn what_needs_no_asking_or_is_not_plainly_safe_is_left_alone() {
        let cases = [
            "",
            "{}",
            "[true]",
            "[true,null]",
            "{\"stream\":true",
            r#"{"stream":false}"#,
            r#"{"stream":"true"}"#,
            r#"{"stream":true,"stream":true}"#,
            r#"{"stream":true,"stream_options":{},"stream_options":{}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":false,"include_usage":false}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":"no"}}"#,
            r#"{"stream":true,"stream_options":[false]}"#,
            r#"{"stream":true,"stream_options":7}"#,
            "\u{feff}{\"stream\":true}",
        ];
        for body in cases {
            assert_eq!(asked(body), None, "{body}");
        }
    }
}
