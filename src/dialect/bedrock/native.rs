//! The models' own answers, as `invoke` carries them: whole, or one event of a stream.
//!
//! Nothing says which model answers, for its id may be the ARN of a profile, so the shape decides. Anthropic's, OpenAI's
//! (AI21, DeepSeek, Mistral's chat and others) and Nova's are read where those formats are; what is left are `plain`
//! texts. AWS's own count, where there is one, wins and ends the stream.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;

use super::{converse, plain, usage};
use crate::dialect::anthropic::Anthropic;
use crate::dialect::openai::OpenAi;
use crate::dialect::scan::{Raw, part};
use crate::dialect::{Dialect, Flags, Place, Reading, lenient};

static METRICS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"amazon-bedrock-invocationMetrics\""));

/// What tells the shapes apart.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape<'a> {
    /// Anthropic's.
    #[serde(borrow, default, rename = "type")]
    kind: Raw<'a>,
    /// OpenAI's.
    #[serde(borrow, default)]
    choices: Raw<'a>,
    /// Nova's: a whole answer, or one event under its name.
    #[serde(borrow, default)]
    output: Raw<'a>,
    #[serde(borrow, default)]
    content_block_start: Raw<'a>,
    #[serde(borrow, default)]
    content_block_delta: Raw<'a>,
    #[serde(borrow, default)]
    message_stop: Raw<'a>,
    #[serde(borrow, default)]
    metadata: Raw<'a>,
    #[serde(borrow, default, rename = "amazon-bedrock-invocationMetrics")]
    metrics: Raw<'a>,
}

/// What OpenAI's copies on Bedrock say instead of `finish_reason`.
#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    stop_reason: Raw<'a>,
}

/// Reads a whole answer or an event of a stream; what cannot be read sets a flag.
pub(super) fn read(json: &[u8], reading: &mut Reading) {
    // Anthropic's events say so first; a second look at them is needed only for AWS's count.
    if json.starts_with(b"{\"type\":") && METRICS.find(json).is_none() {
        return Anthropic.read_answer(json.into(), reading);
    }
    let Some(shape) = lenient::whole_object::<Shape<'_>>(json) else {
        return reading.flag(Flags::METER_ERROR);
    };
    match () {
        () if shape.kind.is_some() => Anthropic.read_answer(json.into(), reading),
        () if shape.choices.is_some() => openai(json, &shape, reading),
        () if shape.output.is_some_and(|output| output.get().starts_with('{')) => converse::read(json, reading),
        () if shape.reads_as_nova(reading) => {}
        () => plain::read(json, reading),
    }
    if let Some(metrics) = shape.metrics {
        let cache = if shape.choices.is_some() { Place::Deduce } else { Place::Outside };
        usage::read_metrics(metrics, cache, reading);
        reading.done = true;
    }
}

impl Shape<'_> {
    fn reads_as_nova(&self, reading: &mut Reading) -> bool {
        let events = [
            ("contentBlockDelta", self.content_block_delta),
            ("contentBlockStart", self.content_block_start),
            ("messageStop", self.message_stop),
            ("metadata", self.metadata),
        ];
        let mut any = false;
        for (name, raw) in events {
            let Some(event) = raw.filter(|raw| raw.get() != "null") else { continue };
            converse::read_event(name.as_bytes(), event.get().as_bytes(), reading);
            any = true;
        }
        any
    }
}

fn openai(json: &[u8], shape: &Shape<'_>, reading: &mut Reading) {
    OpenAi.read_answer(json.into(), reading);
    for choice in part::<Vec<Choice<'_>>>(shape.choices, reading).unwrap_or_default() {
        reading.finished(lenient::text(choice.stop_reason));
    }
}
