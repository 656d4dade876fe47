//! Cohere's counts: `usage` in version 2, `meta` in version 1 and of embeddings and reranking.
//!
//! `tokens` are what the model read and wrote, templates included; `billed_units` are what is paid for. Where only the
//! billed ones are said, they are the count too.

use serde::Deserialize;

use crate::dialect::{Counts, Place, lenient};

#[derive(Deserialize)]
pub(super) struct UsageObject {
    #[serde(default, deserialize_with = "lenient::object")]
    tokens: Option<Tokens>,
    #[serde(default, deserialize_with = "lenient::object")]
    billed_units: Option<Billed>,
    #[serde(default, deserialize_with = "lenient::count")]
    cached_tokens: Option<u64>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Tokens {
    #[serde(default, deserialize_with = "lenient::count")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    output_tokens: Option<u64>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Billed {
    #[serde(default, deserialize_with = "lenient::count")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    output_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    search_units: Option<u64>,
}

impl UsageObject {
    /// Its numbers.
    pub(super) fn counts(&self) -> Counts {
        let (tokens, billed) = (self.tokens.unwrap_or_default(), self.billed_units.unwrap_or_default());
        Counts {
            input: tokens.input_tokens.or(billed.input_tokens),
            output: tokens.output_tokens.or(billed.output_tokens),
            cache_read: self.cached_tokens,
            searches: billed.search_units,
            billed_input: billed.input_tokens,
            billed_output: billed.output_tokens,
            cache: Place::Inside,
            thought: Place::Inside,
            ..Counts::default()
        }
    }
}
