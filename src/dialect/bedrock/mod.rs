//! Amazon Bedrock's runtime: `converse`, which is the same for every model, and `invoke`, which carries each model's own.
//!
//! The model and the action stand in the path. Streams are AWS event streams; their events are named by a frame's header.
//! Requests pass as they are: a signature (SigV4) covers the host that the client signed for, so behind an endpoint
//! override only bearer keys reach AWS, and Tollgate signs nothing itself.
//!
//! The cheap look: an event's name says whether it carries a piece, and of a piece only what the model wrote is parsed. An
//! `invoke`'s bytes are decoded first; then the look is that of the model's own format.

mod converse;
mod glance;
mod invoke;
mod native;
mod plain;
mod request;
mod target;
mod usage;

#[cfg(test)]
mod tests;

use http::HeaderMap;

use super::refusal::Style;
use super::{Ask, AskError, Dialect, Operation, Payload, Reading, Route, Streams};
use target::Target;

/// What a path (without slash at its end) asks for, under any prefix.
pub(super) fn route(path: &str) -> Option<Route> {
    let target = Target::of(path)?;
    let (dialect, operation): (&'static dyn Dialect, _) = match target.action {
        "converse" | "converse-stream" => (&Converse, Operation::Chat),
        "invoke" | "invoke-with-response-stream" => (&Invoke, target.invoked()),
        "count-tokens" => (&CountTokens, Operation::CountTokens),
        _ => return None,
    };
    Some(Route { dialect, operation })
}

/// `converse` and `converse-stream`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Converse;

/// `invoke` and `invoke-with-response-stream`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Invoke;

/// Counting tokens, which spends none.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountTokens;

impl Dialect for Converse {
    fn name(&self, _: Operation) -> &'static str {
        "bedrock.converse"
    }

    fn read_request(&self, path: &str, body: &[u8]) -> Result<Ask, AskError> {
        request::converse(path, body)
    }

    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading) {
        reading.had_content = false;
        match payload.name {
            Some(name) => converse::read_event(name, payload.data, reading),
            None => converse::read(payload.data, reading),
        }
    }

    fn streams(&self) -> Streams {
        Streams::Frames
    }

    fn style(&self) -> Style {
        Style::Bedrock
    }
}

impl Dialect for Invoke {
    fn name(&self, _: Operation) -> &'static str {
        "bedrock.invoke"
    }

    fn read_request(&self, path: &str, body: &[u8]) -> Result<Ask, AskError> {
        request::invoke(path, body)
    }

    fn read_head(&self, headers: &HeaderMap, reading: &mut Reading) {
        usage::read_head(headers, reading);
    }

    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading) {
        reading.had_content = false;
        match payload.name {
            Some(name) => invoke::read_event(name, payload.data, reading),
            None => native::read(payload.data, reading),
        }
    }

    fn streams(&self) -> Streams {
        Streams::Frames
    }

    fn style(&self) -> Style {
        Style::Bedrock
    }
}

impl Dialect for CountTokens {
    fn name(&self, _: Operation) -> &'static str {
        "bedrock.count_tokens"
    }

    fn read_request(&self, path: &str, body: &[u8]) -> Result<Ask, AskError> {
        request::converse(path, body)
    }

    fn read_answer(&self, _: Payload<'_>, reading: &mut Reading) {
        reading.had_content = false;
    }

    fn style(&self) -> Style {
        Style::Bedrock
    }
}

/// Notes an exception that ended a stream, or an error, which comes without a payload. Whether it was one.
fn failed(name: &[u8], data: &[u8], reading: &mut Reading) -> bool {
    let failed = data.is_empty() || name.ends_with(b"Exception");
    if failed {
        reading.failed(String::from_utf8_lossy(name).into_owned());
    }
    failed
}
