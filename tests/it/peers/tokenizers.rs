//! The official tokenizers: OpenAI's tiktoken and Hugging Face's tokenizers, both in Python.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::{printed, python};

type Counts = BTreeMap<String, Vec<u64>>;

/// How many tokens each text is in each of tiktoken's encodings, which reads our vocabularies in place of a download.
pub(crate) fn official_counts(encodings: &[&str], texts: &[String]) -> Counts {
    let vocabularies = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/meter/count/vocabulary");
    counts(&json!({ "encodings": encodings, "vocabularies": vocabularies, "texts": texts }))
}

/// How many tokens each text is by a `tokenizer.json`.
pub(crate) fn hugging_face_counts(tokenizer: &Path, texts: &[String]) -> Vec<u64> {
    let mut counts = counts(&json!({ "tokenizer": tokenizer, "texts": texts }));
    counts.remove("tokenizer").expect("the script names what it counted by")
}

fn counts(asked: &serde_json::Value) -> Counts {
    let printed = printed(python("count_tokens.py"), &asked.to_string());
    serde_json::from_str(&printed).expect("the script prints one JSON object")
}
