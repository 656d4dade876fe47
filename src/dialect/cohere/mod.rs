//! Cohere's chat, embeddings and reranking, in both versions of its API.
//!
//! Version 2 streams events with names, version 1 one JSON text on each line; both are told by what a payload holds, so a
//! gateway may translate one framing into the other. Cohere counts tokens and bills others: both are kept. Its answers
//! name no model.
//!
//! The cheap look: an event says first, or in so many words, that it is a piece of text, and only that is parsed.

mod answer;
mod glance;
mod request;
mod usage;

#[cfg(test)]
mod tests;

use super::refusal::Style;
use super::{Ask, AskError, Dialect, Operation, Payload, Reading, Route, Streams};

/// Which of its operations a path (without slash at its end) names, under any prefix. The second version is told from the
/// first by how it streams, no more.
pub(super) fn route(path: &str) -> Option<Route> {
    let (rest, operation) = path.rsplit_once('/')?;
    let operation = match operation {
        "chat" => Operation::Chat,
        "embed" => Operation::Embeddings,
        "rerank" => Operation::Rerank,
        _ => return None,
    };
    match rest.rsplit('/').next()? {
        "v1" => Some(Route { dialect: &V1, operation }),
        "v2" => Some(Route { dialect: &V2, operation }),
        _ => None,
    }
}

/// Either version, with how it frames a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cohere(Streams);

pub(super) const V1: Cohere = Cohere(Streams::Lines);
pub(super) const V2: Cohere = Cohere(Streams::Events);

impl Dialect for Cohere {
    fn name(&self, operation: Operation) -> &'static str {
        match operation {
            Operation::Embeddings => "cohere.embed",
            Operation::Rerank => "cohere.rerank",
            _ => "cohere.chat",
        }
    }

    fn read_request(&self, _: &str, body: &[u8]) -> Result<Ask, AskError> {
        request::read(body)
    }

    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading) {
        reading.had_content = false;
        let payload = payload.data.trim_ascii();
        if payload.starts_with(b"[DONE]") {
            reading.done = true;
        } else if !payload.is_empty() && !glance::read(payload, reading) {
            answer::read(payload, reading);
        }
    }

    fn streams(&self) -> Streams {
        self.0
    }

    fn style(&self) -> Style {
        Style::Cohere
    }
}
