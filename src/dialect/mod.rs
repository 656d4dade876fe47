//! Wire formats: what is the model, is it a stream, where is usage, what is a token, how is a refusal said.
//!
//! A dialect reads on the side and never changes a byte. Whatever it cannot understand becomes a flag, never an error
//! or a panic: answers are other people's bytes. It works on payloads (one stream event's data, or one whole body);
//! cutting a body into payloads is `meter::framing`. One file or folder per format; [`route`] chooses by path.

mod alike;
mod anthropic;
mod ask;
mod bedrock;
mod brconnector;
mod cohere;
mod counts;
mod flags;
mod google;
mod lenient;
mod llmstudio;
mod ollama;
pub mod openai;
mod passed;
mod path;
mod reading;
pub mod refusal;
mod scan;
mod size;
mod unknown;
mod usageguard;

use std::collections::BTreeSet;
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

    /// Whether the model writes nothing, so that all of a total is input.
    pub fn only_reads(self) -> bool {
        matches!(self, Self::Embeddings | Self::Rerank)
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

    /// Reads one event of a stream, and says whether it was like one before, so that its text is all that was read. An
    /// event comes to the same as by [`Dialect::read_answer`], which it mostly costs a fraction of.
    pub fn read(&self, payload: Payload<'_>, reading: &mut Reading) -> bool {
        let alike = reading.is_alike(payload);
        if !alike {
            reading.reads(payload, |reading| self.dialect.read_answer(payload, reading));
        }
        alike
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

    /// Reads what an answer's head says, before its body.
    fn read_head(&self, _headers: &HeaderMap, _reading: &mut Reading) {}

    /// Reads one payload into `reading`. What cannot be read sets a flag there.
    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading);

    /// The characters that a request wants spoken, for operations that are billed by them.
    fn characters(&self, _body: &[u8]) -> Option<u64> {
        None
    }

    /// How this format frames a stream under a content type that does not say.
    fn streams(&self) -> Streams {
        Streams::Events
    }

    /// The request's body with a wish for usage in the stream added, where this format leaves usage out unless asked. The
    /// body was read by [`Self::read_request`] as one for a stream.
    fn ask_for_usage(&self, _body: &[u8]) -> Option<Vec<u8>> {
        None
    }

    /// In whose words its clients are refused.
    fn style(&self) -> refusal::Style {
        refusal::Style::OpenAi
    }
}

/// The formats of one provider.
struct Family {
    /// The choice that allows no other.
    choice: DialectChoice,
    /// Which of its formats and operations a path (without slash at its end) names.
    route: fn(&str) -> Option<Route>,
    /// The same for `GET`.
    route_of_get: fn(&str) -> Option<Route>,
    /// All that `route` may choose.
    dialects: &'static [&'static dyn Dialect],
}

const fn family(
    choice: DialectChoice,
    route: fn(&str) -> Option<Route>,
    dialects: &'static [&'static dyn Dialect],
) -> Family {
    Family { choice, route, route_of_get: |_| None, dialects }
}

impl Family {
    const fn with_get(self, route_of_get: fn(&str) -> Option<Route>) -> Self {
        Self { route_of_get, ..self }
    }
}

/// Each looks at the end of a path only: gateways put prefixes in front. The first that knows a path has it.
const FAMILIES: [Family; 10] = [
    family(DialectChoice::Anthropic, anthropic::route, &[&anthropic::Anthropic]),
    family(DialectChoice::Cohere, cohere::route, &[&cohere::V1, &cohere::V2]),
    family(DialectChoice::Ollama, ollama::route, &[&ollama::Ollama]),
    family(DialectChoice::OpenAi, openai::route, &openai::ALL).with_get(openai::route_of_get),
    family(DialectChoice::Google, google::route, &google::ALL).with_get(google::route_of_get),
    family(DialectChoice::Bedrock, bedrock::route, &[&bedrock::Converse, &bedrock::Invoke, &bedrock::CountTokens]),
    family(DialectChoice::UsageGuard, usageguard::route, &[&usageguard::UsageGuard]),
    family(DialectChoice::LlmStudio, llmstudio::route, &[&llmstudio::LlmStudio]),
    // By their paths these are OpenAI's and Anthropic's.
    family(DialectChoice::BrConnector, brconnector::route, &[&brconnector::BrConnector]),
    family(DialectChoice::BrConnector, anthropic::route, &[]),
];
const UNKNOWN: &dyn Dialect = &unknown::Unknown;
/// Only `POST` costs tokens.
const PASSED: &dyn Dialect = &passed::Passed("unknown");

/// Chooses the dialect of a request by its path (without query), among all or those of one family. What none of them
/// knows is passed through as `unknown`, which finds usage of the common shapes too.
pub fn route(choice: DialectChoice, method: &Method, path: &str) -> Route {
    let path = path.trim_end_matches('/');
    let families = FAMILIES.iter().filter(|family| choice == DialectChoice::Auto || choice == family.choice);
    let (known, otherwise): (_, &'static dyn Dialect) = match *method {
        Method::POST => (families.map(|family| family.route).find_map(|route| route(path)), UNKNOWN),
        Method::GET => (families.map(|family| family.route_of_get).find_map(|route| route(path)), PASSED),
        _ => (None, PASSED),
    };
    known.unwrap_or(Route { dialect: otherwise, operation: Operation::Other })
}

/// Every name by which an event may call its dialect.
pub fn names() -> BTreeSet<&'static str> {
    let known = FAMILIES.iter().flat_map(|family| family.dialects);
    let all = known.chain([&UNKNOWN]);
    all.flat_map(|dialect| Operation::ALL.map(|operation| dialect.name(operation))).collect()
}

#[cfg(test)]
mod parses_tests;
#[cfg(test)]
mod tests;
