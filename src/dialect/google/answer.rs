//! A whole answer or one object of a stream: both have the same shape.
//!
//! Every object carries usage, so there is nothing that a glance could rule out: it is parsed once, with texts left as
//! they stand, or only compared where it is like the one before but for its text and its numbers. Only where that fails is each
//! candidate read on its own, so that an odd one costs its own facts only.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::usage::GoogleUsage;
use crate::dialect::scan::{Raw, string};
use crate::dialect::{Flags, Reading, lenient};

/// `C` is what is made of the candidates.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "C: Deserialize<'de>"))]
struct Answer<'a, C> {
    #[serde(default = "none")]
    candidates: Option<C>,
    #[serde(borrow, default)]
    usage_metadata: Raw<'a>,
    #[serde(borrow, default)]
    model_version: Raw<'a>,
    #[serde(borrow, default)]
    prompt_feedback: Raw<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(borrow, default)]
    content: Option<Content<'a>>,
    #[serde(borrow, default)]
    finish_reason: Raw<'a>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    parts: Option<Vec<Part<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    /// Also of thoughts.
    #[serde(borrow, default)]
    text: Raw<'a>,
    #[serde(borrow, default)]
    function_call: Raw<'a>,
    #[serde(borrow, default)]
    executable_code: Raw<'a>,
    #[serde(borrow, default)]
    inline_data: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call<'a> {
    #[serde(borrow, default)]
    name: Raw<'a>,
    #[serde(borrow, default)]
    args: Raw<'a>,
    /// Vertex streams arguments in pieces where it is asked to.
    #[serde(borrow, default)]
    partial_args: Option<Vec<Piece<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
struct Piece<'a> {
    #[serde(borrow, default)]
    string_value: Raw<'a>,
    #[serde(borrow, default)]
    number_value: Raw<'a>,
    #[serde(borrow, default)]
    bool_value: Raw<'a>,
}

#[derive(Deserialize)]
struct Code<'a> {
    #[serde(borrow, default)]
    code: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback<'a> {
    #[serde(borrow, default)]
    block_reason: Raw<'a>,
}

#[derive(Deserialize)]
struct ErrorOnly<'a> {
    #[serde(borrow, default)]
    error: Raw<'a>,
}

#[derive(Deserialize)]
struct ErrorObject<'a> {
    #[serde(borrow, default)]
    status: Raw<'a>,
    #[serde(borrow, default)]
    code: Raw<'a>,
}

fn none<C>() -> Option<C> {
    None
}

/// Reads one object; what cannot be read sets a flag.
pub(super) fn read(object: &[u8], reading: &mut Reading) {
    if let Some(answer) = lenient::whole_object::<Answer<'_, Vec<Candidate<'_>>>>(object) {
        take(&answer, reading);
        answer.candidates.iter().flatten().for_each(|candidate| take_candidate(candidate, reading));
        reading.nothing_but_usage(GoogleUsage::read);
    } else if let Some(answer) = lenient::whole_object::<Answer<'_, &RawValue>>(object) {
        reading.flag(Flags::METER_ERROR);
        take(&answer, reading);
        let candidates = answer.candidates.and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok());
        for raw in candidates.unwrap_or_default() {
            if let Ok(candidate) = serde_json::from_str(raw.get()) {
                take_candidate(&candidate, reading);
            }
        }
    } else {
        reading.flag(Flags::METER_ERROR);
    }
}

/// Reads each object of a list.
pub(super) fn read_list(list: &[u8], reading: &mut Reading, read: fn(&[u8], &mut Reading)) {
    let Ok(objects) = serde_json::from_slice::<Vec<&RawValue>>(list) else {
        return reading.flag(Flags::METER_ERROR);
    };
    for object in objects {
        read(object.get().as_bytes(), reading);
    }
}

/// Reads the error of an object whose other parts mean nothing here.
pub(super) fn read_error(object: &[u8], reading: &mut Reading) {
    take_error(lenient::whole_object::<ErrorOnly<'_>>(object).and_then(|answer| answer.error), reading);
}

/// Notes an error's status, else its code. Its text is not for events: it may quote the prompt.
pub(super) fn take_error(raw: Raw<'_>, reading: &mut Reading) {
    let Some(raw) = raw else { return };
    let error = lenient::inner_object::<ErrorObject<'_>>(raw);
    let code = error.and_then(|error| {
        let number = || error.code?.get().parse::<i64>().ok().map(|code| code.to_string());
        lenient::text(error.status).or_else(|| lenient::text(error.code)).or_else(number)
    });
    reading.failed(code.unwrap_or_else(|| "error".to_owned()));
}

fn take<C>(answer: &Answer<'_, C>, reading: &mut Reading) {
    // Looked at only as long as it is not known: every object names it.
    if reading.model_served.is_none() {
        reading.served(lenient::text(answer.model_version));
    }
    if let Some(raw) = answer.usage_metadata {
        match GoogleUsage::read(raw) {
            Some(counts) => reading.reported(&counts, raw),
            None => reading.flag(Flags::METER_ERROR),
        }
    }
    if let Some(feedback) = part::<Feedback<'_>>(answer.prompt_feedback) {
        reading.finished(lenient::text(feedback.block_reason));
    }
    take_error(answer.error, reading);
}

fn take_candidate(candidate: &Candidate<'_>, reading: &mut Reading) {
    for part in candidate.content.iter().filter_map(|content| content.parts.as_ref()).flatten() {
        take_part(part, reading);
    }
    let reason = candidate.finish_reason.and_then(|raw| lenient::text(Some(raw)));
    // Written where it is not set.
    reading.finished(reason.filter(|reason| reason != "FINISH_REASON_UNSPECIFIED"));
}

fn take_part(generated: &Part<'_>, reading: &mut Reading) {
    reading.content(string(generated.text));
    if let Some(call) = part::<Call<'_>>(generated.function_call) {
        take_call(&call, reading);
    }
    if let Some(code) = part::<Code<'_>>(generated.executable_code) {
        reading.content(string(code.code));
    }
    // A picture or sound: content, but no text.
    reading.had_content |= generated.inline_data.is_some_and(|data| data.get() != "null");
}

fn take_call(call: &Call<'_>, reading: &mut Reading) {
    // A call comes whole, often without arguments, so that its name is as much content as they are.
    reading.content(string(call.name));
    reading.content(call.args.map(RawValue::get).filter(|args| *args != "null").unwrap_or_default());
    for piece in call.partial_args.iter().flatten() {
        reading.content(string(piece.string_value));
        for raw in [piece.number_value, piece.bool_value].into_iter().flatten() {
            reading.content(raw.get());
        }
    }
}

fn part<'a, T: Deserialize<'a>>(raw: Raw<'a>) -> Option<T> {
    lenient::inner_object(raw?)
}
