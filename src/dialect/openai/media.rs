//! OpenAI's pictures, sound and moderations.
//!
//! What is billed differs: tokens, pictures, seconds heard, or characters spoken. Tokens and seconds are the provider's,
//! pictures are counted as they come, characters stand in the request and are counted there. An answer that is sound or
//! plain text reports nothing and is not looked at.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::answer::{error_code, take_text, take_usage};
use super::request;
use super::usage::milliseconds;
use crate::dialect::scan::part;
use crate::dialect::{Ask, AskError, Counts, Dialect, Flags, Operation, Payload, Reading, lenient};

type Raw<'a> = Option<&'a RawValue>;

/// The dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// Pictures made or changed.
    Images,
    /// Text spoken.
    Speech,
    /// Speech written down, translated or not.
    Transcriptions,
    /// Texts judged.
    Moderations,
}

/// A whole answer or a stream's event.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    model: Raw<'a>,
    #[serde(borrow, default)]
    usage: Raw<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
    #[serde(borrow, default)]
    data: Raw<'a>,
    #[serde(borrow, default, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow, default)]
    delta: Raw<'a>,
    #[serde(borrow, default)]
    text: Raw<'a>,
    #[serde(borrow, default)]
    duration: Raw<'a>,
}

#[derive(Deserialize)]
struct Spoken<'a> {
    #[serde(borrow, default)]
    input: Raw<'a>,
}

impl Dialect for Media {
    fn name(&self, _: Operation) -> &'static str {
        match self {
            Self::Images => "openai.images",
            Self::Speech => "openai.speech",
            Self::Transcriptions => "openai.transcriptions",
            Self::Moderations => "openai.moderations",
        }
    }

    fn read_request(&self, path: &str, body: &[u8]) -> Result<Ask, AskError> {
        request::read_any(path, body)
    }

    fn characters(&self, body: &[u8]) -> Option<u64> {
        if *self != Self::Speech {
            return None;
        }
        let spoken: Spoken<'_> = lenient::whole_object(body)?;
        let text: String = serde_json::from_str(spoken.input?.get()).ok()?;
        Some(text.chars().count() as u64)
    }

    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading) {
        reading.had_content = false;
        let data = payload.data.trim_ascii();
        if data.starts_with(b"[DONE]") {
            reading.done = true;
        } else if payload.name.is_some_and(|name| name.ends_with(b".partial_image")) {
            // A preview of megabytes, in which nothing else stands.
            reading.had_content = true;
        } else if !data.is_empty() {
            match lenient::whole_object::<Answer<'_>>(data) {
                Some(answer) => self.take(&answer, reading),
                None => reading.flag(Flags::METER_ERROR),
            }
        }
    }
}

impl Media {
    fn take(self, answer: &Answer<'_>, reading: &mut Reading) {
        reading.served(lenient::text(answer.model));
        if let Some(error) = answer.error {
            reading.failed(error_code(error));
        }
        if let Some(usage) = answer.usage {
            take_usage(usage, reading);
        }
        match lenient::text(answer.kind) {
            Some(kind) => take_event(&kind, answer, reading),
            None => self.take_whole(answer, reading),
        }
    }

    fn take_whole(self, answer: &Answer<'_>, reading: &mut Reading) {
        match self {
            Self::Images => {
                let pictures = part::<Vec<IgnoredAny>>(answer.data, reading).map(|all| all.len() as u64);
                reading.counted(&Counts { images: pictures, ..Counts::default() });
            }
            Self::Transcriptions => {
                take_text(answer.text, reading);
                // Whisper says how long it listened, as a number or in a string.
                let heard = answer.duration.and_then(|raw| raw.get().trim_matches('"').parse().ok());
                if !reading.has_usage() {
                    reading.counted(&Counts { audio_ms: heard.and_then(milliseconds), ..Counts::default() });
                }
            }
            Self::Speech | Self::Moderations => {}
        }
    }
}

fn take_event(kind: &str, answer: &Answer<'_>, reading: &mut Reading) {
    match kind {
        "image_generation.completed" | "image_edit.completed" => {
            reading.had_content = true;
            reading.one_more_picture();
            reading.done = true;
        }
        "image_generation.partial_image" | "image_edit.partial_image" | "speech.audio.delta" => {
            reading.had_content = true;
        }
        "transcript.text.delta" => take_text(answer.delta, reading),
        "transcript.text.done" | "speech.audio.done" => reading.done = true,
        _ => {}
    }
}
