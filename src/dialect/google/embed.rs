//! The answers of embeddings: the Gemini API reports usage as elsewhere, Vertex's `:predict` beside each vector.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer;
use super::usage::GoogleUsage;
use crate::dialect::scan::Raw;
use crate::dialect::{Counts, Flags, Reading, lenient};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(borrow, default)]
    usage_metadata: Raw<'a>,
    #[serde(borrow, default)]
    predictions: Raw<'a>,
    #[serde(borrow, default)]
    model_version: Raw<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
}

#[derive(Deserialize)]
struct Prediction<'a> {
    #[serde(borrow, default)]
    embeddings: Option<Embeddings<'a>>,
}

#[derive(Deserialize)]
struct Embeddings<'a> {
    #[serde(borrow, default)]
    statistics: Raw<'a>,
}

#[derive(Deserialize)]
struct Statistics {
    #[serde(default, alias = "tokenCount", deserialize_with = "lenient::count")]
    token_count: Option<u64>,
}

/// Reads one body; what cannot be read sets a flag.
pub(super) fn read(object: &[u8], reading: &mut Reading) {
    let Some(answer) = lenient::whole_object::<Answer<'_>>(object) else {
        return reading.flag(Flags::METER_ERROR);
    };
    reading.served(lenient::text(answer.model_version));
    answer::take_error(answer.error, reading);
    if let Some(raw) = answer.usage_metadata {
        match lenient::inner_object::<GoogleUsage>(raw) {
            Some(usage) => reading.reported(&usage.read_only(), raw),
            None => reading.flag(Flags::METER_ERROR),
        }
    }
    if let Some(raw) = answer.predictions {
        match serde_json::from_str::<Vec<Prediction<'_>>>(raw.get()) {
            Ok(predictions) => take(&predictions, reading),
            Err(_) => reading.flag(Flags::METER_ERROR),
        }
    }
}

/// Sums the predictions up. What is kept as the provider's own words is the list of its statistics.
fn take(predictions: &[Prediction<'_>], reading: &mut Reading) {
    let statistics = || predictions.iter().filter_map(|prediction| prediction.embeddings.as_ref()?.statistics);
    let tokens = |raw: &RawValue| lenient::inner_object::<Statistics>(raw)?.token_count;
    let counts = Counts { input: statistics().map(tokens).sum(), ..Counts::default() };
    let (Some(first), Some(last)) = (statistics().next(), statistics().next_back()) else { return };
    if std::ptr::eq(first, last) {
        return reading.reported(&counts, first);
    }
    let all: Vec<&str> = statistics().map(RawValue::get).collect();
    match RawValue::from_string(format!("[{}]", all.join(","))) {
        Ok(raw) => reading.reported(&counts, &raw),
        Err(_) => reading.flag(Flags::METER_ERROR),
    }
}
