//! A whole answer or an event of a stream, parsed.
//!
//! Each part is taken as raw JSON first and read on its own, so that an odd part costs its own facts and no others.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::usage::UsageObject;
use crate::dialect::scan::{Raw, part, string};
use crate::dialect::{Counts, Flags, Reading, lenient};

/// An event, a whole message, or a completion: `type` says which.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Raw<'a>,
    // `message_start`
    #[serde(borrow, default)]
    message: Raw<'a>,
    #[serde(borrow, default)]
    content_block: Raw<'a>,
    #[serde(borrow, default)]
    delta: Raw<'a>,
    #[serde(borrow, default)]
    usage: Raw<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
    // A whole message
    #[serde(borrow, default)]
    model: Raw<'a>,
    #[serde(borrow, default)]
    stop_reason: Raw<'a>,
    #[serde(borrow, default)]
    content: Raw<'a>,
    // The older completions
    #[serde(borrow, default)]
    completion: Raw<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    model: Raw<'a>,
    #[serde(borrow, default)]
    usage: Raw<'a>,
    #[serde(borrow, default)]
    stop_reason: Raw<'a>,
}

/// A piece of a block, or what changes in the message. Signatures and citations are no content.
#[derive(Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow, default)]
    text: Raw<'a>,
    #[serde(borrow, default)]
    thinking: Raw<'a>,
    #[serde(borrow, default)]
    partial_json: Raw<'a>,
    // A compaction's summary.
    #[serde(borrow, default)]
    content: Raw<'a>,
    #[serde(borrow, default)]
    stop_reason: Raw<'a>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow, default)]
    text: Raw<'a>,
    #[serde(borrow, default)]
    thinking: Raw<'a>,
    #[serde(borrow, default)]
    name: Raw<'a>,
    #[serde(borrow, default)]
    input: Raw<'a>,
    #[serde(borrow, default)]
    content: Raw<'a>,
}

#[derive(Deserialize)]
struct ErrorObject<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Raw<'a>,
}

/// Reads a payload; what cannot be read sets a flag.
pub(super) fn read(payload: &[u8], reading: &mut Reading) {
    let Some(answer) = lenient::whole_object::<Answer<'_>>(payload) else {
        return reading.flag(Flags::METER_ERROR);
    };
    match string(answer.kind) {
        "ping" | "content_block_stop" => {}
        "message_start" => start(&answer, reading),
        "content_block_start" => {
            if let Some(block) = part::<Block<'_>>(answer.content_block, reading) {
                block.note(reading);
            }
        }
        "content_block_delta" => {
            if let Some(delta) = part::<Delta<'_>>(answer.delta, reading) {
                delta.note(reading);
            }
        }
        "message_delta" => delta(&answer, reading),
        "message_stop" => stop(reading),
        _ => whole(&answer, reading),
    }
}

/// The input's numbers are here, and output of one token or so which nobody has seen yet.
fn start(answer: &Answer<'_>, reading: &mut Reading) {
    // A stream has been seen to hold several messages, one after the other; the last one's usage holds.
    (reading.done, reading.may_go_on) = (false, false);
    let Some(message) = part::<Message<'_>>(answer.message, reading) else { return };
    reading.served(lenient::text(message.model));
    take_usage(message.usage, UsageObject::first, reading);
    reading.finished(lenient::text(message.stop_reason));
}

fn delta(answer: &Answer<'_>, reading: &mut Reading) {
    take_usage(answer.usage, UsageObject::counts, reading);
    if let Some(delta) = part::<Delta<'_>>(answer.delta, reading) {
        reading.finished(lenient::text(delta.stop_reason));
    }
}

fn stop(reading: &mut Reading) {
    reading.done = true;
    // Tools that a program calls on the server: the next call's message can follow in the same stream.
    reading.may_go_on = reading.finish_reasons.last().is_some_and(|reason| reason == "tool_use");
}

/// A whole message, a completion (each piece of a streamed one looks alike), or an error.
fn whole(answer: &Answer<'_>, reading: &mut Reading) {
    reading.served(lenient::text(answer.model));
    take_usage(answer.usage, UsageObject::first, reading);
    if let Some(error) = answer.error.filter(|error| error.get() != "null") {
        reading.failed(error_code(error));
    }
    let reason = lenient::text(answer.stop_reason);
    if answer.completion.is_some() {
        reading.content(string(answer.completion));
        reading.done |= reason.is_some();
    }
    reading.finished(reason);
    // A whole answer that reports its usage: its text is neither counted nor timed, so it need not be read.
    if answer.content.is_some() && !reading.has_usage() {
        for block in part::<Vec<Block<'_>>>(answer.content, reading).unwrap_or_default() {
            block.note(reading);
        }
    }
}

fn take_usage(raw: Raw<'_>, counts: fn(&UsageObject) -> Counts, reading: &mut Reading) {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return };
    match lenient::inner_object::<UsageObject>(raw) {
        Some(usage) => reading.reported(&counts(&usage), raw),
        None => reading.flag(Flags::METER_ERROR),
    }
}

impl Delta<'_> {
    pub(super) fn note(&self, reading: &mut Reading) {
        for piece in [self.text, self.thinking, self.partial_json, self.content] {
            reading.content(string(piece));
        }
    }
}

impl Block<'_> {
    /// What the model wrote into a block. What a tool answered on the server is not its writing.
    fn note(&self, reading: &mut Reading) {
        match string(self.kind) {
            "text" => reading.content(string(self.text)),
            "thinking" => reading.content(string(self.thinking)),
            "compaction" => reading.content(string(self.content)),
            // Thinking that only the provider can read is generated, and cannot be counted.
            "redacted_thinking" => reading.had_content = true,
            "tool_use" | "server_tool_use" | "mcp_tool_use" => {
                reading.side_text(string(self.name));
                // A stream opens with an empty one.
                reading.content(self.input.map(RawValue::get).filter(|input| *input != "{}").unwrap_or_default());
            }
            _ => {}
        }
    }
}

/// An error's type. Its text is not for events: it may quote the prompt.
fn error_code(raw: &RawValue) -> String {
    let object = lenient::inner_object::<ErrorObject<'_>>(raw);
    object.and_then(|object| lenient::text(object.kind)).unwrap_or_else(|| "error".to_owned())
}
