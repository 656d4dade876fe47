//! Deserialisers that never fail on a value's type: an odd value of a field that we only report is no value.
//!
//! Providers send counts as `12.0`, details as `null` or `""`, and temperatures as strings. None of that may cost us
//! the fields beside it.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

#[cfg(test)]
thread_local! {
    /// How many texts this thread has parsed whole: what a cheap look is to rule out.
    pub(super) static PARSED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Any value of the wanted type, else none.
pub(super) fn value<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let raw = Option::<&'de RawValue>::deserialize(deserializer)?;
    Ok(raw.and_then(|raw| serde_json::from_str(raw.get()).ok()))
}

/// A count: a whole number that is not negative, whether written `12` or `12.0`.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let raw = Option::<&'de RawValue>::deserialize(deserializer)?;
    Ok(raw.and_then(|raw| number(raw.get())))
}

/// An object read as `T`, else none. A list is no object, though serde would read it as the fields in order.
pub(super) fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let raw = Option::<&'de RawValue>::deserialize(deserializer)?;
    Ok(raw.and_then(inner_object))
}

/// A whole JSON text that is an object read as `T`.
pub(super) fn whole_object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Option<T> {
    #[cfg(test)]
    PARSED.set(PARSED.get() + 1);
    // Looked at once as a whole, its parts need not be looked at again. A stray byte may still lie where nobody reads.
    match std::str::from_utf8(json) {
        Ok(text) => object_of(text),
        Err(_) => json.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(json).ok())?,
    }
}

/// As [`whole_object`], of a value that was taken as it stands.
pub(super) fn inner_object<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    object_of(raw.get())
}

fn object_of<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    json.trim_ascii_start().starts_with('{').then(|| serde_json::from_str(json).ok())?
}

/// The value as it stands, `null` included, so that `null` and absent can be told apart.
pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// A JSON string's text; none for any other value or an empty text.
pub(super) fn text(raw: Option<&RawValue>) -> Option<String> {
    raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok()).filter(|text| !text.is_empty())
}

/// A count as [`count`] reads it, from its JSON text.
pub(super) fn number(text: &str) -> Option<u64> {
    // Beyond 2^53 a float no longer says which whole number is meant.
    let whole = |n: &f64| n.fract() == 0.0 && (0.0..9.0e15).contains(n);
    text.parse().ok().or_else(|| text.parse::<f64>().ok().filter(whole).map(|n| n as u64))
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn a_count_is_a_whole_number_that_is_not_negative() {
        let cases = [
            ("0", Some(0)),
            ("12", Some(12)),
            ("12.0", Some(12)),
            ("1.2e1", Some(12)),
            ("12.5", None),
            ("-1", None),
            ("1e308", None),
            ("\"12\"", None),
            ("{}", None),
        ];
        for (text, want) in cases {
            assert_eq!(number(text), want, "{text}");
        }
    }
}
