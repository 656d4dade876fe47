//! Plain texts and vectors, as Titan, Llama, Mistral and Cohere answer an `invoke`.
//!
//! Their fields do not collide, so one struct reads them all. Of a stream's events each repeats the counts so far.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::scan::{Raw, part, string};
use crate::dialect::{Counts, Flags, Place, Reading, lenient};

#[derive(Deserialize)]
struct Plain<'a> {
    // Titan.
    #[serde(borrow, default, rename = "inputTextTokenCount")]
    titan_input: Raw<'a>,
    #[serde(borrow, default, rename = "totalOutputTextTokenCount")]
    titan_output: Raw<'a>,
    #[serde(borrow, default)]
    results: Raw<'a>,
    // Llama.
    #[serde(borrow, default, rename = "prompt_token_count")]
    llama_input: Raw<'a>,
    #[serde(borrow, default, rename = "generation_token_count")]
    llama_output: Raw<'a>,
    // Mistral.
    #[serde(borrow, default)]
    outputs: Raw<'a>,
    // Cohere.
    #[serde(borrow, default)]
    generations: Raw<'a>,
    #[serde(borrow, default)]
    tool_calls: Raw<'a>,
}

/// A text and why it ended, at the top or in a list, by whichever names.
#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(borrow, default)]
    text: Raw<'a>,
    #[serde(borrow, default, rename = "outputText")]
    titan_text: Raw<'a>,
    #[serde(borrow, default)]
    generation: Raw<'a>,
    #[serde(borrow, default)]
    stop_reason: Raw<'a>,
    #[serde(borrow, default)]
    finish_reason: Raw<'a>,
    #[serde(borrow, default, rename = "completionReason")]
    titan_reason: Raw<'a>,
    #[serde(borrow, default, rename = "tokenCount")]
    tokens: Raw<'a>,
}

/// Reads a whole answer or an event of a stream; what cannot be read sets a flag.
pub(super) fn read(json: &[u8], reading: &mut Reading) {
    let Some(plain) = lenient::whole_object::<Plain<'_>>(json) else {
        return reading.flag(Flags::METER_ERROR);
    };
    if let Some(piece) = lenient::whole_object::<Piece<'_>>(json) {
        take(&piece, reading);
    }
    let results = part::<Vec<Piece<'_>>>(plain.results.filter(|_| plain.titan_input.is_some()), reading);
    let results = results.unwrap_or_default();
    for piece in &results {
        take(piece, reading);
    }
    for list in [plain.outputs, plain.generations] {
        for piece in part::<Vec<Piece<'_>>>(list, reading).unwrap_or_default() {
            take(&piece, reading);
        }
    }
    if let Some(calls) = plain.tool_calls.filter(|calls| calls.get().starts_with("[{")) {
        reading.content(calls.get());
    }
    report(&plain, &results, reading);
}

fn take(piece: &Piece<'_>, reading: &mut Reading) {
    for text in [piece.text, piece.titan_text, piece.generation] {
        reading.content(string(text));
    }
    for reason in [piece.stop_reason, piece.finish_reason, piece.titan_reason] {
        reading.finished(lenient::text(reason));
    }
}

/// The counts. They stand between texts, so what is kept as the provider's own words is an object of them alone.
fn report(plain: &Plain<'_>, results: &[Piece<'_>], reading: &mut Reading) {
    let of_results = results.iter().filter_map(|piece| number(piece.tokens)).reduce(u64::saturating_add);
    let counts = Counts {
        input: number(plain.titan_input).or(number(plain.llama_input)),
        output: number(plain.titan_output).or(number(plain.llama_output)).or(of_results),
        cache: Place::Outside,
        thought: Place::Inside,
        ..Counts::default()
    };
    let of_results = of_results.map(|_| {
        let pieces = results.iter().filter_map(|piece| piece.tokens);
        pieces.map(|tokens| format!("{{\"tokenCount\":{tokens}}}")).collect::<Vec<_>>().join(",")
    });
    let fields = [
        ("inputTextTokenCount", plain.titan_input),
        ("totalOutputTextTokenCount", plain.titan_output),
        ("prompt_token_count", plain.llama_input),
        ("generation_token_count", plain.llama_output),
    ];
    let fields = fields.iter().filter_map(|(name, raw)| raw.map(|raw| format!("\"{name}\":{raw}")));
    let all: Vec<String> = fields.chain(of_results.map(|list| format!("\"results\":[{list}]"))).collect();
    if let Ok(raw) = RawValue::from_string(format!("{{{}}}", all.join(","))) {
        reading.reported(&counts, &raw);
    }
}

fn number(raw: Raw<'_>) -> Option<u64> {
    raw.and_then(|raw| lenient::number(raw.get()))
}
