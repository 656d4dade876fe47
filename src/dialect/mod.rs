//! Wire formats: what is the model, is it a stream, where is usage, what is a token, how is a refusal said.
//!
//! A dialect reads on the side and never changes a byte. Whatever it cannot understand becomes a flag, never an error
//! or a panic: answers are other people's bytes. It works on payloads (one stream event's data, or one whole body);
//! cutting a body into payloads is `meter::framing`. One file or folder per format; [`route`] chooses by path.

mod ask;
mod counts;
mod flags;
mod lenient;
pub mod openai;
mod reading;
pub mod refusal;
mod unknown;

use std::fmt;

use http::Method;

use crate::config::DialectChoice;

pub use ask::{Ask, AskError};
pub use counts::{Counts, Place};
pub use flags::Flags;
pub use reading::Reading;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A conversation's next message.
    Chat,
    /// A text's continuation.
    Completion,
    /// Vectors for texts.
    Embeddings,
    /// Anything else.
    Other,
}

impl Operation {
    /// As written in events and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completion => "completion",
            Self::Embeddings => "embeddings",
            Self::Other => "other",
        }
    }

    /// Whether its answer always costs tokens, reported or not.
    pub fn has_tokens(self) -> bool {
        self != Self::Other
    }
}

/// How one request and its answer are read.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The wire format.
    pub dialect: &'static dyn Dialect,
    /// What is asked for.
    pub operation: Operation,
}

impl Route {
    /// The dialect's name in events, such as `openai.chat`.
    pub fn name(&self) -> &'static str {
        self.dialect.name(self.operation)
    }
}

/// One wire format.
pub trait Dialect: fmt::Debug + Send + Sync {
    /// The name in events.
    fn name(&self, operation: Operation) -> &'static str;

    /// Reads what a request asks for. Some formats name the model in the path, so it is given too (without query).
    fn read_request(&self, path: &str, body: &[u8]) -> Result<Ask, AskError>;

    /// Reads one stream event's data, or one whole body, into `reading`. What cannot be read sets a flag there.
    fn read_answer(&self, payload: &[u8], reading: &mut Reading);
}

/// Chooses the dialect of a request by its path (without query). What no dialect knows is passed through as `unknown`.
pub fn route(choice: DialectChoice, method: &Method, path: &str) -> Route {
    match choice {
        // OpenAI's other endpoints (images, audio, files) have no shape in common: `unknown` finds their usage too.
        DialectChoice::Auto | DialectChoice::OpenAi => by_path(method, path),
    }
}

fn by_path(method: &Method, path: &str) -> Route {
    let path = path.trim_end_matches('/');
    let operation = match () {
        () if method != Method::POST => Operation::Other,
        // Under any prefix: gateways and Azure put theirs in front, and clients write `/v1/v1`.
        () if path.ends_with("/chat/completions") => Operation::Chat,
        () if path.ends_with("/completions") => Operation::Completion,
        () if path.ends_with("/embeddings") => Operation::Embeddings,
        () => Operation::Other,
    };
    let dialect: &'static dyn Dialect = if operation == Operation::Other { &unknown::Unknown } else { &openai::OpenAi };
    Route { dialect, operation }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{Operation, route};
    use crate::config::DialectChoice;

    #[test]
    fn the_path_chooses_dialect_and_operation_under_any_prefix() {
        let cases = [
            ("/v1/chat/completions", "openai.chat", Operation::Chat),
            ("/chat/completions", "openai.chat", Operation::Chat),
            ("/v1/v1/chat/completions/", "openai.chat", Operation::Chat),
            ("/openai/deployments/my-gpt/chat/completions", "openai.chat", Operation::Chat),
            ("/v1/completions", "openai.completions", Operation::Completion),
            ("/v1/engines/davinci/completions", "openai.completions", Operation::Completion),
            ("/v1/embeddings", "openai.embeddings", Operation::Embeddings),
            ("/v1/models", "unknown", Operation::Other),
            ("/v1/mychat/completionsx", "unknown", Operation::Other),
            ("/", "unknown", Operation::Other),
        ];
        for (path, name, operation) in cases {
            let route = route(DialectChoice::Auto, &Method::POST, path);
            assert_eq!((route.name(), route.operation), (name, operation), "{path}");
        }
    }

    #[test]
    fn only_post_asks_a_model() {
        let route = route(DialectChoice::OpenAi, &Method::GET, "/v1/chat/completions");
        assert_eq!((route.name(), route.operation.as_str()), ("unknown", "other"));
    }
}
