//! Ollama's chat, generation and embeddings.
//!
//! It streams one JSON text on each line, and streams unless told not to. The last object of an answer has `done` and the
//! counts; beside them stand durations, which are kept in `raw`. A prompt that was in its cache has no count in some
//! versions: then there is none, not zero.
//!
//! The cheap look: an object that is not `done` has neither counts nor a reason, so only its text is parsed.

mod answer;
mod glance;
mod request;

#[cfg(test)]
mod tests;

use super::refusal::Style;
use super::{Ask, AskError, Dialect, Operation, Payload, Reading, Route, Streams};

/// Which of its operations a path (without slash at its end) names, under any prefix.
pub(super) fn route(path: &str) -> Option<Route> {
    let operation = match () {
        () if path.ends_with("/api/chat") => Operation::Chat,
        () if path.ends_with("/api/generate") => Operation::Completion,
        () if path.ends_with("/api/embed") || path.ends_with("/api/embeddings") => Operation::Embeddings,
        () => return None,
    };
    Some(Route { dialect: &Ollama, operation })
}

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ollama;

impl Dialect for Ollama {
    fn name(&self, operation: Operation) -> &'static str {
        match operation {
            Operation::Completion => "ollama.generate",
            Operation::Embeddings => "ollama.embed",
            _ => "ollama.chat",
        }
    }

    fn read_request(&self, path: &str, body: &[u8]) -> Result<Ask, AskError> {
        request::read(path, body)
    }

    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading) {
        reading.had_content = false;
        let payload = payload.data.trim_ascii();
        if !payload.is_empty() && !glance::read(payload, reading) {
            answer::read(payload, reading);
        }
    }

    fn streams(&self) -> Streams {
        Streams::Lines
    }

    fn style(&self) -> Style {
        Style::Ollama
    }
}
