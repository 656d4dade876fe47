//! Token counts and where they came from.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Where a count came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Reported by the provider.
    Provider,
    /// Counted here with the model's tokenizer.
    Tokenizer,
    /// Estimated here, from text whose tokenizer is not known or from bytes.
    Estimate,
    /// Not known.
    #[default]
    None,
}

impl Source {
    /// As written in events and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Tokenizer => "tokenizer",
            Self::Estimate => "estimate",
            Self::None => "none",
        }
    }
}

/// Tokens of one request. Absent means unknown; zero is a value.
///
/// `input_tokens` includes cached and cache-written tokens and `output_tokens` includes reasoning tokens, whatever the
/// provider's own convention; `raw` keeps its object verbatim.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Usage {
    /// Tokens read by the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens written by the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Both together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_tokens: Option<u64>,
    /// Input tokens read from the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u64>,
    /// Input tokens written to the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// Of those, written to be kept for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h_tokens: Option<u64>,
    /// Output tokens spent on reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Audio heard or spoken, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_ms: Option<u64>,
    /// Characters spoken or translated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub characters: Option<u64>,
    /// Pictures made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<u64>,
    /// Searches of the web or through documents that are billed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub searches: Option<u64>,
    /// Where the counts came from.
    pub source: Source,
    /// Whether they cover the whole answer.
    pub complete: bool,
    /// The provider's own usage object, verbatim, up to 4 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<serde_json::Map<String, serde_json::Value>>"))]
    pub raw: Option<Box<RawValue>>,
}

impl Usage {
    /// Our own estimate of an answer that has not come to its end.
    pub fn estimated(input: u64, output: u64) -> Self {
        Self {
            input_tokens: Some(input),
            output_tokens: Some(output),
            total_tokens: Some(input.saturating_add(output)),
            source: Source::Estimate,
            ..Self::default()
        }
    }
}
