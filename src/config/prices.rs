//! The price table: a file of ours by default, or the operator's own.
//!
//! `models` is a map from model pattern to prices, or a list of prices that each name their `model`. Prices are US
//! dollars per million tokens.

use std::path::{Path, PathBuf};

use crate::types::{NanoUsd, Pattern, Price, PriceTable};

use super::context::Context;
use super::field::{Field, quote};
use super::problem::{Problem, Problems};
use super::section::Section;
use super::tree::{self, MaxNodes, Node, Place, Value};

const BUILT_IN: &str = include_str!("prices.default.yaml");
const BUILT_IN_NODES: MaxNodes = MaxNodes(100_000);

/// Reads a price table on its own: the table and warnings, or all that is wrong with it.
pub fn load_prices(path: &Path) -> Result<(PriceTable, Vec<Problem>), Problems> {
    let directory = PathBuf::new();
    let context = Context::new(&[], &directory);
    let prices = match context.document(path) {
        Ok(value) => table(&value, &context),
        Err(error) => {
            context.problem(error.into_problem(path));
            PriceTable::default()
        }
    };
    let (warnings, _) = context.finish()?;
    Ok((prices, warnings))
}

/// The table that the configuration names, or the built-in one.
pub(super) fn read(root: &mut Section<'_>) -> PriceTable {
    let context = root.context();
    let Some(field) = root.take("prices") else { return built_in(context) };
    let Some(path) = field.file_path() else { return PriceTable::default() };
    field.document(&path).map(|value| table(&value, context)).unwrap_or_default()
}

fn built_in(context: &Context<'_>) -> PriceTable {
    match tree::parse(BUILT_IN, &Place::File(Path::new("built-in prices")), BUILT_IN_NODES) {
        Ok(value) => table(&value, context),
        Err(problem) => {
            context.problem(problem);
            PriceTable::default()
        }
    }
}

fn table(value: &Value, context: &Context<'_>) -> PriceTable {
    let mut root = Field { value, path: String::new(), context }.section();
    let version = root.require("version", "Write the date of these prices: version: \"2026-11-01\".");
    let version = version.and_then(|field| field.text()).unwrap_or_default().to_owned();
    let models = root.require("models", "Write models: and under it a line for each model.");
    let rows = models.map(rows).unwrap_or_default();
    PriceTable { version: version.into(), rows }
}

fn rows(field: Field<'_>) -> Vec<Price> {
    let named = match &field.value.node {
        Node::List(_) => field.fields().into_iter().filter_map(with_model).collect(),
        _ => with_keys(field),
    };
    let mut rows: Vec<Price> = Vec::new();
    for (model, section) in named {
        let earlier = rows.iter().find(|row| row.models.matches(model));
        if let Some(earlier) = earlier {
            let what = format!("it is never used, because {} comes first", quote(earlier.models.as_str()));
            section.warn(what, "Put the special before the general.");
        }
        rows.extend(price(model, section));
    }
    rows
}

fn with_model(field: Field<'_>) -> Option<(&str, Section<'_>)> {
    let mut section = field.section();
    let model = section.require("model", "Name the models: model: gpt-4o*.")?.text()?;
    Some((model, section))
}

fn with_keys(field: Field<'_>) -> Vec<(&str, Section<'_>)> {
    field.section().take_all().into_iter().map(|(model, field)| (model, field.section())).collect()
}

fn price(model: &str, mut section: Section<'_>) -> Option<Price> {
    let fix = "Write it in US dollars per million tokens.";
    let input = section.require("input", fix).map(|field| usd(&field));
    let output = section.require("output", fix).map(|field| usd(&field));
    let mut part = |key| section.take(key).and_then(|field| usd(&field));
    let (cache_read, cache_write) = (part("cache_read"), part("cache_write"));
    let (cache_write_1h, reasoning) = (part("cache_write_1h"), part("reasoning"));
    let (input, output) = (input??, output??);
    Some(Price { models: Pattern::new(model), input, output, cache_read, cache_write, cache_write_1h, reasoning })
}

fn usd(field: &Field<'_>) -> Option<NanoUsd> {
    let usd = NanoUsd::from_usd(field.amount()?);
    if usd.is_none() {
        field.problem("is too large", "Write it in US dollars per million tokens.");
    }
    usd
}
