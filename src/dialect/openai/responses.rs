//! OpenAI's Responses, whole and as a stream, and the same object when it is asked for again.
//!
//! Usage stands in the response object, which comes whole or within the stream's last event. A response made in the
//! background (`background: true`) is answered before it is generated: nothing is counted then. Its usage is counted
//! when a later `GET` shows it finished; a `GET` of any other response repeats what was counted when it was made.
//!
//! The cheap look: an event's type, by its name or where it stands first, says what can matter; of a `…delta` only that
//! is parsed, and the objects that are repeated while nothing is known yet are parsed once.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{error_code, take_text, take_usage};
use super::request;
use crate::dialect::scan::{first_value, part, string, unquoted, values};
use crate::dialect::{Ask, AskError, Dialect, Flags, Operation, Payload, Reading, lenient};

type Raw<'a> = Option<&'a RawValue>;

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub(super) enum Responses {
    /// The request makes the response.
    Made,
    /// The request asks for a response that another one made, or cancels it.
    Again,
}

static TYPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"type\""));
static DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"delta\""));
/// Ends the type of every call of a tool: `function_call`, `custom_tool_call` and others.
static CALL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"_call\""));

/// A stream's event.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    response: Raw<'a>,
    #[serde(borrow, default)]
    item: Raw<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow, default)]
    id: Raw<'a>,
    #[serde(borrow, default)]
    model: Raw<'a>,
    #[serde(borrow, default)]
    status: Raw<'a>,
    #[serde(default, deserialize_with = "lenient::value")]
    background: Option<bool>,
    #[serde(borrow, default)]
    incomplete_details: Raw<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
    #[serde(borrow, default)]
    usage: Raw<'a>,
    #[serde(borrow, default)]
    output: Raw<'a>,
}

#[derive(Deserialize)]
struct Incomplete<'a> {
    #[serde(borrow, default)]
    reason: Raw<'a>,
}

/// A part of the output, in the fields that the model writes.
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, default)]
    name: Raw<'a>,
    #[serde(borrow, default)]
    content: Raw<'a>,
    #[serde(borrow, default)]
    summary: Raw<'a>,
    #[serde(borrow, default)]
    arguments: Raw<'a>,
    #[serde(borrow, default)]
    input: Raw<'a>,
    #[serde(borrow, default)]
    code: Raw<'a>,
    #[serde(borrow, default)]
    action: Raw<'a>,
    // Of patches.
    #[serde(borrow, default)]
    operation: Raw<'a>,
}

impl Dialect for Responses {
    fn name(&self, _: Operation) -> &'static str {
        "openai.responses"
    }

    fn read_request(&self, path: &str, body: &[u8]) -> Result<Ask, AskError> {
        match self {
            // Usage comes unasked.
            Self::Made => request::read(path, body).map(|ask| Ask { wants_usage: true, ..ask }),
            Self::Again => Ok(Ask { choices: 1, ..Ask::default() }),
        }
    }

    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading) {
        reading.had_content = false;
        let data = payload.data.trim_ascii();
        if data.starts_with(b"[DONE]") {
            reading.done = true;
            return;
        }
        match kind(payload.name, data) {
            _ if data.is_empty() => {}
            Some(kind) => self.event(kind, data, reading),
            None => self.whole(data, reading),
        }
    }
}

impl Responses {
    fn event(self, kind: &[u8], data: &[u8], reading: &mut Reading) {
        if kind.ends_with(b".delta") {
            return delta(kind, data, reading);
        }
        match kind {
            // The three repeat one object, which may be long.
            // Steps of a conversation have been seen in one stream, one response after the other; the last one's usage
            // holds, as it is of all that was read.
            b"response.created" if reading.done => {
                (reading.done, reading.may_go_on) = (false, false);
                self.within(data, reading);
            }
            b"response.created" | b"response.queued" | b"response.in_progress" if reading.model_served.is_some() => {}
            b"response.created" | b"response.queued" | b"response.in_progress" => self.within(data, reading),
            b"response.completed" | b"response.incomplete" | b"response.failed" | b"response.cancelled" => {
                self.within(data, reading);
                reading.done = true;
                // Another step can follow only where a tool was called.
                reading.may_go_on = CALL.find(data).is_some();
            }
            b"response.output_item.added" => {
                if let Some(item) = item(data, reading) {
                    reading.side_text(string(item.name));
                }
                reading.item_begins();
            }
            // Some send an item whole, without deltas.
            b"response.output_item.done" if reading.item_is_silent() => {
                if let Some(item) = item(data, reading) {
                    take_item(&item, reading);
                }
            }
            b"response.image_generation_call.partial_image" => reading.had_content = true,
            b"error" => reading.failed(error_of(data)),
            _ => {}
        }
    }

    /// Reads the response within an event.
    fn within(self, data: &[u8], reading: &mut Reading) {
        let event = lenient::whole_object::<Event<'_>>(data);
        match event.and_then(|event| event.response) {
            Some(response) => self.whole(response.get().as_bytes(), reading),
            None => reading.flag(Flags::METER_ERROR),
        }
    }

    fn whole(self, data: &[u8], reading: &mut Reading) {
        match lenient::whole_object::<Response<'_>>(data) {
            Some(response) => self.take(&response, reading),
            None => reading.flag(Flags::METER_ERROR),
        }
    }

    fn take(self, response: &Response<'_>, reading: &mut Reading) {
        reading.served(lenient::text(response.model));
        let status = lenient::text(response.status);
        let pending = matches!(status.as_deref(), Some("queued" | "in_progress"));
        if let Some(error) = response.error {
            reading.failed(error_code(error));
        }
        if response.background == Some(true) {
            reading.deferred = true;
            reading.kept = lenient::text(response.id);
        }
        if !pending {
            let reason = reason(response, reading).or(status);
            reading.finished(reason);
        }
        let Some(usage) = response.usage else {
            return self.take_unreported(response, reading);
        };
        match self {
            Self::Made => take_usage(usage, reading),
            Self::Again if reading.deferred && !pending => take_usage(usage, reading),
            Self::Again => reading.repeated = true,
        }
    }

    /// Without usage the text is what can be counted; what came by delta has been read.
    fn take_unreported(self, response: &Response<'_>, reading: &mut Reading) {
        if matches!(self, Self::Again) || reading.text_bytes() > 0 {
            return;
        }
        for item in part::<Vec<Item<'_>>>(response.output, reading).unwrap_or_default() {
            take_item(&item, reading);
        }
    }
}

/// The kind of a stream's event; none for a whole response.
fn kind<'a>(name: Option<&'a [u8]>, data: &'a [u8]) -> Option<&'a [u8]> {
    let is_kind = |text: &&[u8]| text.starts_with(b"response.") || *text == b"error";
    // Within an event other objects have types too, but none that looks like this.
    let in_data = || values(&TYPE, data).filter_map(between_quotes).find(is_kind);
    name.filter(is_kind).or_else(in_data)
}

fn between_quotes(value: &[u8]) -> Option<&[u8]> {
    let text = value.strip_prefix(b"\"")?;
    text.get(..memchr::memchr(b'"', text)?)
}

/// A piece of text, reasoning or arguments. What tools answer comes as objects, and sound is not text.
fn delta(kind: &[u8], data: &[u8], reading: &mut Reading) {
    let Some(value) = values(&DELTA, data).next() else { return };
    if !value.starts_with(b"\"") {
        return;
    }
    if kind.ends_with(b"audio.delta") {
        reading.had_content = !value.starts_with(b"\"\"");
    } else if let Some(text) = first_value::<&RawValue>(value) {
        take_text(Some(text), reading);
        reading.nothing_else();
    } else {
        reading.flag(Flags::METER_ERROR);
    }
}

fn item<'a>(data: &'a [u8], reading: &mut Reading) -> Option<Item<'a>> {
    part(lenient::whole_object::<Event<'_>>(data)?.item, reading)
}

fn take_item(item: &Item<'_>, reading: &mut Reading) {
    for text in [item.content, item.summary] {
        take_text(text, reading);
    }
    let written = [item.arguments, item.input, item.code, item.action, item.operation];
    for written in written.into_iter().flatten() {
        match unquoted(written) {
            Some(text) => reading.content(text),
            None if matches!(written.get(), "{}" | "null") => {}
            None => reading.content(written.get()),
        }
    }
}

/// Why a response is incomplete.
fn reason(response: &Response<'_>, reading: &mut Reading) -> Option<String> {
    lenient::text(part::<Incomplete<'_>>(response.incomplete_details, reading)?.reason)
}

/// The code of an `error` event, which has its fields in itself or in an object.
fn error_of(data: &[u8]) -> String {
    let nested = lenient::whole_object::<Event<'_>>(data).and_then(|event| event.error);
    let itself = || serde_json::from_slice::<&RawValue>(data).map(error_code).ok();
    nested.map(error_code).or_else(itself).unwrap_or_else(|| "error".to_owned())
}
