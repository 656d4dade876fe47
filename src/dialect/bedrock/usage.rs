//! The places where Bedrock says how many tokens there were. All of them count cached tokens beside the input.

use http::{HeaderMap, HeaderName};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::scan::Raw;
use crate::dialect::{Counts, Place, Reading, lenient};
use crate::header;

/// The usage of `converse`. Some models write the cache's fields twice, under two names.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenUsage<'a> {
    #[serde(default, deserialize_with = "lenient::count")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    output_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    total_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    cache_read_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    cache_write_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    cache_read_input_token_count: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    cache_write_input_token_count: Option<u64>,
    #[serde(borrow, default)]
    cache_details: Raw<'a>,
}

/// What was written to be kept for one length of time.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CacheDetail<'a> {
    #[serde(borrow, default)]
    ttl: Raw<'a>,
    #[serde(default, deserialize_with = "lenient::count")]
    input_tokens: Option<u64>,
}

/// What AWS itself counted of an invocation; it stands in the last event of a stream.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
struct InvocationMetrics {
    #[serde(default, deserialize_with = "lenient::count")]
    input_token_count: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    output_token_count: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    cache_read_input_token_count: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    cache_write_input_token_count: Option<u64>,
}

impl TokenUsage<'_> {
    /// The numbers. The total includes the cache, so one that is input and output alone says that the cache had no part.
    pub(super) fn counts(&self) -> Counts {
        let sum = self.input_tokens.zip(self.output_tokens).map(|(input, output)| input.saturating_add(output));
        let no_cache = (sum.is_some() && sum == self.total_tokens).then_some(0);
        Counts {
            input: self.input_tokens,
            output: self.output_tokens,
            total: self.total_tokens,
            cache_read: self.cache_read_input_tokens.or(self.cache_read_input_token_count).or(no_cache),
            cache_write: self.cache_write_input_tokens.or(self.cache_write_input_token_count).or(no_cache),
            cache_write_1h: self.written_for_an_hour(),
            cache: Place::Outside,
            thought: Place::Inside,
            ..Counts::default()
        }
    }

    fn written_for_an_hour(&self) -> Option<u64> {
        let details: Vec<CacheDetail<'_>> = serde_json::from_str(self.cache_details?.get()).ok()?;
        let hour = details.iter().find(|detail| lenient::text(detail.ttl).as_deref() == Some("1h"));
        hour.and_then(|detail| detail.input_tokens)
    }
}

/// Reads AWS's count of an invocation. `cache` says where the model's own usage, read before, has its cached tokens,
/// for these numbers may leave them out.
pub(super) fn read_metrics(raw: &RawValue, cache: Place, reading: &mut Reading) {
    let Some(metrics) = lenient::inner_object::<InvocationMetrics>(raw) else { return };
    let (read, written) = (metrics.cache_read_input_token_count, metrics.cache_write_input_token_count);
    let counts = Counts {
        input: metrics.input_token_count,
        output: metrics.output_token_count,
        cache_read: read,
        cache_write: written,
        cache: if read.is_some() || written.is_some() { Place::Outside } else { cache },
        thought: Place::Inside,
        ..Counts::default()
    };
    reading.reported(&counts, raw);
}

/// Reads the counts in the head of an answer: of many models they stand nowhere else. What the body says replaces them.
pub(super) fn read_head(headers: &HeaderMap, reading: &mut Reading) {
    let names = [
        header::BEDROCK_INPUT_TOKENS,
        header::BEDROCK_OUTPUT_TOKENS,
        header::BEDROCK_CACHE_READ_TOKENS,
        header::BEDROCK_CACHE_WRITE_TOKENS,
    ];
    let values = names.each_ref().map(|name| number(headers, name));
    let [input, output, cache_read, cache_write] = values;
    let counts = Counts {
        input,
        output,
        cache_read,
        cache_write,
        cache: Place::Outside,
        thought: Place::Inside,
        ..Counts::default()
    };
    if counts.is_empty() {
        return;
    }
    let said = names.iter().zip(values).filter_map(|(name, value)| value.map(|value| format!("\"{name}\":{value}")));
    let said = said.collect::<Vec<_>>().join(",");
    if let Ok(raw) = RawValue::from_string(format!("{{{said}}}")) {
        reading.reported(&counts, &raw);
    }
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}
