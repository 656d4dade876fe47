//! A whole answer or a chunk of a stream, parsed.
//!
//! Each part is taken as raw JSON first and read on its own, so that an odd part costs its own facts and no others.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::splice::is_empty_within;
use super::usage::{Timings, UsageObject};
use crate::dialect::scan::{Raw, part, string, unquoted};
use crate::dialect::{Flags, Reading, lenient};

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    model: Raw<'a>,
    #[serde(borrow, default)]
    usage: Raw<'a>,
    #[serde(borrow, default)]
    x_groq: Raw<'a>,
    #[serde(borrow, default)]
    choices: Raw<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
    #[serde(borrow, default)]
    timings: Raw<'a>,
}

/// Groq repeats usage here, and in streams had it only here.
#[derive(Deserialize)]
struct XGroq<'a> {
    #[serde(borrow, default)]
    usage: Raw<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    finish_reason: Raw<'a>,
    #[serde(borrow, default)]
    delta: Raw<'a>,
    #[serde(borrow, default)]
    message: Raw<'a>,
    #[serde(borrow, default)]
    text: Raw<'a>,
    // Moonshot's streams have it here.
    #[serde(borrow, default)]
    usage: Raw<'a>,
}

/// What was generated: a stream's `delta` or a whole answer's `message`.
#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    content: Raw<'a>,
    #[serde(borrow, default)]
    reasoning_content: Raw<'a>,
    #[serde(borrow, default)]
    reasoning: Raw<'a>,
    #[serde(borrow, default)]
    refusal: Raw<'a>,
    #[serde(borrow, default)]
    tool_calls: Raw<'a>,
    #[serde(borrow, default)]
    function_call: Raw<'a>,
    #[serde(borrow, default)]
    audio: Raw<'a>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow, default)]
    function: Raw<'a>,
    // OpenAI's custom tools.
    #[serde(borrow, default)]
    custom: Raw<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Raw<'a>,
    #[serde(borrow, default, alias = "input")]
    arguments: Raw<'a>,
}

/// A part of a content list. Mistral wraps reasoning as a list of parts in `thinking`.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Raw<'a>,
    #[serde(borrow, default)]
    thinking: Raw<'a>,
}

#[derive(Deserialize)]
struct Audio<'a> {
    #[serde(borrow, default)]
    transcript: Raw<'a>,
    #[serde(borrow, default)]
    data: Raw<'a>,
}

#[derive(Default, Deserialize)]
struct ErrorObject<'a> {
    #[serde(borrow, default)]
    code: Raw<'a>,
    #[serde(borrow, default, rename = "type")]
    kind: Raw<'a>,
}

/// Reads a payload; what cannot be read sets a flag.
pub(super) fn read(payload: &[u8], reading: &mut Reading) {
    match lenient::whole_object::<Answer<'_>>(payload) {
        Some(answer) => take(&answer, reading),
        None => reading.flag(Flags::METER_ERROR),
    }
}

fn take(answer: &Answer<'_>, reading: &mut Reading) {
    reading.served(lenient::text(answer.model));
    let groq = part::<XGroq<'_>>(answer.x_groq, reading);
    let choices = part::<Vec<Choice<'_>>>(answer.choices, reading).unwrap_or_default();
    let in_choice = choices.iter().rev().find_map(|choice| choice.usage);
    let in_groq = groq.as_ref().and_then(|groq| groq.usage);
    if let Some(raw) = answer.usage.or(in_groq).or(in_choice) {
        take_usage(raw, reading);
    } else if let Some(raw) = answer.timings.filter(|_| reading.wants_timings()) {
        take_timings(raw, reading);
    }
    let nothing = answer.choices.is_some_and(|choices| is_empty_within(choices.get()));
    let asked_for = nothing && answer.error.is_none();
    reading.usage_alone = asked_for && answer.usage.is_some_and(|usage| usage.get().starts_with('{'));
    if let Some(raw) = answer.error.or(groq.and_then(|groq| groq.error)) {
        reading.failed(error_code(raw));
    }
    for choice in &choices {
        reading.finished(lenient::text(choice.finish_reason));
        // A whole answer that reports its usage: its text is neither counted nor timed, so it need not be read.
        if !(choice.message.is_some() && reading.has_usage()) {
            take_choice(choice, reading);
        }
    }
}

/// Notes a usage object.
pub(super) fn take_usage(raw: &RawValue, reading: &mut Reading) {
    let Some(usage) = lenient::inner_object::<UsageObject<'_>>(raw) else {
        return reading.flag(Flags::METER_ERROR);
    };
    reading.reported(&usage.counts(), raw);
    reading.provider_cost = usage.cost().or(reading.provider_cost);
}

/// llama.cpp's own numbers, for a stream that was not asked for usage.
fn take_timings(raw: &RawValue, reading: &mut Reading) {
    if let Some(timings) = lenient::inner_object::<Timings>(raw) {
        reading.timed(&timings.counts(), raw);
    }
}

fn take_choice(choice: &Choice<'_>, reading: &mut Reading) {
    take_text(choice.text, reading);
    for raw in [choice.delta, choice.message] {
        if let Some(message) = part::<Message<'_>>(raw, reading) {
            take_message(&message, reading);
        }
    }
}

/// Notes what a message or delta carries.
pub(super) fn take_message(message: &Message<'_>, reading: &mut Reading) {
    // Some send the same reasoning under both names.
    let reasoning = message.reasoning_content.filter(|raw| raw.get() != "\"\"").or(message.reasoning);
    for text in [reasoning, message.content, message.refusal] {
        take_text(text, reading);
    }
    if message.tool_calls.is_some() {
        for call in part::<Vec<ToolCall<'_>>>(message.tool_calls, reading).unwrap_or_default() {
            take_function(call.function.or(call.custom), reading);
        }
    }
    take_function(message.function_call, reading);
    if let Some(audio) = part::<Audio<'_>>(message.audio, reading) {
        take_text(audio.transcript, reading);
        reading.had_content |= !string(audio.data).is_empty();
    }
}

fn take_function(raw: Raw<'_>, reading: &mut Reading) {
    let Some(function) = part::<Function<'_>>(raw, reading) else { return };
    // The model writes the name too, but only arguments are content.
    reading.side_text(string(function.name));
    match function.arguments {
        Some(raw) if raw.get().starts_with('{') => reading.content(raw.get()),
        arguments => take_text(arguments, reading),
    }
}

/// Notes a text: a string, or a list of parts with texts.
pub(super) fn take_text(raw: Raw<'_>, reading: &mut Reading) {
    let Some(raw) = raw else { return };
    if let Some(text) = unquoted(raw) {
        return reading.content(text);
    }
    if !raw.get().starts_with('[') {
        return;
    }
    for item in part::<Vec<Part<'_>>>(Some(raw), reading).unwrap_or_default() {
        reading.content(string(item.text));
        let Some(thinking) = item.thinking else { continue };
        reading.content(unquoted(thinking).unwrap_or_default());
        if thinking.get().starts_with('[') {
            for thought in part::<Vec<Part<'_>>>(Some(thinking), reading).unwrap_or_default() {
                reading.content(string(thought.text));
            }
        }
    }
}

/// An error's code, else its type. Its text is not for events: it may quote the prompt.
pub(super) fn error_code(raw: &RawValue) -> String {
    let object = serde_json::from_str::<ErrorObject<'_>>(raw.get()).unwrap_or_default();
    let code = lenient::text(object.code).or_else(|| number(object.code)).or_else(|| lenient::text(object.kind));
    code.unwrap_or_else(|| "error".to_owned())
}

fn number(raw: Raw<'_>) -> Option<String> {
    raw?.get().parse::<i64>().ok().map(|code| code.to_string())
}
