//! Wire formats: what is the model, is it a stream, where is usage, what is a token, how is a refusal said.
//!
//! A dialect reads on the side and never changes a byte. Whatever it cannot understand becomes a flag, never an error
//! or a panic: answers are other people's bytes. It works on payloads (one stream event's data, or one whole body);
//! cutting a body into payloads is `meter::framing`. One file or folder per format; [`route`] chooses by path.

mod anthropic;
mod ask;
mod bedrock;
mod cohere;
mod counts;
mod flags;
mod google;
mod lenient;
mod ollama;
pub mod openai;
mod path;
mod reading;
pub mod refusal;
mod scan;
mod size;
mod unknown;

use std::fmt;

use http::{HeaderMap, Method};

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
    /// Documents, ordered by how well they answer a query.
    Rerank,
    /// Pictures.
    Image,
    /// Speech made from text.
    Speech,
    /// Text made from speech, translated or not.
    Transcription,
    /// A judgement of a text.
    Moderation,
    /// A count of what a request would cost; it costs nothing itself.
    CountTokens,
    /// A conversation in both directions at once.
    Realtime,
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
            Self::Rerank => "rerank",
            Self::Image => "image",
            Self::Speech => "speech",
            Self::Transcription => "transcription",
            Self::Moderation => "moderation",
            Self::CountTokens => "count_tokens",
            Self::Realtime => "realtime",
            Self::Other => "other",
        }
    }

    /// Whether its answer always costs tokens, reported or not.
    pub fn has_tokens(self) -> bool {
        matches!(self, Self::Chat | Self::Completion | Self::Embeddings)
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

/// What a dialect reads at once: one stream event, or one whole body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Payload<'a> {
    /// The event's name, where the framing has names: SSE's `event`, the AWS event stream's `:event-type`.
    pub name: Option<&'a [u8]>,
    /// The data, mostly one JSON text.
    pub data: &'a [u8],
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(data: &'a [u8]) -> Self {
        Self { name: None, data }
    }
}

/// How a stream is cut into payloads where its content type does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// Server-sent events.
    Events,
    /// One JSON text on each line.
    Lines,
    /// JSON objects one after the other, with or without a list around them.
    Objects,
    /// AWS's binary event stream.
    Frames,
}

/// One wire format.
pub trait Dialect: fmt::Debug + Send + Sync {
    /// The name in events.
    fn name(&self, operation: Operation) -> &'static str;

    /// Reads what a request asks for. Some formats name the model in the path, so it is given too (without query).
    fn read_request(&self, path: &str, body: &[u8]) -> Result<Ask, AskError>;

    /// Reads what an answer's head says, before its body.
    fn read_head(&self, _headers: &HeaderMap, _reading: &mut Reading) {}

    /// Reads one payload into `reading`. What cannot be read sets a flag there.
    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading);

    /// How this format frames a stream under a content type that does not say.
    fn streams(&self) -> Streams {
        Streams::Events
    }

    /// In whose words its clients are refused.
    fn style(&self) -> refusal::Style {
        refusal::Style::OpenAi
    }
}

/// Chooses the dialect of a request by its path (without query). What no dialect knows is passed through as `unknown`.
pub fn route(choice: DialectChoice, method: &Method, path: &str) -> Route {
    match choice {
        // OpenAI's other endpoints (images, audio, files) have no shape in common: `unknown` finds their usage too.
        DialectChoice::Auto | DialectChoice::OpenAi => by_path(method, path),
    }
}

/// The formats by their paths. Each looks at the end of the path only: gateways put prefixes in front.
const FAMILIES: [fn(&str) -> Option<Route>; 6] =
    [anthropic::route, cohere::route, ollama::route, openai::route, google::route, bedrock::route];

fn by_path(method: &Method, path: &str) -> Route {
    let path = path.trim_end_matches('/');
    let known = (method == Method::POST).then(|| FAMILIES.iter().find_map(|family| family(path))).flatten();
    known.unwrap_or(Route { dialect: &unknown::Unknown, operation: Operation::Other })
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
            ("/v1/messages", "anthropic.messages", Operation::Chat),
            ("/anthropic/v1/messages/", "anthropic.messages", Operation::Chat),
            ("/v1/v1/messages", "anthropic.messages", Operation::Chat),
            (
                "/v1/projects/p/locations/l/publishers/anthropic/models/claude-x@1:streamRawPredict",
                "anthropic.messages",
                Operation::Chat,
            ),
            (
                "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict",
                "anthropic.count_tokens",
                Operation::CountTokens,
            ),
            ("/v1/messages/count_tokens", "anthropic.count_tokens", Operation::CountTokens),
            ("/v1/complete", "anthropic.complete", Operation::Completion),
            ("/v1/messages/batches", "unknown", Operation::Other),
            ("/v1/messages/batches/b/cancel", "unknown", Operation::Other),
            ("/v1/threads/t/messages", "unknown", Operation::Other),
            ("/v2/chat", "cohere.chat", Operation::Chat),
            ("/v1/chat", "cohere.chat", Operation::Chat),
            ("/v2/embed", "cohere.embed", Operation::Embeddings),
            ("/gateway/v1/embed", "cohere.embed", Operation::Embeddings),
            ("/v1/rerank", "cohere.rerank", Operation::Rerank),
            ("/v2/rerank", "cohere.rerank", Operation::Rerank),
            ("/v1/classify", "unknown", Operation::Other),
            ("/v1/summarize", "unknown", Operation::Other),
            ("/api/chat", "ollama.chat", Operation::Chat),
            ("/ollama/api/generate", "ollama.generate", Operation::Completion),
            ("/api/embed", "ollama.embed", Operation::Embeddings),
            ("/api/embeddings", "ollama.embed", Operation::Embeddings),
            ("/api/pull", "unknown", Operation::Other),
            ("/api/chat/completions", "openai.chat", Operation::Chat),
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
