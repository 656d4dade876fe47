//! OpenAI's Realtime: what the server says over a WebSocket, message by message.
//!
//! A session holds many responses, each with usage of its own in `response.done`, which is its last event. Speech that
//! the client sends may be written down by a second model, whose usage comes apart ([`read_beside`]). What the client
//! says is not read.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{error_code, take_usage};
use crate::dialect::scan::{first_value, part, unquoted, values};
use crate::dialect::{Ask, AskError, Dialect, Flags, Operation, Payload, Reading, lenient};

type Raw<'a> = Option<&'a RawValue>;

/// Only the beginning of a message is searched for its type: sound follows, and it is long.
const HEAD: usize = 512;

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Realtime;

static TYPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"type\""));
static DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"delta\""));

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow, default)]
    response: Raw<'a>,
    #[serde(borrow, default)]
    session: Raw<'a>,
    #[serde(borrow, default)]
    usage: Raw<'a>,
}

#[derive(Deserialize)]
struct Session<'a> {
    #[serde(borrow, default)]
    id: Raw<'a>,
    #[serde(borrow, default)]
    model: Raw<'a>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow, default)]
    model: Raw<'a>,
    #[serde(borrow, default)]
    status: Raw<'a>,
    #[serde(borrow, default)]
    status_details: Raw<'a>,
    #[serde(borrow, default)]
    usage: Raw<'a>,
}

#[derive(Deserialize)]
struct Details<'a> {
    #[serde(borrow, default)]
    reason: Raw<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
}

impl Dialect for Realtime {
    fn name(&self, _: Operation) -> &'static str {
        "openai.realtime"
    }

    /// Nothing stands in the body; see [`ask`].
    fn read_request(&self, _: &str, _: &[u8]) -> Result<Ask, AskError> {
        Ok(ask(None))
    }

    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading) {
        reading.had_content = false;
        let data = payload.data.trim_ascii();
        match kind(data) {
            Some(kind) if kind.ends_with(b".delta") => delta(kind, data, reading),
            Some(b"response.done") => done(data, reading),
            Some(b"session.created" | b"session.updated") => opened(data, reading),
            Some(_) => {}
            // An answer that refuses the upgrade, or a message whose type stands elsewhere.
            None => late(data, reading),
        }
    }
}

/// What a session asks for: the model stands in the query, at Azure as `deployment`.
pub fn ask(query: Option<&str>) -> Ask {
    let pairs = || query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let of = |name: &str| pairs().find(|(key, value)| *key == name && !value.is_empty()).map(|(_, value)| value);
    let model = of("deployment").or_else(|| of("model"));
    Ask { model: model.map(str::to_owned), stream: true, choices: 1, ..Ask::default() }
}

/// Whether a query says one thing twice that we act on, or says it in a spelling that we do not read.
pub fn is_ambiguous(query: Option<&str>) -> bool {
    let names = || query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let twice = |name: &str| names().filter(|(key, _)| key.eq_ignore_ascii_case(name)).count() > 1;
    let escaped = names()
        .any(|(key, value)| key.contains('%') || (matches!(key, "model" | "deployment") && value.contains(['%', '+'])));
    escaped || twice("model") || twice("deployment")
}

/// Whether a message begins a response.
pub fn begins(message: &[u8]) -> bool {
    kind(message) == Some(b"response.created")
}

/// A message with the usage of the model that writes down what the client says; nothing for any other message.
pub fn read_beside(message: &[u8]) -> Option<Reading> {
    (kind(message)? == b"conversation.item.input_audio_transcription.completed").then_some(())?;
    let event: Event<'_> = lenient::whole_object(message)?;
    let mut reading = Reading::default();
    take_usage(event.usage?, &mut reading);
    reading.done = true;
    Some(reading)
}

fn kind(data: &[u8]) -> Option<&[u8]> {
    let head = data.get(..HEAD.min(data.len()))?;
    values(&TYPE, head).filter_map(between_quotes).find(|kind| kind.contains(&b'.') || *kind == b"error")
}

fn between_quotes(value: &[u8]) -> Option<&[u8]> {
    let text = value.strip_prefix(b"\"")?;
    text.get(..memchr::memchr(b'"', text)?)
}

fn delta(kind: &[u8], data: &[u8], reading: &mut Reading) {
    if !kind.starts_with(b"response.") {
        return;
    }
    let Some(value) = values(&DELTA, data).next() else { return };
    if kind.ends_with(b"audio.delta") {
        reading.had_content = !value.starts_with(b"\"\"");
    } else if let Some(text) = first_value::<&RawValue>(value).and_then(unquoted) {
        reading.content(text);
    }
}

fn done(data: &[u8], reading: &mut Reading) {
    reading.done = true;
    let event = lenient::whole_object::<Event<'_>>(data);
    let response = event.and_then(|event| part::<Response<'_>>(event.response, reading));
    let Some(response) = response else { return reading.flag(Flags::METER_ERROR) };
    reading.served(lenient::text(response.model));
    let details = part::<Details<'_>>(response.status_details, reading);
    if let Some(error) = details.as_ref().and_then(|details| details.error) {
        reading.failed(error_code(error));
    }
    let reason = details.and_then(|details| lenient::text(details.reason));
    reading.finished(reason.or_else(|| lenient::text(response.status)));
    if let Some(usage) = response.usage {
        take_usage(usage, reading);
    }
}

fn opened(data: &[u8], reading: &mut Reading) {
    let event = lenient::whole_object::<Event<'_>>(data);
    let Some(session) = event.and_then(|event| part::<Session<'_>>(event.session, reading)) else { return };
    reading.served(lenient::text(session.model));
    reading.kept = lenient::text(session.id);
}

fn late(data: &[u8], reading: &mut Reading) {
    let kind = lenient::whole_object::<Event<'_>>(data).and_then(|event| lenient::text(event.kind));
    match kind.as_deref() {
        Some("response.done") => done(data, reading),
        Some("session.created" | "session.updated") => opened(data, reading),
        _ => {}
    }
}
