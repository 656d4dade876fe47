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
    // OpenRouter, in dollars; Perplexity's object has the sum in `total_cost`.
    #[serde(borrow, default)]
    cost: Option<&'a RawValue>,
    // xAI: ten billion to the dollar.
    #[serde(default, deserialize_with = "lenient::count")]
    cost_in_usd_ticks: Option<u64>,
    // OpenAI's audio and Realtime.
    #[serde(default, deserialize_with = "lenient::object")]
    input_token_details: Option<Details>,
    #[serde(default, deserialize_with = "lenient::object")]
    output_token_details: Option<Details>,
    // OpenAI's transcriptions that are billed by time, and Mistral's.
    #[serde(default, deserialize_with = "lenient::value")]
    seconds: Option<f64>,
    #[serde(default, deserialize_with = "lenient::value")]
    prompt_audio_seconds: Option<f64>,
    // Perplexity.
    #[serde(default, deserialize_with = "lenient::count")]
    num_search_queries: Option<u64>,
}

#[derive(Deserialize)]
struct Charge {
    #[serde(default, deserialize_with = "lenient::value")]
    total_cost: Option<f64>,
}

/// What llama.cpp's server adds to its answers. What it had in its cache is not in `prompt_n`.
#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
pub(super) struct Timings {
    #[serde(default, deserialize_with = "lenient::count")]
    prompt_n: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    predicted_n: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    cache_n: Option<u64>,
}

impl Timings {
    /// The numbers.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            input: self.prompt_n,
            output: self.predicted_n,
            cache_read: self.cache_n,
            cache: Place::Outside,
            thought: Place::Inside,
            ..Counts::default()
        }
    }
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
            audio_ms: self.seconds.or(self.prompt_audio_seconds).and_then(milliseconds),
            searches: self.num_search_queries,
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
            && self.input_token_details.is_none()
            && self.total_tokens.is_none();
        let places = if anthropic { (Place::Outside, Place::Inside) } else { (Place::Deduce, Place::Deduce) };
        Counts { cache: places.0, thought: places.1, ..self.counts() }
    }

    /// What the provider says it charges.
    pub(super) fn cost(&self) -> Option<NanoUsd> {
        let plain = |raw: &RawValue| serde_json::from_str::<f64>(raw.get()).ok();
        let sum = |raw: &RawValue| lenient::inner_object::<Charge>(raw)?.total_cost;
        let usd = self.cost.and_then(|raw| plain(raw).or_else(|| sum(raw)));
        let ticks = self.cost_in_usd_ticks.map(|ticks| ticks as f64 / 1e10);
        usd.or(ticks).and_then(NanoUsd::from_usd)
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
        let details = self.completion_tokens_details.or(self.output_tokens_details).or(self.output_token_details);
        details.and_then(|details| details.reasoning_tokens).max(self.reasoning_tokens)
    }

    fn input_details(&self) -> Option<Details> {
        let chat = self.prompt_tokens_details.or(self.prompt_token_details);
        chat.or(self.input_tokens_details).or(self.input_token_details)
    }
}

/// Whole milliseconds of a duration that makes sense.
pub(super) fn milliseconds(seconds: f64) -> Option<u64> {
    (0.0..1e9).contains(&seconds).then(|| (seconds * 1e3).round() as u64)
}
