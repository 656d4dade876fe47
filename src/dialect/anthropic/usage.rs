//! The usage object of Anthropic's messages.
//!
//! Its `input_tokens` leave out what was read from or written to the cache; its `output_tokens` include thinking. The
//! numbers at its top are what the model that answers used; `iterations` say how they came about and what other models
//! (an advisor, a compaction) used beside them, and stay in `raw`.

use serde::Deserialize;

use crate::dialect::{Counts, Place, lenient};

#[derive(Deserialize)]
pub(super) struct UsageObject {
    #[serde(default, deserialize_with = "lenient::count")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    output_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    cache_read_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::object")]
    cache_creation: Option<CacheCreation>,
    #[serde(default, deserialize_with = "lenient::object")]
    output_tokens_details: Option<OutputDetails>,
    #[serde(default, deserialize_with = "lenient::object")]
    server_tool_use: Option<ServerToolUse>,
}

#[derive(Clone, Copy, Deserialize)]
struct CacheCreation {
    #[serde(default, deserialize_with = "lenient::count")]
    ephemeral_5m_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Clone, Copy, Deserialize)]
struct OutputDetails {
    #[serde(default, deserialize_with = "lenient::count")]
    thinking_tokens: Option<u64>,
}

#[derive(Clone, Copy, Deserialize)]
struct ServerToolUse {
    #[serde(default, deserialize_with = "lenient::count")]
    web_search_requests: Option<u64>,
}

impl UsageObject {
    /// Its numbers, in a report that is the first of its message. Cached tokens are counted apart from `input_tokens`, so a
    /// message that reports input and no cached tokens has none.
    pub(super) fn first(&self) -> Counts {
        let counts = self.counts();
        let none = counts.input.map(|_| 0);
        Counts { cache_read: counts.cache_read.or(none), cache_write: counts.cache_write.or(none), ..counts }
    }

    /// Its numbers.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            input: self.input_tokens,
            output: self.output_tokens,
            cache_read: self.cache_read_input_tokens,
            cache_write: self.cache_creation_input_tokens.or_else(|| self.written()),
            cache_write_1h: self.cache_creation.and_then(|written| written.ephemeral_1h_input_tokens),
            reasoning: self.output_tokens_details.and_then(|details| details.thinking_tokens),
            searches: self.server_tool_use.and_then(|used| used.web_search_requests),
            cache: Place::Outside,
            thought: Place::Inside,
            ..Counts::default()
        }
    }

    /// What was written to the cache, where only its parts are said.
    fn written(&self) -> Option<u64> {
        let CacheCreation { ephemeral_5m_input_tokens: short, ephemeral_1h_input_tokens: long } = self.cache_creation?;
        (short.is_some() || long.is_some()).then(|| short.unwrap_or(0).saturating_add(long.unwrap_or(0)))
    }
}
