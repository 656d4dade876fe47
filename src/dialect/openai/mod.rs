//! OpenAI's chat completions, completions and embeddings, and the many providers that copy them.
//!
//! The copies differ in where usage stands, how it is counted and what a chunk may leave out; each known difference is
//! named where it is handled. Answers are read in steps: `glance` deals with the many chunks that only carry text, `whole`
//! with whole answers that are as they should be, `answer` parses whatever else there is.

mod answer;
mod glance;
mod request;
mod splice;
mod usage;
mod whole;

#[cfg(test)]
mod tests;

use super::{Ask, AskError, Dialect, Operation, Payload, Reading, Route};

pub use splice::is_usage_only_chunk;
pub(super) use usage::UsageObject;

/// Which of its operations a path (without slash at its end) names, under any prefix: gateways and Azure put theirs in
/// front, and clients write `/v1/v1`.
pub(super) fn route(path: &str) -> Option<Route> {
    let operation = match () {
        () if path.ends_with("/chat/completions") => Operation::Chat,
        () if path.ends_with("/completions") => Operation::Completion,
        () if path.ends_with("/embeddings") => Operation::Embeddings,
        () => return None,
    };
    Some(Route { dialect: &OpenAi, operation })
}

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenAi;

impl Dialect for OpenAi {
    fn name(&self, operation: Operation) -> &'static str {
        match operation {
            Operation::Completion => "openai.completions",
            Operation::Embeddings => "openai.embeddings",
            _ => "openai.chat",
        }
    }

    fn read_request(&self, path: &str, body: &[u8]) -> Result<Ask, AskError> {
        request::read(path, body)
    }

    fn ask_for_usage(&self, body: &[u8]) -> Option<Vec<u8>> {
        splice::ask_for_usage(body)
    }

    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading) {
        reading.had_content = false;
        let payload = payload.data.trim_ascii();
        // The SDKs stop at anything that begins so.
        if payload.starts_with(b"[DONE]") {
            reading.done = true;
        } else if !payload.is_empty() && !glance::read(payload, reading) && !whole::read(payload, reading) {
            answer::read(payload, reading);
        }
    }
}
