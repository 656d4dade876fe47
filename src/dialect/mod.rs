//! Wire formats: what is the model, is it a stream, where is usage, what is a token, how is a refusal said.
//!
//! A dialect reads on the side and never changes a byte. Whatever it cannot understand becomes a flag, never an error
//! or a panic: answers are other people's bytes. It works on payloads (one stream event's data, or one whole body);
//! cutting a body into payloads is `meter::framing`. One file or folder per format; [`route`] chooses by path.

mod ask;
mod brconnector;
mod counts;
mod flags;
mod lenient;
mod llmstudio;
pub mod openai;
mod reading;
pub mod refusal;
mod unknown;
mod usageguard;

use std::collections::BTreeSet;
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
    const ALL: [Self; 11] = [
        Self::Chat,
        Self::Completion,
        Self::Embeddings,
        Self::Rerank,
        Self::Image,
        Self::Speech,
        Self::Transcription,
        Self::Moderation,
        Self::CountTokens,
        Self::Realtime,
        Self::Other,
    ];

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

    /// In whose words clients of this route are refused. What no dialect knows goes by its path.
    pub fn style(&self, path: &str) -> refusal::Style {
        match self.operation {
            Operation::Other => refusal::Style::of_path(path),
            _ => self.dialect.style(),
        }
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

    /// Reads one payload into `reading`. What cannot be read sets a flag there.
    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading);

    /// How this format frames a stream under a content type that does not say.
    fn streams(&self) -> Streams {
        Streams::Events
    }

    /// The request's body with a wish for usage in the stream added, where this format leaves usage out unless asked.
    fn ask_for_usage(&self, _body: &[u8]) -> Option<Vec<u8>> {
        None
    }

    /// In whose words its clients are refused.
    fn style(&self) -> refusal::Style {
        refusal::Style::OpenAi
    }
}

/// Which of a family's operations a path (without slash at its end) names.
type Family = fn(&str) -> Option<Route>;

/// The formats by their paths, each with the choice that allows no other. Each looks at the end of the path only:
/// gateways put prefixes in front. The first that knows a path has it.
const FAMILIES: [(DialectChoice, Family); 4] = [
    (DialectChoice::OpenAi, openai::route),
    (DialectChoice::UsageGuard, usageguard::route),
    (DialectChoice::LlmStudio, llmstudio::route),
    (DialectChoice::BrConnector, brconnector::route),
];

/// Every format.
const DIALECTS: [&dyn Dialect; 5] =
    [&openai::OpenAi, &usageguard::UsageGuard, &llmstudio::LlmStudio, &brconnector::BrConnector, &unknown::Unknown];

/// Chooses the dialect of a request by its path (without query), among all or those of one family. What none of them
/// knows is passed through as `unknown`, which finds usage of the common shapes too.
pub fn route(choice: DialectChoice, method: &Method, path: &str) -> Route {
    let path = path.trim_end_matches('/');
    let mut families = FAMILIES.iter().filter(|(of, _)| choice == DialectChoice::Auto || choice == *of);
    let known = (method == Method::POST).then(|| families.find_map(|(_, family)| family(path))).flatten();
    known.unwrap_or(Route { dialect: &unknown::Unknown, operation: Operation::Other })
}

/// Every name by which an event may call its dialect.
pub fn names() -> BTreeSet<&'static str> {
    DIALECTS.iter().flat_map(|dialect| Operation::ALL.map(|operation| dialect.name(operation))).collect()
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::refusal::Style;
    use super::{Operation, names, route};
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
            ("/v1/inference/chat", "usageguard.chat", Operation::Chat),
            ("/v1/inference/completion", "usageguard.completion", Operation::Completion),
            ("/api/engine/chat/openai", "llmstudio.chat", Operation::Chat),
            ("/api/engine/chat/", "unknown", Operation::Other),
            ("/v1/models", "unknown", Operation::Other),
            ("/v1/mychat/completionsx", "unknown", Operation::Other),
            ("/", "unknown", Operation::Other),
        ];
        for (path, name, operation) in cases {
            let route = route(DialectChoice::Auto, &Method::POST, path);
            assert_eq!((route.name(), route.operation), (name, operation), "{path}");
            assert!(names().contains(name), "{name} is listed");
        }
    }

    #[test]
    fn a_configured_family_allows_no_other() {
        let cases = [
            (DialectChoice::OpenAi, "/v1/chat/completions", "openai.chat"),
            (DialectChoice::OpenAi, "/v1/inference/chat", "unknown"),
            (DialectChoice::UsageGuard, "/v1/inference/chat", "usageguard.chat"),
            (DialectChoice::UsageGuard, "/v1/chat/completions", "unknown"),
            (DialectChoice::LlmStudio, "/engine/api/engine/chat/openai", "llmstudio.chat"),
            (DialectChoice::BrConnector, "/v1/chat/completions", "brconnector.chat"),
            (DialectChoice::BrConnector, "/v1/embeddings", "brconnector.embeddings"),
        ];
        for (choice, path, name) in cases {
            assert_eq!(route(choice, &Method::POST, path).name(), name, "{choice:?} {path}");
        }
    }

    #[test]
    fn the_dialect_says_how_its_clients_are_refused_and_the_path_where_none_is_known() {
        let style = |choice, path| route(choice, &Method::POST, path).style(path);
        assert_eq!(style(DialectChoice::Auto, "/v1/chat/completions"), Style::OpenAi);
        assert_eq!(style(DialectChoice::BrConnector, "/v1/chat/completions"), Style::BrConnector);
        assert_eq!(style(DialectChoice::Auto, "/v1/inference/chat"), Style::UsageGuard);
        assert_eq!(style(DialectChoice::Auto, "/v1/messages/batches"), Style::Anthropic);
        assert_eq!(style(DialectChoice::Auto, "/v1/models"), Style::OpenAi);
    }

    #[test]
    fn only_post_asks_a_model() {
        let route = route(DialectChoice::OpenAi, &Method::GET, "/v1/chat/completions");
        assert_eq!((route.name(), route.operation.as_str()), ("unknown", "other"));
    }
}
