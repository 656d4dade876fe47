//! A whole UsageGuard answer or a chunk of its stream.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::scan::{Raw, string, unquoted};
use crate::dialect::{Counts, Flags, Place, Reading, lenient};

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    model: Raw<'a>,
    #[serde(borrow, default)]
    model_id: Raw<'a>,
    #[serde(borrow, default)]
    content: Raw<'a>,
    #[serde(borrow, default)]
    message: Raw<'a>,
    #[serde(borrow, default)]
    usage: Raw<'a>,
    #[serde(borrow, default)]
    stop_reason: Raw<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Raw<'a>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Raw<'a>,
}

#[derive(Deserialize)]
struct ErrorObject<'a> {
    #[serde(borrow, default)]
    code: Raw<'a>,
}

/// Its tables say one thing and its examples another.
#[derive(Deserialize)]
struct UsageObject {
    #[serde(default, rename = "inputTokens", deserialize_with = "lenient::count")]
    input: Option<u64>,
    #[serde(default, rename = "outputTokens", deserialize_with = "lenient::count")]
    output: Option<u64>,
    #[serde(default, rename = "totalTokens", deserialize_with = "lenient::count")]
    total: Option<u64>,
    #[serde(default, rename = "prompt_tokens", deserialize_with = "lenient::count")]
    prompt: Option<u64>,
    #[serde(default, rename = "completion_tokens", deserialize_with = "lenient::count")]
    completion: Option<u64>,
    #[serde(default, rename = "total_tokens", deserialize_with = "lenient::count")]
    total_snake: Option<u64>,
}

/// Reads a payload; what cannot be read sets a flag.
pub(super) fn read(payload: &[u8], reading: &mut Reading) {
    if payload.starts_with(b"[DONE]") {
        reading.done = true;
    } else if let Some(answer) = lenient::whole_object::<Answer<'_>>(payload) {
        take(&answer, reading);
    } else if !payload.is_empty() && !salvage(payload, reading) {
        reading.flag(Flags::METER_ERROR);
    }
}

fn take(answer: &Answer<'_>, reading: &mut Reading) {
    reading.served(lenient::text(answer.model_id).or_else(|| lenient::text(answer.model)));
    reading.finished(lenient::text(answer.stop_reason));
    if let Some(raw) = answer.usage {
        take_usage(raw, reading);
    }
    if let Some(raw) = answer.error.filter(|raw| raw.get() != "null") {
        let object = lenient::inner_object::<ErrorObject<'_>>(raw);
        let code = object.and_then(|object| lenient::text(object.code));
        reading.failed(code.unwrap_or_else(|| "error".to_owned()));
    }
    let message = answer.message.and_then(lenient::inner_object::<Message<'_>>);
    for text in [answer.content, message.and_then(|message| message.content)].into_iter().flatten() {
        take_text(text, reading);
    }
}

fn take_usage(raw: &RawValue, reading: &mut Reading) {
    let Some(usage) = lenient::inner_object::<UsageObject>(raw) else { return };
    let counts = Counts {
        input: usage.input.or(usage.prompt),
        output: usage.output.or(usage.completion),
        total: usage.total.or(usage.total_snake),
        cache: Place::Inside,
        thought: Place::Inside,
        ..Counts::default()
    };
    reading.reported(&counts, raw);
}

pub(super) fn take_text(raw: &RawValue, reading: &mut Reading) {
    if let Some(text) = unquoted(raw) {
        return reading.content(text);
    }
    for part in serde_json::from_str::<Vec<Part<'_>>>(raw.get()).unwrap_or_default() {
        reading.content(string(part.text));
    }
}

/// Reads what is left of chunks that were cut at a line end within their JSON: the usage that stands on the first line,
/// and the end. Whether this is such a piece.
fn salvage(payload: &[u8], reading: &mut Reading) -> bool {
    const MARK: &[u8] = b"{\"schema\":\"inference.response.";
    const USAGE: &[u8] = b"\"usage\":";
    if !payload.starts_with(MARK) {
        return false;
    }
    for at in memchr::memmem::find_iter(payload, USAGE) {
        let value = payload.get(at + USAGE.len()..).unwrap_or_default();
        if let Ok(raw) = <&RawValue>::deserialize(&mut serde_json::Deserializer::from_slice(value)) {
            take_usage(raw, reading);
        }
    }
    reading.done |= payload.ends_with(b"\n[DONE]");
    true
}
