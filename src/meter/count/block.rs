//! Messages and the parts that they are made of.
//!
//! A text is counted as it is; images by their provider's published formula, where there is one. Files, sounds and films
//! have no published price in tokens, and an image behind an address has no size that we know: they are left out, and the
//! count says so.

use serde_json::value::RawValue;

use super::Counter;
use super::image::Detail;
use super::raw::{each, fields, quoted, string};
use super::request::structure;

/// How deep parts may lie within parts.
pub(super) const DEEPEST: u8 = 6;

/// An image as a request holds it: in base64, with or without the head of a data URL, or by address.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Media<'a> {
    /// The string, with its JSON escapes.
    pub(super) escaped: Option<&'a str>,
    pub(super) detail: Detail,
}

impl<'a> Media<'a> {
    /// From a string, or from an object that has one as its `url`, `data` or `bytes`, itself or in its `source`.
    pub(super) fn of(value: &'a RawValue) -> Self {
        let mut media = Self { escaped: quoted(value.get()), detail: Detail::Full };
        if media.escaped.is_none() {
            media.look_into(value, 2);
        }
        media
    }

    fn look_into(&mut self, value: &'a RawValue, depth: u8) {
        fields(value.get(), |name, value| match name {
            "url" | "data" | "bytes" => self.escaped = quoted(value.get()),
            "source" if depth > 0 => self.look_into(value, depth - 1),
            "detail" => self.detail = detail(value),
            _ => {}
        });
    }
}

/// Counts a message with what it costs beside its content.
pub(super) fn message(value: &RawValue, counter: &mut Counter) {
    counter.message();
    let mut rest = Part::default();
    let whole = fields(value.get(), |name, value| match name {
        "role" => text(value, counter),
        "name" => {
            counter.name();
            text(value, counter);
        }
        _ => rest.field((name, value), counter, DEEPEST),
    });
    rest.end(whole, counter);
}

/// Counts a content: a text, a part or a list of both.
pub(super) fn content(value: &RawValue, counter: &mut Counter, depth: u8) {
    let Some(depth) = depth.checked_sub(1) else { return counter.rough() };
    match value.get().as_bytes().first() {
        Some(b'"') => text(value, counter),
        Some(b'[') => {
            each(value.get(), |item| content(item, counter, depth));
        }
        Some(b'{') => {
            let mut part = Part::default();
            let whole = fields(value.get(), |name, value| part.field((name, value), counter, depth));
            part.end(whole, counter);
        }
        Some(b'n') => {}
        _ => counter.rough(),
    }
}

/// What must be seen whole before it can be judged.
#[derive(Default)]
struct Part<'a> {
    known: bool,
    image: Option<Media<'a>>,
    /// Beside the image, as in OpenAI's Responses.
    detail: Option<Detail>,
}

impl<'a> Part<'a> {
    fn field(&mut self, (name, value): (&str, &'a RawValue), counter: &mut Counter, depth: u8) {
        match name {
            "text" | "thinking" | "refusal" | "reasoning_content" | "message" if value.get() != "null" => {
                text(value, counter);
            }
            "content" | "parts" | "output" | "summary" | "toolResult" => content(value, counter, depth),
            "tool_calls"
            | "function_call"
            | "functionCall"
            | "functionResponse"
            | "toolUse"
            | "executableCode"
            | "codeExecutionResult"
            | "input"
            | "arguments"
            | "json"
            | "name" => structure(value, counter),
            "image_url" | "image" | "inlineData" | "inline_data" | "source" => self.image = Some(Media::of(value)),
            "images" => {
                each(value.get(), |image| counter.image(&Media::of(image)));
            }
            "input_audio" | "audio" | "file" | "file_id" | "file_data" | "fileData" | "document" | "video" => {
                counter.uncounted();
            }
            "detail" => self.detail = Some(detail(value)),
            _ => return,
        }
        self.known = true;
    }

    /// A part of a kind that is not known may be anything.
    fn end(self, whole: bool, counter: &mut Counter) {
        if let Some(image) = self.image {
            counter.image(&Media { detail: self.detail.unwrap_or(image.detail), ..image });
        }
        if !whole || !self.known {
            counter.rough();
        }
    }
}

fn detail(value: &RawValue) -> Detail {
    if value.get() == "\"low\"" { Detail::Low } else { Detail::Full }
}

fn text(value: &RawValue, counter: &mut Counter) {
    match string(value.get()) {
        Some(text) => counter.text(&text),
        None => counter.rough(),
    }
}
