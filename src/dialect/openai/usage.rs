//! The usage object, as OpenAI and its many copies write it.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::{Counts, Place, lenient};
use crate::types::NanoUsd;

/// Every field by which some provider says a number that we want. Unknown fields are skipped, odd values are no values.
#[derive(Deserialize)]
pub(in crate::dialect) struct UsageObject<'a> {
    #[serde(default, deserialize_with = "lenient::count")]
    prompt_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    completion_tokens: Option<u64>,
    // OpenAI's newer endpoints, Anthropic.
    #[serde(default, deserialize_with = "lenient::count")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    output_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    total_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::object")]
    prompt_tokens_details: Option<Details>,
    // Mistral has written it without the s.
    #[serde(default, deserialize_with = "lenient::object")]
    prompt_token_details: Option<Details>,
    #[serde(default, deserialize_with = "lenient::object")]
    input_tokens_details: Option<Details>,
    #[serde(default, deserialize_with = "lenient::object")]
    completion_tokens_details: Option<Details>,
    #[serde(default, deserialize_with = "lenient::object")]
    output_tokens_details: Option<Details>,
    // SGLang, Azure's DeepSeek, Perplexity.
    #[serde(default, deserialize_with = "lenient::count")]
    reasoning_tokens: Option<u64>,
    // DeepSeek.
    #[serde(default, deserialize_with = "lenient::count")]
    prompt_cache_hit_tokens: Option<u64>,
    // Moonshot, Together.
    #[serde(default, deserialize_with = "lenient::count")]
    cached_tokens: Option<u64>,
    // Mistral.
    #[serde(default, deserialize_with = "lenient::count")]
    num_cached_tokens: Option<u64>,
    // Anthropic, and gateways that hand its numbers on.
    #[serde(default, deserialize_with = "lenient::count")]
    cache_read_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    cache_creation_input_tokens: Option<u64>,
    // OpenRouter, in dollars. Perplexity has an object here.
    #[serde(borrow, default)]
    cost: Option<&'a RawValue>,
}

/// Parts of a count.
#[derive(Clone, Copy, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
struct Details {
    #[serde(default, deserialize_with = "lenient::count")]
    cached_tokens: Option<u64>,
    // OpenRouter.
    #[serde(default, deserialize_with = "lenient::count")]
    cache_write_tokens: Option<u64>,
    // Alibaba, LiteLLM.
    #[serde(default, deserialize_with = "lenient::count")]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    cache_creation_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    reasoning_tokens: Option<u64>,
}

impl UsageObject<'_> {
    /// The numbers of an OpenAI-style object.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            input: self.prompt_tokens.or(self.input_tokens),
            output: self.completion_tokens.or(self.output_tokens),
            total: self.total_tokens,
            cache_read: self.cache_read(),
            cache_write: self.cache_write(),
            reasoning: self.reasoning(),
            cache: Place::Deduce,
            thought: Place::Deduce,
            ..Counts::default()
        }
    }

    /// The numbers of an object that may also be Anthropic's, which counts cached tokens beside its `input_tokens`.
    pub(in crate::dialect) fn counts_of_any_shape(&self) -> Counts {
        let anthropic = self.prompt_tokens.is_none()
            && self.completion_tokens.is_none()
            && self.input_tokens_details.is_none()
            && self.total_tokens.is_none();
        let places = if anthropic { (Place::Outside, Place::Inside) } else { (Place::Deduce, Place::Deduce) };
        Counts { cache: places.0, thought: places.1, ..self.counts() }
    }

    /// What the provider says it charges.
    pub(super) fn cost(&self) -> Option<NanoUsd> {
        self.cost.and_then(|raw| serde_json::from_str(raw.get()).ok()).and_then(NanoUsd::from_usd)
    }

    // Where several fields say it, some fill one of them with zero: the largest is meant.
    fn cache_read(&self) -> Option<u64> {
        let said = [
            self.input_details().and_then(|details| details.cached_tokens),
            self.prompt_cache_hit_tokens,
            self.cached_tokens,
            self.num_cached_tokens,
            self.cache_read_input_tokens,
        ];
        said.into_iter().flatten().max()
    }

    fn cache_write(&self) -> Option<u64> {
        let details = self.input_details();
        let said = [
            details.and_then(|details| details.cache_write_tokens),
            details.and_then(|details| details.cache_creation_input_tokens),
            details.and_then(|details| details.cache_creation_tokens),
            self.cache_creation_input_tokens,
        ];
        said.into_iter().flatten().max()
    }

    fn reasoning(&self) -> Option<u64> {
        let details = self.completion_tokens_details.or(self.output_tokens_details);
        details.and_then(|details| details.reasoning_tokens).max(self.reasoning_tokens)
    }

    fn input_details(&self) -> Option<Details> {
        self.prompt_tokens_details.or(self.prompt_token_details).or(self.input_tokens_details)
    }
}
