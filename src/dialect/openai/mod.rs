//! OpenAI's chat completions, completions and embeddings, and the many providers that copy them.
//!
//! The copies differ in where usage stands, how it is counted and what a chunk may leave out; each known difference is
//! named where it is handled. Answers are read in two steps: `glance` deals with the many chunks that only carry text,
//! `answer` parses whatever else there is.

mod answer;
mod glance;
mod request;
mod splice;
mod usage;

#[cfg(test)]
mod tests;

use super::{Ask, AskError, Dialect, Operation, Reading};

pub use splice::{ask_for_usage, is_usage_only_chunk};
pub(super) use usage::UsageObject;

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenAi;

impl Dialect for OpenAi {
    fn name(&self, operation: Operation) -> &'static str {
        match operation {
            Operation::Completion => "openai.completions",
            Operation::Embeddings => "openai.embeddings",
            Operation::Chat | Operation::Other => "openai.chat",
        }
    }

    fn read_request(&self, path: &str, body: &[u8]) -> Result<Ask, AskError> {
        request::read(path, body)
    }

    fn read_answer(&self, payload: &[u8], reading: &mut Reading) {
        reading.had_content = false;
        let payload = payload.trim_ascii();
        // The SDKs stop at anything that begins so.
        if payload.starts_with(b"[DONE]") {
            reading.done = true;
        } else if !payload.is_empty() && !glance::read(payload, reading) {
            answer::read(payload, reading);
        }
    }
}
