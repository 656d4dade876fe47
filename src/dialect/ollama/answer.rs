//! An object of an Ollama stream, or a whole answer, which is the same object once.
//!
//! Each part is taken as raw JSON first and read on its own, so that an odd part costs its own facts and no others.

use std::fmt::Write;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::scan::{Raw, part, string};
use crate::dialect::{Counts, Flags, Place, Reading, lenient};

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    model: Raw<'a>,
    #[serde(borrow, default)]
    message: Raw<'a>,
    // `/api/generate` has its text here, without a message around it
    #[serde(borrow, default)]
    response: Raw<'a>,
    #[serde(borrow, default)]
    thinking: Raw<'a>,
    #[serde(default, deserialize_with = "lenient::value")]
    done: Option<bool>,
    #[serde(borrow, default)]
    done_reason: Raw<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
    #[serde(borrow, default)]
    total_duration: Raw<'a>,
    #[serde(borrow, default)]
    load_duration: Raw<'a>,
    #[serde(borrow, default)]
    prompt_eval_count: Raw<'a>,
    #[serde(borrow, default)]
    prompt_eval_duration: Raw<'a>,
    #[serde(borrow, default)]
    eval_count: Raw<'a>,
    #[serde(borrow, default)]
    eval_duration: Raw<'a>,
}

#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    content: Raw<'a>,
    #[serde(borrow, default)]
    thinking: Raw<'a>,
    #[serde(borrow, default)]
    tool_calls: Raw<'a>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow, default)]
    function: Raw<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Raw<'a>,
    #[serde(borrow, default)]
    arguments: Raw<'a>,
}

/// Reads a payload; what cannot be read sets a flag.
pub(super) fn read(payload: &[u8], reading: &mut Reading) {
    let Some(answer) = lenient::whole_object::<Answer<'_>>(payload) else {
        return reading.flag(Flags::METER_ERROR);
    };
    if reading.model_served.is_none() {
        reading.served(lenient::text(answer.model));
    }
    if answer.error.is_some_and(|error| error.get() != "null") {
        // There are no codes, and the text may quote the prompt.
        reading.failed("error".to_owned());
    }
    take_counts(&answer, reading);
    reading.finished(lenient::text(answer.done_reason));
    answer.note(reading);
    reading.done |= answer.done == Some(true);
}

fn take_counts(answer: &Answer<'_>, reading: &mut Reading) {
    let count = |raw: Raw<'_>| raw.and_then(|raw| lenient::number(raw.get()));
    let (input, output) = (count(answer.prompt_eval_count), count(answer.eval_count));
    let places = (Place::Inside, Place::Inside);
    let counts = Counts { input, output, cache: places.0, thought: places.1, ..Counts::default() };
    if !counts.is_empty()
        && let Some(raw) = answer.figures()
    {
        reading.reported(&counts, &raw);
    }
}

impl Answer<'_> {
    /// The counts and durations as they were written: they stand beside the text, so there is no object of them to keep.
    fn figures(&self) -> Option<Box<RawValue>> {
        let named = [
            ("total_duration", self.total_duration),
            ("load_duration", self.load_duration),
            ("prompt_eval_count", self.prompt_eval_count),
            ("prompt_eval_duration", self.prompt_eval_duration),
            ("eval_count", self.eval_count),
            ("eval_duration", self.eval_duration),
        ];
        let mut object = String::with_capacity(256);
        object.push('{');
        for (name, raw) in named {
            // A figure is short; what is not is none.
            let Some(raw) = raw.filter(|raw| raw.get().len() <= 32) else { continue };
            let comma = if object.len() > 1 { "," } else { "" };
            // Writing into a string cannot fail.
            let _ = write!(object, "{comma}\"{name}\":{}", raw.get());
        }
        object.push('}');
        RawValue::from_string(object).ok()
    }

    fn note(&self, reading: &mut Reading) {
        reading.content(string(self.thinking));
        reading.content(string(self.response));
        if let Some(message) = part::<Message<'_>>(self.message, reading) {
            message.note(reading);
        }
    }
}

impl Message<'_> {
    pub(super) fn note(&self, reading: &mut Reading) {
        reading.content(string(self.thinking));
        reading.content(string(self.content));
        for call in part::<Vec<ToolCall<'_>>>(self.tool_calls, reading).unwrap_or_default() {
            let Some(function) = part::<Function<'_>>(call.function, reading) else { continue };
            // The model writes the name too, but only arguments are content.
            reading.side_text(string(function.name));
            reading.content(function.arguments.map(RawValue::get).unwrap_or_default());
        }
    }
}
