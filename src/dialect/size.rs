//! How many bytes of a request are text that a model reads, for estimates.
//!
//! Embedded files do not count: an image of a megabyte costs about as many tokens as one of a kilobyte. They are told by
//! what they are, long strings of base64, so it does not matter under which name a format keeps them.

use memchr::{memchr, memchr2};

use super::scan::Raw;

/// A shorter string is text, whatever it looks like.
const SHORTEST_FILE: usize = 512;
/// This much of a string is looked at.
const LOOKED_AT: usize = 256;

/// As [`text_bytes`], of parts of a request together.
pub(super) fn of_parts<'a>(parts: impl IntoIterator<Item = Raw<'a>>) -> u64 {
    parts.into_iter().flatten().map(|raw| text_bytes(raw.get().as_bytes())).sum()
}

/// The bytes of a JSON text without the base64 strings in it.
pub(super) fn text_bytes(json: &[u8]) -> u64 {
    let mut files = 0;
    let mut rest = json;
    while let Some(quote) = memchr(b'"', rest) {
        let after = rest.get(quote + 1..).unwrap_or_default();
        let length = string_length(after);
        let string = after.get(..length).unwrap_or_default();
        if is_file(string) {
            files += length;
        }
        rest = after.get(length + 1..).unwrap_or_default();
    }
    (json.len() - files) as u64
}

/// Where the string that begins here ends.
fn string_length(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        if text.get(at + found) == Some(&b'"') {
            return at + found;
        }
        at += found + 2;
    }
    text.len()
}

fn is_file(string: &[u8]) -> bool {
    if string.len() < SHORTEST_FILE {
        return false;
    }
    let start = string.get(..LOOKED_AT).unwrap_or_default();
    let data_url = start.starts_with(b"data:").then(|| memchr(b',', start)).flatten();
    let start = data_url.and_then(|comma| start.get(comma + 1..)).unwrap_or(start);
    start.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'='))
}

#[cfg(test)]
mod tests {
    use super::text_bytes;

    #[test]
    fn base64_does_not_count_wherever_it_stands_and_text_does() {
        let file = "iVBORw0KGgo".repeat(100);
        for json in [
            format!(r#"[{{"type":"base64","data":"{file}"}}]"#),
            format!(r#"[{{"images":["{file}"]}}]"#),
            format!(r#"[{{"url":"data:image/png;base64,{file}"}}]"#),
        ] {
            assert!(text_bytes(json.as_bytes()) < 60, "{json}");
        }
        let text = "This is text, with spaces. ".repeat(100);
        let json = format!(r#"{{"type":"text","data":"{text}"}}"#);
        assert_eq!(text_bytes(json.as_bytes()), json.len() as u64);
        let short = r#"{"id":"toolu_01ERcBqAvLTHWQDk9c9qJLWC"}"#;
        assert_eq!(text_bytes(short.as_bytes()), short.len() as u64);
    }

    #[test]
    fn odd_strings_are_no_trouble() {
        for json in [r#"{"a":"\"#, r#"""#, r#"{"a":"\\\"x","b":"y"}"#, "", r#"{"a":"x"#] {
            assert!(text_bytes(json.as_bytes()) <= json.len() as u64, "{json}");
        }
    }
}
