//! Google's own formats, as the Gemini API and Vertex AI speak them: generating content, embeddings, counting tokens, and
//! in `interactions` the newer one for conversations and agents.
//!
//! But for that one, the model and the method stand in the path, so nothing in a body decides what is asked of whom. A stream is either
//! server-sent events (`alt=sse`) or, by default, one JSON list of the same objects; neither has a last event of its
//! own but for the `]` of the list. Each object repeats the usage so far. Models of other makers (`:rawPredict`) speak
//! their own formats and are not read here.
//!
//! No look rules anything out, for each object of a stream has usage: those that are alike are compared, numbers and all,
//! and any other is parsed once.

mod answer;
mod embed;
mod interactions;
mod request;
mod target;
mod usage;

#[cfg(test)]
mod tests;

use super::refusal::Style;
use super::{Ask, AskError, Dialect, Operation, Payload, Reading, Route, Streams};
use interactions::Interactions;
use target::Target;

pub(super) use interactions::route_of_get;
pub(super) use usage::GoogleUsage;

/// What a path (without slash at its end) asks for, under any prefix.
pub(super) fn route(path: &str) -> Option<Route> {
    if let Some(route) = interactions::route(path) {
        return Some(route);
    }
    let target = Target::of(path)?;
    let (dialect, operation): (&'static dyn Dialect, _) = match target.method.as_str() {
        "generateContent" | "streamGenerateContent" => (&GenerateContent, Operation::Chat),
        "embedContent" | "batchEmbedContents" => (&EmbedContent, Operation::Embeddings),
        // Vertex predicts everything by this method.
        "predict" if target.model.contains("embed") => (&EmbedContent, Operation::Embeddings),
        "countTokens" | "computeTokens" => (&CountTokens, Operation::CountTokens),
        _ => return None,
    };
    Some(Route { dialect, operation })
}

/// All that the routes above may choose.
pub(super) const ALL: [&dyn Dialect; 4] = [&GenerateContent, &EmbedContent, &CountTokens, &Interactions::Made];

/// `generateContent`, whole or as a stream.
#[derive(Clone, Copy, Debug)]
struct GenerateContent;

/// Embeddings, by any of their methods.
#[derive(Clone, Copy, Debug)]
struct EmbedContent;

/// Counting tokens, which spends none.
#[derive(Clone, Copy, Debug)]
struct CountTokens;

impl Dialect for GenerateContent {
    fn name(&self, _: Operation) -> &'static str {
        "google.generate_content"
    }

    fn read_request(&self, path: &str, body: &[u8]) -> Result<Ask, AskError> {
        request::read(path, body)
    }

    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading) {
        reading.had_content = false;
        each(payload.data, reading, answer::read);
    }

    fn streams(&self) -> Streams {
        Streams::Objects
    }

    fn style(&self) -> Style {
        Style::Google
    }
}

impl Dialect for EmbedContent {
    fn name(&self, _: Operation) -> &'static str {
        "google.embed_content"
    }

    fn read_request(&self, path: &str, body: &[u8]) -> Result<Ask, AskError> {
        request::read(path, body)
    }

    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading) {
        reading.had_content = false;
        each(payload.data, reading, embed::read);
    }

    fn style(&self) -> Style {
        Style::Google
    }
}

impl Dialect for CountTokens {
    fn name(&self, _: Operation) -> &'static str {
        "google.count_tokens"
    }

    fn read_request(&self, path: &str, body: &[u8]) -> Result<Ask, AskError> {
        request::read(path, body)
    }

    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading) {
        reading.had_content = false;
        each(payload.data, reading, answer::read_error);
    }

    fn style(&self) -> Style {
        Style::Google
    }
}

/// Reads a payload: one object, the end of a list of them, or, where a list came as one body, each of its objects.
fn each(data: &[u8], reading: &mut Reading, read: fn(&[u8], &mut Reading)) {
    match data.trim_ascii() {
        [] => {}
        // Google sends no `[DONE]`, but gateways do.
        b"]" | b"[DONE]" => reading.done = true,
        list if list.starts_with(b"[") => answer::read_list(list, reading, read),
        object => read(object, reading),
    }
}
