//! What a request gives the model to read, in whichever wire format: messages, names, tools, prompts, inputs, images.
//!
//! The formats have their fields' names in common, and where they differ no name means two things. So all are read by one
//! list of fields: what a format does not have is not there.

use serde_json::value::RawValue;

use super::block::{self, DEEPEST, Media};
use super::raw::{each, fields, string};
use super::{Counter, Subject};

/// Counts a request; `None` when it is not a JSON object.
pub(super) fn count(subject: Subject, body: &[u8], counter: &mut Counter) -> Option<()> {
    let mut conversation = false;
    let whole = fields(std::str::from_utf8(body).ok()?, |name, value| {
        conversation |= field(subject, (name, value), counter);
    });
    if conversation {
        counter.answer();
    }
    whole.then_some(())
}

/// Counts one field; whether it makes the request a conversation.
fn field(subject: Subject, (name, value): (&str, &RawValue), counter: &mut Counter) -> bool {
    match name {
        "messages" | "contents" | "chat_history" => {
            list(value, counter, block::message);
        }
        // Cohere's last message.
        "message" => lone("user", value, counter),
        "input" if subject == Subject::Chat => input(value, counter),
        "system" | "instructions" | "preamble" | "system_instruction" | "systemInstruction" => {
            lone("system", value, counter);
            return false;
        }
        _ => {
            beside(name, value, counter);
            return false;
        }
    }
    value.get() != "null"
}

/// Counts what no conversation is made of.
fn beside(name: &str, value: &RawValue, counter: &mut Counter) {
    let json = value.get();
    match name {
        "prompt" | "suffix" | "input" | "inputText" | "texts" | "query" => texts(value, counter),
        "content" => block::content(value, counter, DEEPEST),
        "requests" => list(value, counter, |request, counter| {
            fields(request.get(), |name, value| beside(name, value, counter));
        }),
        "images" => list(value, counter, |image, counter| counter.image(&Media::of(image))),
        "tools" | "functions" | "tool_results" | "documents" => structure(value, counter),
        "toolConfig" | "tool_config" if json.contains("\"tools\"") => structure(value, counter),
        "response_format" | "text" | "format" if json.contains("\"schema\"") || json.contains("\"properties\"") => {
            structure(value, counter);
        }
        _ => {}
    }
}

/// A message that stands outside the list, without a role of its own.
fn lone(role: &str, value: &RawValue, counter: &mut Counter) {
    if value.get() != "null" {
        counter.message();
        counter.text(role);
        block::content(value, counter, DEEPEST);
    }
}

/// What a model is to answer to in OpenAI's Responses: a text, or a list of messages and other items.
fn input(value: &RawValue, counter: &mut Counter) {
    if value.get().starts_with('"') {
        return lone("user", value, counter);
    }
    list(value, counter, |item, counter| {
        let is_message = item.get().contains("\"role\"");
        if is_message { block::message(item, counter) } else { block::content(item, counter, DEEPEST) }
    });
}

/// Tool schemas and calls are shown to the model in a form that is not published; their JSON is close.
pub(super) fn structure(value: &RawValue, counter: &mut Counter) {
    if !matches!(value.get(), "null" | "[]") {
        counter.rough();
        counter.text(value.get());
    }
}

/// A prompt or an input: a text, a list of texts, a list of tokens, or a list of such lists.
fn texts(value: &RawValue, counter: &mut Counter) {
    if let Some(text) = string(value.get()) {
        return counter.text(&text);
    }
    list(value, counter, |item, counter| match item.get().as_bytes().first() {
        Some(b'0'..=b'9') => counter.tokens(1),
        Some(b'[') => {
            let mut length = 0;
            each(item.get(), |_| length += 1);
            counter.tokens(length);
        }
        Some(b'{') => block::content(item, counter, DEEPEST),
        _ => match string(item.get()) {
            Some(text) => counter.text(&text),
            None => counter.rough(),
        },
    });
}

fn list(value: &RawValue, counter: &mut Counter, mut take: impl FnMut(&RawValue, &mut Counter)) {
    if value.get() != "null" && !each(value.get(), |item| take(item, counter)) {
        counter.rough();
    }
}
