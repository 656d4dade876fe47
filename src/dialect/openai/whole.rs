//! A whole answer that reports its usage, as most are: one parse passes over its text, which nobody needs then.
//!
//! It must be as the format says, with every field of the right type and nothing in it that asks for a closer look;
//! otherwise nothing is read here and the full parse sees it anew.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::answer::take_usage;
use crate::dialect::Reading;

#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    usage: &'a RawValue,
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
    error: Option<IgnoredAny>,
    x_groq: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    finish_reason: Cow<'a, str>,
    #[expect(dead_code, reason = "without it this is no whole answer")]
    message: IgnoredAny,
    usage: Option<IgnoredAny>,
}

static MESSAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"message\""));

/// Reads a whole answer if it is plain; whether it was.
pub(super) fn read(payload: &[u8], reading: &mut Reading) -> bool {
    // A stream's chunks have a `delta` instead: they are not worth the attempt.
    let whole = (payload.starts_with(b"{") && MESSAGE.find(payload).is_some())
        .then(|| std::str::from_utf8(payload).ok())
        .flatten();
    let Some(answer) = whole.and_then(|text| serde_json::from_str::<Whole<'_>>(text).ok()) else { return false };
    let closer =
        answer.error.is_some() || answer.x_groq.is_some() || answer.choices.iter().any(|one| one.usage.is_some());
    if closer || !answer.usage.get().starts_with('{') {
        return false;
    }
    take_usage(answer.usage, reading);
    if !reading.has_usage() {
        // Without a single number in it, the text may have to be counted.
        return false;
    }
    reading.served(said(answer.model));
    answer.choices.into_iter().for_each(|choice| reading.finished(said(choice.finish_reason)));
    true
}

fn said(text: Cow<'_, str>) -> Option<String> {
    (!text.is_empty()).then(|| text.into_owned())
}
