//! What tokens cost: a dated table from model patterns to prices.

use std::sync::Arc;

use super::{NanoUsd, Pattern};

/// Prices of one model in nano-USD per million tokens. A part without its own price costs what its whole costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// Which models it holds for.
    pub models: Pattern,
    /// Input tokens.
    pub input: NanoUsd,
    /// Output tokens.
    pub output: NanoUsd,
    /// Input tokens read from the provider's cache.
    pub cache_read: Option<NanoUsd>,
    /// Input tokens written to the provider's cache.
    pub cache_write: Option<NanoUsd>,
    /// Of those, tokens written to be kept for an hour. Without its own price it costs what `cache_write` costs.
    pub cache_write_1h: Option<NanoUsd>,
    /// Output tokens spent on reasoning.
    pub reasoning: Option<NanoUsd>,
}

/// A price table. The first row whose pattern matches holds, so put the special before the general.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceTable {
    /// Names the table on every event that it priced; a date by convention.
    pub version: Arc<str>,
    /// The rows in order.
    pub rows: Vec<Price>,
}

impl PriceTable {
    /// The price of a model, if the table has one.
    pub fn find(&self, model: &str) -> Option<&Price> {
        self.rows.get(self.place(model)?)
    }

    /// Which of the rows holds it.
    pub fn place(&self, model: &str) -> Option<usize> {
        self.rows.iter().position(|row| row.models.matches(model))
    }
}
