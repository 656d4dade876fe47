//! UsageGuard's `/v1/inference/chat` and `/v1/inference/completion`.
//!
//! Three generations of its documentation differ in the case of names and in where they stand; all are read. A stream
//! is server-sent events: text as a plain `content`, then one usage chunk, then `[DONE]`, without a finish reason. The
//! documentation prints a chunk's JSON over two lines, which cuts it short on the wire: what is left of it is read.
//!
//! The cheap look: a chunk without the keys of usage, end and error has only text, and only that is parsed.

mod answer;
mod glance;
mod request;

#[cfg(test)]
mod tests;

use super::refusal::Style;
use super::{Ask, AskError, Dialect, Operation, Payload, Reading, Route};

/// Which of its operations a path names.
pub(super) fn route(path: &str) -> Option<Route> {
    let operation = match () {
        () if path.ends_with("/inference/chat") => Operation::Chat,
        () if path.ends_with("/inference/completion") => Operation::Completion,
        () => return None,
    };
    Some(Route { dialect: &UsageGuard, operation })
}

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub(super) struct UsageGuard;

impl Dialect for UsageGuard {
    fn name(&self, operation: Operation) -> &'static str {
        match operation {
            Operation::Completion => "usageguard.completion",
            _ => "usageguard.chat",
        }
    }

    fn read_request(&self, _: &str, body: &[u8]) -> Result<Ask, AskError> {
        request::read(body)
    }

    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading) {
        reading.had_content = false;
        let payload = payload.data.trim_ascii();
        if !glance::read(payload, reading) {
            answer::read(payload, reading);
        }
    }

    fn style(&self) -> Style {
        Style::UsageGuard
    }
}
