//! The answers of `converse`: one body, or the named events of a stream.
//!
//! A stream ends when both its stop reason and its usage have come, in whichever order: AWS sends the usage last, others
//! that speak its format do not.

use serde::Deserialize;

use super::glance;
use super::usage::TokenUsage;
use crate::dialect::scan::{Raw, part, string};
use crate::dialect::{Flags, Reading, lenient};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(borrow, default)]
    output: Raw<'a>,
    #[serde(borrow, default)]
    stop_reason: Raw<'a>,
    #[serde(borrow, default)]
    usage: Raw<'a>,
    #[serde(borrow, default)]
    trace: Raw<'a>,
    /// An error's kind, where it has one.
    #[serde(borrow, default, rename = "__type")]
    kind: Raw<'a>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow, default)]
    message: Raw<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Raw<'a>,
}

/// An event that begins or continues a block.
#[derive(Deserialize)]
struct BlockEvent<'a> {
    #[serde(borrow, default)]
    start: Raw<'a>,
    #[serde(borrow, default)]
    delta: Raw<'a>,
}

/// A block of content, or a piece of one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Block<'a> {
    #[serde(borrow, default)]
    text: Raw<'a>,
    #[serde(borrow, default)]
    tool_use: Raw<'a>,
    #[serde(borrow, default)]
    reasoning_content: Raw<'a>,
}

#[derive(Deserialize)]
struct ToolUse<'a> {
    #[serde(borrow, default)]
    name: Raw<'a>,
    #[serde(borrow, default)]
    input: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reasoning<'a> {
    #[serde(borrow, default)]
    text: Raw<'a>,
    /// Of a whole block.
    #[serde(borrow, default)]
    reasoning_text: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trace<'a> {
    #[serde(borrow, default)]
    prompt_router: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptRouter<'a> {
    #[serde(borrow, default)]
    invoked_model_id: Raw<'a>,
}

/// Reads a whole body; what cannot be read sets a flag.
pub(super) fn read(body: &[u8], reading: &mut Reading) {
    let Some(answer) = lenient::whole_object::<Answer<'_>>(body) else {
        return reading.flag(Flags::METER_ERROR);
    };
    take(&answer, reading);
    if let Some(code) = lenient::text(answer.kind) {
        reading.failed(code);
    }
    // An answer that reports its usage: its text is neither counted nor timed, so it need not be read.
    if !reading.has_usage()
        && let Some(output) = part::<Output<'_>>(answer.output, reading)
        && let Some(message) = part::<Message<'_>>(output.message, reading)
    {
        for block in part::<Vec<Block<'_>>>(message.content, reading).unwrap_or_default() {
            block.note(reading);
        }
    }
}

/// Reads an event of a stream; one that cannot be read sets a flag.
pub(super) fn read_event(name: &[u8], data: &[u8], reading: &mut Reading) {
    match name {
        b"contentBlockDelta" if glance::delta(data, reading) => {}
        b"contentBlockDelta" | b"contentBlockStart" => match lenient::whole_object::<BlockEvent<'_>>(data) {
            Some(event) => {
                for raw in [event.start, event.delta] {
                    if let Some(block) = part::<Block<'_>>(raw, reading) {
                        block.note(reading);
                    }
                }
            }
            None => reading.flag(Flags::METER_ERROR),
        },
        b"messageStop" | b"metadata" => {
            match lenient::whole_object::<Answer<'_>>(data) {
                Some(event) => take(&event, reading),
                None => reading.flag(Flags::METER_ERROR),
            }
            reading.done = reading.has_usage() && !reading.finish_reasons.is_empty();
        }
        _ => {
            super::failed(name, data, reading);
        }
    }
}

fn take(answer: &Answer<'_>, reading: &mut Reading) {
    reading.finished(lenient::text(answer.stop_reason));
    if let Some(raw) = answer.usage {
        match lenient::inner_object::<TokenUsage<'_>>(raw) {
            Some(usage) => reading.reported(&usage.counts(), raw),
            None => reading.flag(Flags::METER_ERROR),
        }
    }
    // No answer names its model, but for what a prompt router chose.
    if let Some(trace) = part::<Trace<'_>>(answer.trace, reading)
        && let Some(router) = part::<PromptRouter<'_>>(trace.prompt_router, reading)
    {
        reading.served(lenient::text(router.invoked_model_id));
    }
}

impl Block<'_> {
    pub(super) fn note(&self, reading: &mut Reading) {
        reading.content(string(self.text));
        if let Some(tool) = part::<ToolUse<'_>>(self.tool_use, reading) {
            reading.side_text(string(tool.name));
            match tool.input {
                Some(raw) if raw.get().starts_with('{') => reading.content(raw.get()),
                input => reading.content(string(input)),
            }
        }
        if let Some(reasoning) = part::<Reasoning<'_>>(self.reasoning_content, reading) {
            reading.content(string(reasoning.text));
            if let Some(whole) = part::<Reasoning<'_>>(reasoning.reasoning_text, reading) {
                reading.content(string(whole.text));
            }
        }
    }
}
