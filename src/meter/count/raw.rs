//! Looks into JSON value by value without building it: a list of a million numbers costs no memory here.

use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Calls `take` with the name and value of each field in order; whether the text is one object to its end.
pub(super) fn fields<'a>(json: &'a str, take: impl FnMut(&str, &'a RawValue)) -> bool {
    let mut reader = serde_json::Deserializer::from_str(json);
    reader.deserialize_map(Fields(take)).and_then(|()| reader.end()).is_ok()
}

/// Calls `take` with each item of a list in order; whether the text is one list to its end.
pub(super) fn each<'a>(json: &'a str, take: impl FnMut(&'a RawValue)) -> bool {
    let mut reader = serde_json::Deserializer::from_str(json);
    reader.deserialize_seq(Each(take)).and_then(|()| reader.end()).is_ok()
}

/// The text of a string.
pub(super) fn string(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

/// What stands between the quotes of a string, with its escapes.
pub(super) fn quoted(json: &str) -> Option<&str> {
    json.strip_prefix('"')?.strip_suffix('"')
}

struct Fields<F>(F);

impl<'a, F: FnMut(&str, &'a RawValue)> Visitor<'a> for Fields<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            (self.0)(&name, value);
        }
        Ok(())
    }
}

struct Each<F>(F);

impl<'a, F: FnMut(&'a RawValue)> Visitor<'a> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(item) = list.next_element()? {
            (self.0)(item);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{each, fields};

    #[test]
    fn values_come_in_order_and_a_broken_text_is_told() {
        let mut seen = Vec::new();
        assert!(fields(r#"{"a":[1, 2],"b":"x"}"#, |name, value| seen.push(format!("{name}={}", value.get()))));
        assert_eq!(seen, ["a=[1, 2]", r#"b="x""#]);
        let mut seen = Vec::new();
        assert!(each("[1,[2],{}]", |item| seen.push(item.get())));
        assert_eq!(seen, ["1", "[2]", "{}"]);
        for broken in ["", "{", "{}x", "[]", "1", r#"{"a"}"#] {
            assert!(!fields(broken, |_, _| ()), "{broken}");
        }
        for broken in ["", "[", "[1", "{}", "[1]]"] {
            assert!(!each(broken, |_| ()), "{broken}");
        }
    }
}
