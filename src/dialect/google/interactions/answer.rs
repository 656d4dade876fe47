//! An interaction as it is answered whole, or an event of its stream.
//!
//! Events were renamed once (`content.delta` is `step.delta` now, `interaction.complete` is `interaction.completed`, and an
//! interaction's `outputs` are its `steps`): both are read. What tools answered is not the model's writing.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::answer::take_error;
use super::super::usage::GoogleUsage;
use crate::dialect::scan::{Raw, part, string, unquoted};
use crate::dialect::{Flags, Reading, lenient};

/// A whole interaction, one within an event, or an event: only the latter has an `event_type`.
#[derive(Deserialize)]
struct Answer<'a> {
    // Of events
    #[serde(borrow, default)]
    event_type: Raw<'a>,
    #[serde(borrow, default)]
    interaction: Raw<'a>,
    #[serde(borrow, default, alias = "content")]
    step: Raw<'a>,
    #[serde(borrow, default)]
    delta: Raw<'a>,
    // Of interactions
    #[serde(borrow, default)]
    id: Raw<'a>,
    #[serde(borrow, default)]
    model: Raw<'a>,
    #[serde(borrow, default)]
    agent: Raw<'a>,
    #[serde(borrow, default)]
    usage: Raw<'a>,
    #[serde(borrow, default, alias = "outputs")]
    steps: Raw<'a>,
    // Of both
    #[serde(borrow, default)]
    status: Raw<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
}

/// A step or a piece of one, in the fields that the model writes.
#[derive(Deserialize)]
struct Step<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow, default, alias = "summary")]
    content: Raw<'a>,
    #[serde(borrow, default)]
    name: Raw<'a>,
    #[serde(borrow, default)]
    arguments: Raw<'a>,
    // A piece is its own content.
    #[serde(borrow, default)]
    text: Raw<'a>,
    #[serde(borrow, default)]
    data: Raw<'a>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    text: Raw<'a>,
    // A picture, sound or a film: content, but no text.
    #[serde(borrow, default)]
    data: Raw<'a>,
}

/// Reads a payload; what cannot be read sets a flag.
pub(super) fn read(data: &[u8], reading: &mut Reading) {
    let Some(answer) = lenient::whole_object::<Answer<'_>>(data) else {
        return reading.flag(Flags::METER_ERROR);
    };
    match string(answer.event_type) {
        "" => whole(&answer, reading),
        "step.delta" | "content.delta" => {
            note(answer.delta, reading);
            reading.nothing_else();
        }
        "step.start" | "content.start" => note(answer.step, reading),
        kind => event(kind, &answer, reading),
    }
}

/// An event about the interaction itself.
fn event(kind: &str, answer: &Answer<'_>, reading: &mut Reading) {
    finished(answer.status, reading);
    take_error(answer.error, reading);
    if let Some(interaction) = part::<Answer<'_>>(answer.interaction, reading) {
        take(&interaction, reading);
    }
    reading.done |= matches!(kind, "interaction.completed" | "interaction.complete" | "interaction.cancelled");
}

fn whole(interaction: &Answer<'_>, reading: &mut Reading) {
    take(interaction, reading);
    reading.deferred = is_pending(interaction.status);
    // A whole answer that reports its usage: its text is neither counted nor timed, so it need not be read.
    if !reading.has_usage() {
        note_each(interaction.steps, reading);
    }
}

fn take(interaction: &Answer<'_>, reading: &mut Reading) {
    reading.served(lenient::text(interaction.model).or_else(|| lenient::text(interaction.agent)));
    finished(interaction.status, reading);
    take_error(interaction.error, reading);
    if let Some(raw) = interaction.usage.filter(|_| !is_pending(interaction.status)) {
        match GoogleUsage::read(raw) {
            Some(counts) => reading.reported(&counts, raw),
            None => reading.flag(Flags::METER_ERROR),
        }
    }
    if reading.kept.is_none() {
        reading.kept = lenient::text(interaction.id);
    }
}

/// Whether it is yet to be generated, or to go on.
fn is_pending(status: Raw<'_>) -> bool {
    matches!(string(status), "queued" | "in_progress")
}

/// Notes how it ended, if it has.
fn finished(status: Raw<'_>, reading: &mut Reading) {
    if !is_pending(status) {
        reading.finished(lenient::text(status));
    }
}

fn note_each(steps: Raw<'_>, reading: &mut Reading) {
    for step in part::<Vec<&RawValue>>(steps, reading).unwrap_or_default() {
        note(Some(step), reading);
    }
}

/// Notes what the model wrote in a step, or in a piece of one.
fn note(raw: Raw<'_>, reading: &mut Reading) {
    let Some(step) = part::<Step<'_>>(raw, reading) else { return };
    let kind = string(step.kind);
    if kind == "user_input" || kind.ends_with("_result") {
        return;
    }
    Content { text: step.text, data: step.data }.note(reading);
    match step.content.map(RawValue::get) {
        Some(list) if list.starts_with('[') => {
            for content in part::<Vec<Content<'_>>>(step.content, reading).unwrap_or_default() {
                content.note(reading);
            }
        }
        Some(object) if object.starts_with('{') => {
            if let Some(content) = part::<Content<'_>>(step.content, reading) {
                content.note(reading);
            }
        }
        _ => reading.content(string(step.content)),
    }
    // The model writes the name too, but only arguments are content.
    if step.name.is_some() {
        reading.side_text(string(step.name));
    }
    if let Some(arguments) = step.arguments {
        let written = unquoted(arguments).unwrap_or(arguments.get());
        reading.content(if matches!(written, "{}" | "null") { "" } else { written });
    }
}

impl Content<'_> {
    fn note(&self, reading: &mut Reading) {
        reading.content(string(self.text));
        reading.had_content |= !string(self.data).is_empty();
    }
}
