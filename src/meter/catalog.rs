//! What is known of models: their prices, and which names may be metric labels.
//!
//! A client chooses the model's name, so a label is the name of a price row or of a model that an upstream is matched
//! by, never the client's text: the set is closed by configuration.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::count::Models;
use crate::config::{Config, Upstream};
use crate::types::PriceTable;

/// Prices, labels and tokenizers, swapped as one at a reload.
#[derive(Debug)]
pub struct Catalog {
    /// What tokens cost.
    pub prices: Arc<PriceTable>,
    /// What counts tokens.
    pub models: Models,
    labels: Vec<Arc<str>>,
    // Nothing that a client says is put in, so no hash need be secret.
    exact: HashSet<Arc<str>, FixedState>,
    other: Arc<str>,
}

impl Catalog {
    /// From a configuration; what the catalog before it has read of tokenizers is taken over.
    pub fn of(config: &Config, before: &Self) -> Self {
        let models = Models::new(&config.tokenizers, &before.models);
        Self { models, ..Self::new(Arc::clone(&config.prices), &config.upstreams) }
    }

    /// From a price table and the upstreams' own model names, with the built-in tokenizers.
    pub fn new(prices: Arc<PriceTable>, upstreams: &[Upstream]) -> Self {
        let labels = prices.rows.iter().map(|row| Arc::from(row.models.as_str().trim_end_matches('*'))).collect();
        let named = upstreams.iter().flat_map(|upstream| &upstream.matching.models);
        let exact = named.filter(|pattern| pattern.is_exact()).map(|pattern| Arc::from(pattern.as_str())).collect();
        Self { prices, models: Models::default(), labels, exact, other: Arc::from("other") }
    }

    /// The label of a model: its own name where an upstream names it, else its price row's, else `other`.
    pub fn label(&self, model: Option<&str>) -> Arc<str> {
        let Some(model) = model else { return Arc::clone(&self.other) };
        if let Some(label) = self.exact.get(model) {
            return Arc::clone(label);
        }
        let row = self.prices.place(model);
        let label = row.and_then(|row| self.labels.get(row)).filter(|label| !label.is_empty());
        Arc::clone(label.unwrap_or(&self.other))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Catalog;
    use crate::types::{NanoUsd, Pattern, Price, PriceTable};

    #[test]
    fn a_model_that_nobody_configured_is_other() {
        let row = |models: &str| Price {
            models: Pattern::new(models),
            input: NanoUsd(1),
            output: NanoUsd(1),
            cache_read: None,
            cache_write: None,
            cache_write_1h: None,
            reasoning: None,
        };
        let table = PriceTable { version: Arc::from("v"), rows: vec![row("gpt-4o*"), row("*")] };
        let catalog = Catalog::new(Arc::new(table), &[]);
        assert_eq!(&*catalog.label(Some("gpt-4o-2024-08-06")), "gpt-4o");
        assert_eq!(&*catalog.label(Some("made-up-by-a-client")), "other");
        assert_eq!(&*catalog.label(None), "other");
    }
}
