//! LLMstudio's `/api/engine/chat/{provider}`: OpenAI's answers with measurements of its own beside them.
//!
//! A stream is JSON objects one after the other under `application/json`; the last has `metrics`. Where its `usage` is
//! null the tokens stand only there. A finish reason `length` is rewritten to `stop` before it gets here, so it cannot
//! be known. Its total counts reasoning twice; such a total is left to the sum.
//!
//! The cheap look: an object whose `metrics` are null is OpenAI's chunk, and looked at as that.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::openai::OpenAi;
use super::refusal::Style;
use super::{Ask, AskError, Counts, Dialect, Operation, Payload, Place, Reading, Route, Streams, lenient};
use crate::types::NanoUsd;

/// Which of its operations a path names: the provider is its last part.
pub(super) fn route(path: &str) -> Option<Route> {
    let (rest, provider) = path.rsplit_once('/')?;
    let chat = rest.ends_with("/api/engine/chat") && !provider.is_empty();
    chat.then_some(Route { dialect: &LlmStudio, operation: Operation::Chat })
}

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub(super) struct LlmStudio;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "lenient::value")]
    is_stream: Option<bool>,
    #[serde(borrow, default)]
    chat_input: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "lenient::object")]
    parameters: Option<Parameters>,
    // Its newer version takes parameters here too.
    #[serde(default, deserialize_with = "lenient::count")]
    max_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::value")]
    temperature: Option<f64>,
    #[serde(default, deserialize_with = "lenient::value")]
    top_p: Option<f64>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Parameters {
    #[serde(default, deserialize_with = "lenient::count")]
    max_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::value")]
    temperature: Option<f64>,
    #[serde(default, deserialize_with = "lenient::value")]
    top_p: Option<f64>,
    #[serde(default, deserialize_with = "lenient::count")]
    n: Option<u64>,
}

/// What it adds to OpenAI's objects.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    deployment: Option<&'a RawValue>,
    #[serde(borrow, default)]
    metrics: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Metrics<'a> {
    #[serde(default, deserialize_with = "lenient::count")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    output_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    total_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    cached_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    reasoning_tokens: Option<u64>,
    #[serde(borrow, default)]
    cost_usd: Option<&'a RawValue>,
}

impl Dialect for LlmStudio {
    fn name(&self, _: Operation) -> &'static str {
        "llmstudio.chat"
    }

    fn read_request(&self, _: &str, body: &[u8]) -> Result<Ask, AskError> {
        let request: Request<'_> = lenient::whole_object(body).ok_or(AskError::NotJson)?;
        let parameters = request.parameters.unwrap_or_default();
        Ok(Ask {
            model: Some(lenient::text(request.model).ok_or(AskError::NoModel)?),
            stream: request.is_stream.unwrap_or(false),
            max_tokens: parameters.max_tokens.or(request.max_tokens),
            choices: parameters.n.unwrap_or(1).max(1),
            temperature: parameters.temperature.or(request.temperature),
            top_p: parameters.top_p.or(request.top_p),
            input_bytes: request.chat_input.map_or(0, |input| input.get().len() as u64),
            ..Ask::default()
        })
    }

    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading) {
        static METRICS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"metrics\""));
        // Every object repeats the conversation, so only the first and the last are read for what is added.
        let first = reading.model_served.is_none();
        let measured = METRICS.find(payload.data).is_some_and(|at| !is_null_after(payload.data, at));
        let added = (first || measured).then(|| lenient::whole_object::<Answer<'_>>(payload.data)).flatten();
        if let Some(added) = &added {
            reading.served(lenient::text(added.deployment));
        }
        OpenAi.read_answer(payload, reading);
        if let Some(added) = added {
            take_metrics(&added, reading);
        }
    }

    fn streams(&self) -> Streams {
        Streams::Objects
    }

    fn style(&self) -> Style {
        Style::LlmStudio
    }
}

/// Whether the value of the key that begins at `at` is null.
fn is_null_after(data: &[u8], at: usize) -> bool {
    let value = data.get(at + "\"metrics\"".len()..).unwrap_or_default().trim_ascii_start();
    value.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"null"))
}

fn take_metrics(added: &Answer<'_>, reading: &mut Reading) {
    let Some(raw) = added.metrics else { return };
    let Some(metrics) = lenient::inner_object::<Metrics<'_>>(raw) else { return };
    if added.usage.is_none_or(|usage| usage.get() == "null") {
        reading.reported(&metrics.counts(), raw);
    }
    reading.provider_cost = metrics.cost().or(reading.provider_cost);
    // Only the last object is measured.
    reading.done = true;
}

impl Metrics<'_> {
    fn counts(&self) -> Counts {
        let sum = self.input_tokens.zip(self.output_tokens).map(|(input, output)| input.saturating_add(output));
        let twice = sum.zip(self.reasoning_tokens).map(|(sum, reasoning)| sum.saturating_add(reasoning));
        Counts {
            input: self.input_tokens,
            output: self.output_tokens,
            total: self.total_tokens.filter(|total| Some(*total) != twice),
            cache_read: self.cached_tokens,
            reasoning: self.reasoning_tokens,
            cache: Place::Inside,
            thought: Place::Inside,
            ..Counts::default()
        }
    }

    fn cost(&self) -> Option<NanoUsd> {
        self.cost_usd.and_then(|raw| serde_json::from_str(raw.get()).ok()).and_then(NanoUsd::from_usd)
    }
}

#[cfg(test)]
mod tests;
