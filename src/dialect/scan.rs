//! Finding a value in JSON by its key, without parsing what surrounds it.
//!
//! Searching for a quoted key cannot be fooled by text, because a quote inside a JSON string is escaped. It does not know
//! how deep a key stands, so a dialect uses it only where its format leaves no doubt.

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Flags, Reading};

/// A part of a payload that is read on its own, so that an odd one costs its own facts and no others.
pub(super) type Raw<'a> = Option<&'a RawValue>;

/// What follows each occurrence of a quoted key, from its value on.
pub(super) fn values<'a>(key: &'a Finder<'_>, payload: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let length = key.needle().len();
    key.find_iter(payload).filter_map(move |at| {
        // Without a colon it is a value, not a key.
        let after = payload.get(at + length..)?.trim_ascii_start();
        after.strip_prefix(b":").map(<[u8]>::trim_ascii_start)
    })
}

/// Everything that may be a key: what stands before its closing quote, and what follows its colon.
pub(super) fn keys(payload: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    memchr::memchr_iter(b':', payload).filter_map(|at| {
        let (before, after) = payload.split_at_checked(at)?;
        Some((before.trim_ascii_end().strip_suffix(b"\"")?, after.get(1..)?.trim_ascii_start()))
    })
}

/// Reads the value that these bytes begin with.
pub(super) fn first_value<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Option<T> {
    T::deserialize(&mut serde_json::Deserializer::from_slice(json)).ok()
}

/// What stands between the quotes of a string of which `text` is what follows the first quote, and what follows the last.
pub(super) fn string_at(text: &[u8]) -> Option<(&str, &[u8])> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        let (string, rest) = text.split_at_checked(at)?;
        if let Some(rest) = rest.strip_prefix(b"\"") {
            return Some((std::str::from_utf8(string).ok()?, rest));
        }
        // A backslash, and what it escapes.
        at += 2;
    }
}

/// As [`string_at`], but only what JSON allows in a string, and quickly where no byte of it is special.
pub(super) fn content_at(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (string, rest) = text.split_at_checked(memchr::memchr2(b'"', b'\\', text)?)?;
    if let Some(rest) = rest.strip_prefix(b"\"")
        && is_printable(string)
    {
        return Some((string, rest));
    }
    let (string, rest) = string_at(text)?;
    is_string_content(string).then_some((string.as_bytes(), rest))
}

/// Whether all of it is ASCII and no control character. It may say no to what is both, never yes to what is not.
fn is_printable(bytes: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const SPACES: u64 = 0x2020_2020_2020_2020;
    // Eight at a time: where a byte has its highest bit, or is less than a space and so borrows it, that bit is left.
    let (eights, rest) = bytes.as_chunks::<8>();
    let odd = eights.iter().fold(0, |odd, eight| {
        let eight = u64::from_le_bytes(*eight);
        odd | eight | eight.wrapping_sub(SPACES)
    });
    odd & HIGH == 0 && rest.iter().all(|byte| (b' '..0x80).contains(byte))
}

/// Whether a string may have this between its quotes (RFC 8259, section 7).
pub(super) fn is_string_content(text: &str) -> bool {
    let mut rest = text.as_bytes();
    if rest.iter().any(|byte| *byte < 0x20) {
        return false;
    }
    while let Some(at) = memchr::memchr(b'\\', rest) {
        rest = match rest.get(at + 1..).unwrap_or_default() {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', rest @ ..] => rest,
            [b'u', a, b, c, d, rest @ ..] if [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit) => rest,
            _ => return false,
        };
    }
    true
}

/// Whether an object begins with the field `type` of this value, as the formats with typed events write it.
pub(super) fn begins_with_type(payload: &[u8], kind: &[u8]) -> bool {
    let rest = payload.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    let rest = rest.and_then(|rest| rest.strip_prefix(b"\"type\"")).map(<[u8]>::trim_ascii_start);
    let rest = rest.and_then(|rest| rest.strip_prefix(b":")).map(<[u8]>::trim_ascii_start);
    let value = rest.and_then(|rest| rest.strip_prefix(b"\"")).and_then(|rest| rest.strip_prefix(kind));
    value.is_some_and(|after| after.starts_with(b"\""))
}

/// What stands between the quotes of a string; nothing for any other value or none.
pub(super) fn string(raw: Raw<'_>) -> &str {
    raw.and_then(unquoted).unwrap_or_default()
}

/// What stands between the quotes, when it is a string.
pub(super) fn unquoted(raw: &RawValue) -> Option<&str> {
    raw.get().strip_prefix('"')?.strip_suffix('"')
}

/// A part that is there and not `null`, read; an odd one sets a flag.
pub(super) fn part<'a, T: Deserialize<'a>>(raw: Raw<'a>, reading: &mut Reading) -> Option<T> {
    let read = serde_json::from_str::<Option<T>>(raw?.get());
    if read.is_err() {
        reading.flag(Flags::METER_ERROR);
    }
    read.ok().flatten()
}

#[cfg(test)]
mod tests {
    use memchr::memmem::Finder;

    use super::{begins_with_type, content_at, is_printable, is_string_content, keys, string_at, values};

    #[test]
    fn a_key_is_found_and_the_same_word_as_a_value_or_in_a_text_is_not() {
        let key = Finder::new(b"\"delta\"");
        let payload = br#"{"a":"delta","b":"\"delta\":1","delta" : {"x":1}}"#;
        assert_eq!(values(&key, payload).collect::<Vec<_>>(), [br#"{"x":1}}"#]);
    }

    #[test]
    fn a_key_ends_before_a_colon_and_a_quoted_word_in_a_text_is_none() {
        let payload = br#"{"a":"delta","b":"\"delta\":1","delta" : {"x":1}}"#;
        let deltas = keys(payload).filter(|(key, _)| key.ends_with(b"\"delta"));
        assert_eq!(deltas.map(|(_, value)| value).collect::<Vec<_>>(), [br#"{"x":1}}"#]);
    }

    #[test]
    fn a_string_ends_at_the_first_quote_that_is_not_escaped() {
        assert_eq!(string_at(br#"a b","c""#), Some(("a b", br#","c""#.as_slice())));
        assert_eq!(string_at(br#"a\"b\\" c"#), Some((r#"a\"b\\"#, b" c".as_slice())));
        assert_eq!(string_at(b"\""), Some(("", b"".as_slice())));
        for broken in [b"".as_slice(), b"a", b"a\\", b"a\\\"", b"\xff\""] {
            assert_eq!(string_at(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn a_string_holds_what_serde_json_takes() {
        for text in
            ["", "a é", r#"\"\\\/\b\f\n\r\t"#, r"\u00e9\uD800x", "\u{1}", "a\nb", r"\q", r"\", r"\u12g4", r"\u123"]
        {
            let quoted = format!("\"{text}\"");
            let taken = serde_json::from_str::<&serde_json::value::RawValue>(&quoted);
            assert_eq!(is_string_content(text), taken.is_ok(), "{text:?}");
            let content = content_at(&quoted.as_bytes()[1..]);
            assert_eq!(content, taken.is_ok().then_some((text.as_bytes(), b"".as_slice())), "{text:?}");
        }
    }

    #[test]
    fn no_control_character_and_nothing_beyond_ascii_is_taken_for_printable() {
        for byte in 0..=u8::MAX {
            for at in 0..17 {
                let mut text = [b'a'; 17];
                text[at] = byte;
                let ascii = (b' '..0x80).contains(&byte);
                assert!(!is_printable(&text) || ascii, "{byte} at {at}");
                assert_eq!(is_printable(&text), ascii, "{byte} at {at}: one alone is never mistaken");
            }
        }
    }

    #[test]
    fn the_type_is_seen_where_it_comes_first() {
        assert!(begins_with_type(br#"{"type":"ping"}"#, b"ping"));
        assert!(begins_with_type(b"{ \"type\" : \"ping\", \"a\":1}", b"ping"));
        assert!(!begins_with_type(br#"{"type":"pings"}"#, b"ping"));
        assert!(!begins_with_type(br#"{"a":1,"type":"ping"}"#, b"ping"));
    }
}
