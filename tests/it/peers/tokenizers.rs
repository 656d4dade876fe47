//! The official tokenizers: OpenAI's tiktoken and Hugging Face's tokenizers, both in Python.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::{printed, python};

type Counts = BTreeMap<String, Vec<u64>>;

/// How many tokens each text is in each of tiktoken's encodings, which reads our vocabularies in place of a download.
pub(crate) fn official_counts(encodings: &[&str], texts: &[String]) -> Counts {
    let folder = tempfile::tempdir().unwrap();
    for name in encodings {
        let built_in = format!("{}/src/meter/count/vocabulary/{name}.tokens.zst", env!("CARGO_MANIFEST_DIR"));
        let packed = std::fs::read(built_in).unwrap();
        let length = zstd_safe::get_frame_content_size(&packed).unwrap().expect("it is stored");
        let mut tokens = vec![0; usize::try_from(length).unwrap()];
        zstd_safe::decompress(tokens.as_mut_slice(), &packed).unwrap();
        std::fs::write(folder.path().join(name), tokens).unwrap();
    }
    counts(&json!({ "encodings": encodings, "vocabularies": folder.path(), "texts": texts }))
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
