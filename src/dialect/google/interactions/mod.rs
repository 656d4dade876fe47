//! Google's Interactions, whole and as a stream, and the same object when it is asked for again.
//!
//! The model, or the agent, stands in the body. Usage comes with the interaction when it is over: in the whole object, or
//! within the last event of a stream, which is always server-sent events. An interaction in the background
//! (`background: true`) is answered before it is generated. Nothing in the object says that it was, so what a later request
//! for it shows is told by the interaction's id: usage that came by before is repeated, and any other counts.
//!
//! No key stands first in an event, and its type comes last: events are parsed, but for those that are like one before.

mod answer;
mod request;

#[cfg(test)]
mod tests;

use crate::dialect::refusal::Style;
use crate::dialect::{Ask, AskError, Dialect, Operation, Payload, Reading, Route};

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub(super) enum Interactions {
    /// The request makes the interaction.
    Made,
    /// The request asks for an interaction that another one made, or cancels it.
    Again,
}

/// What a path (without slash at its end) asks for by `POST`.
pub(super) fn route(path: &str) -> Option<Route> {
    if path.ends_with("/interactions") {
        return Some(Route { dialect: &Interactions::Made, operation: Operation::Chat });
    }
    route_of_get(path.strip_suffix("/cancel")?)
}

/// The same by `GET`: what only asks for what is there has no usage of its own, but an interaction in the background. No
/// other of Google's formats is asked for so.
pub(in crate::dialect) fn route_of_get(path: &str) -> Option<Route> {
    let (list, id) = path.rsplit_once('/')?;
    let is_one = list.ends_with("/interactions") && !id.is_empty();
    is_one.then_some(Route { dialect: &Interactions::Again, operation: Operation::Other })
}

impl Dialect for Interactions {
    fn name(&self, _: Operation) -> &'static str {
        "google.interactions"
    }

    fn read_request(&self, _: &str, body: &[u8]) -> Result<Ask, AskError> {
        match self {
            Self::Made => request::read(body),
            Self::Again => Ok(Ask { choices: 1, ..Ask::default() }),
        }
    }

    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading) {
        reading.had_content = false;
        let data = payload.data.trim_ascii();
        if data.starts_with(b"[DONE]") {
            reading.done = true;
        } else if !data.is_empty() {
            answer::read(data, reading);
        }
    }

    fn style(&self) -> Style {
        Style::Google
    }
}
