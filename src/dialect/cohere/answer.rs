//! A whole answer or an event of a stream, parsed.
//!
//! Each part is taken as raw JSON first and read on its own, so that an odd part costs its own facts and no others.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::usage::UsageObject;
use crate::dialect::openai::UsageObject as OpenAiUsage;
use crate::dialect::scan::{Raw, part, string};
use crate::dialect::{Flags, Reading, lenient};

/// An event of either version, or a whole answer.
#[derive(Deserialize)]
struct Answer<'a> {
    // Events of version 2
    #[serde(borrow, default, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow, default)]
    delta: Raw<'a>,
    // Events of version 1
    #[serde(borrow, default)]
    event_type: Raw<'a>,
    #[serde(borrow, default)]
    response: Raw<'a>,
    #[serde(borrow, default)]
    tool_call_delta: Raw<'a>,
    // Whole answers; in an event of version 1 `text` is a piece
    #[serde(borrow, default)]
    text: Raw<'a>,
    #[serde(borrow, default)]
    message: Raw<'a>,
    #[serde(borrow, default)]
    tool_calls: Raw<'a>,
    #[serde(borrow, default)]
    finish_reason: Raw<'a>,
    #[serde(borrow, default)]
    usage: Raw<'a>,
    #[serde(borrow, default)]
    meta: Raw<'a>,
}

/// What an event of version 2 adds.
#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    message: Raw<'a>,
    #[serde(borrow, default)]
    finish_reason: Raw<'a>,
    #[serde(borrow, default)]
    usage: Raw<'a>,
}

/// A message: in events `content` and `tool_calls` are one object each, in whole answers lists.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Raw<'a>,
    #[serde(borrow, default)]
    tool_plan: Raw<'a>,
    #[serde(borrow, default)]
    tool_calls: Raw<'a>,
}

/// Text or reasoning.
#[derive(Deserialize)]
pub(super) struct Content<'a> {
    #[serde(borrow, default)]
    text: Raw<'a>,
    #[serde(borrow, default)]
    thinking: Raw<'a>,
}

/// A tool's call: version 2 wraps it in `function`, version 1 has `parameters` as an object.
#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow, default)]
    function: Raw<'a>,
    #[serde(borrow, default)]
    name: Raw<'a>,
    #[serde(borrow, default)]
    arguments: Raw<'a>,
    #[serde(borrow, default)]
    parameters: Raw<'a>,
    #[serde(borrow, default)]
    text: Raw<'a>,
}

/// Reads a payload; what cannot be read sets a flag.
pub(super) fn read(payload: &[u8], reading: &mut Reading) {
    let Some(answer) = lenient::whole_object::<Answer<'_>>(payload) else {
        return reading.flag(Flags::METER_ERROR);
    };
    match (string(answer.kind), string(answer.event_type)) {
        ("", "") => whole(&answer, reading),
        (kind, "") => event(kind, &answer, reading),
        (_, kind) => event_of_v1(kind, &answer, reading),
    }
}

fn event(kind: &str, answer: &Answer<'_>, reading: &mut Reading) {
    let Some(delta) = part::<Delta<'_>>(answer.delta, reading) else {
        reading.done |= kind == "message-end";
        return;
    };
    match kind {
        "content-start" | "content-delta" | "tool-plan-delta" | "tool-call-start" | "tool-call-delta" => {
            if let Some(message) = part::<Message<'_>>(delta.message, reading) {
                message.note(reading);
            }
        }
        "message-end" => {
            take_usage(delta.usage, reading);
            finished(delta.finish_reason, reading);
            reading.done = true;
        }
        _ => {}
    }
}

fn event_of_v1(kind: &str, answer: &Answer<'_>, reading: &mut Reading) {
    match kind {
        "text-generation" => reading.content(string(answer.text)),
        "tool-calls-chunk" => {
            reading.content(string(answer.text));
            if let Some(call) = part::<ToolCall<'_>>(answer.tool_call_delta, reading) {
                call.note(reading);
            }
        }
        "stream-end" => {
            // The whole answer once more: its text has passed already.
            if let Some(response) = part::<Answer<'_>>(answer.response, reading) {
                take_usage(response.meta, reading);
                finished(answer.finish_reason.or(response.finish_reason), reading);
            } else {
                finished(answer.finish_reason, reading);
            }
            reading.done = true;
        }
        _ => {}
    }
}

fn whole(answer: &Answer<'_>, reading: &mut Reading) {
    if answer.meta.is_some() {
        take_usage(answer.meta, reading);
    }
    take_usage(answer.usage, reading);
    finished(answer.finish_reason, reading);
    // A whole answer that reports its usage: its text is neither counted nor timed, so it need not be read.
    if reading.has_usage() {
        return;
    }
    reading.content(string(answer.text));
    note_calls(answer.tool_calls, reading);
    // Where something went wrong this is a text.
    if let Some(message) = answer.message.filter(|message| message.get().starts_with('{'))
        && let Some(message) = part::<Message<'_>>(Some(message), reading)
    {
        message.note(reading);
    }
}

fn finished(reason: Raw<'_>, reading: &mut Reading) {
    let reason = lenient::text(reason);
    if let Some(code @ ("ERROR" | "TIMEOUT")) = reason.as_deref() {
        reading.failed(code.to_owned());
    }
    reading.finished(reason);
}

fn take_usage(raw: Raw<'_>, reading: &mut Reading) {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return };
    let object = raw.get().as_bytes();
    let Some(usage) = lenient::whole_object::<UsageObject>(object) else {
        return reading.flag(Flags::METER_ERROR);
    };
    let mut counts = usage.counts();
    // Other servers that rerank under the same path count as OpenAI does.
    if counts.is_empty()
        && let Some(other) = lenient::whole_object::<OpenAiUsage<'_>>(object)
    {
        counts = other.counts_of_any_shape();
    }
    reading.reported(&counts, raw);
}

impl Message<'_> {
    fn note(&self, reading: &mut Reading) {
        reading.content(string(self.tool_plan));
        for content in one_or_many::<Content<'_>>(self.content, reading) {
            content.note(reading);
        }
        note_calls(self.tool_calls, reading);
    }
}

impl Content<'_> {
    pub(super) fn note(&self, reading: &mut Reading) {
        reading.content(string(self.text));
        reading.content(string(self.thinking));
    }
}

fn note_calls(raw: Raw<'_>, reading: &mut Reading) {
    for call in one_or_many::<ToolCall<'_>>(raw, reading) {
        call.note(reading);
    }
}

impl ToolCall<'_> {
    fn note(&self, reading: &mut Reading) {
        if let Some(function) = part::<ToolCall<'_>>(self.function, reading) {
            function.note(reading);
        }
        // The model writes the name too, but only arguments are content.
        reading.side_text(string(self.name));
        reading.content(string(self.arguments));
        reading.content(string(self.text));
        match self.parameters {
            Some(raw) if raw.get().starts_with('{') => reading.content(raw.get()),
            parameters => reading.content(string(parameters)),
        }
    }
}

fn one_or_many<'a, T: Deserialize<'a>>(raw: Raw<'a>, reading: &mut Reading) -> Vec<T> {
    match raw.map(RawValue::get) {
        Some(list) if list.starts_with('[') => part(raw, reading).unwrap_or_default(),
        // A plain text is no odd content.
        Some(object) if object.starts_with('{') => part(raw, reading).into_iter().collect(),
        Some(text) => {
            reading.content(text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default());
            Vec::new()
        }
        None => Vec::new(),
    }
}
