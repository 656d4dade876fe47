//! Anthropic's messages, its older completions, and its counting of tokens.
//!
//! The body is the same wherever it is served: by Anthropic, Azure and the many servers that copy it under
//! `/v1/messages`, by Vertex AI under `:rawPredict`. Batches are no format of their own: what they cost is spent later.
//!
//! The cheap look: an event that says first that it is a `content_block_delta` has nothing but its delta parsed.

mod answer;
mod glance;
mod request;
mod usage;

#[cfg(test)]
mod tests;

use super::{Ask, AskError, Dialect, Operation, Payload, Reading, Route, refusal};

/// Which of its operations a path (without slash at its end) names, under any prefix.
pub(super) fn route(path: &str) -> Option<Route> {
    let operation = match () {
        () if path.ends_with("/v1/messages") => Operation::Chat,
        () if path.ends_with("/v1/messages/count_tokens") => Operation::CountTokens,
        () if path.ends_with("/v1/complete") => Operation::Completion,
        () => match request::vertex_model(path)? {
            "count-tokens" => Operation::CountTokens,
            _ => Operation::Chat,
        },
    };
    Some(Route { dialect: &Anthropic, operation })
}

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anthropic;

impl Dialect for Anthropic {
    fn name(&self, operation: Operation) -> &'static str {
        match operation {
            Operation::Completion => "anthropic.complete",
            Operation::CountTokens => "anthropic.count_tokens",
            _ => "anthropic.messages",
        }
    }

    fn read_request(&self, path: &str, body: &[u8]) -> Result<Ask, AskError> {
        request::read(path, body)
    }

    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading) {
        reading.had_content = false;
        let payload = payload.data.trim_ascii();
        if payload.starts_with(b"[DONE]") {
            // Anthropic never says so; some that copy it do.
            (reading.done, reading.may_go_on) = (true, false);
        } else if !payload.is_empty() && !glance::read(payload, reading) {
            answer::read(payload, reading);
        }
    }

    fn style(&self) -> refusal::Style {
        refusal::Style::Anthropic
    }
}
