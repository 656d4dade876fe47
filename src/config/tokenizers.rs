//! `tokenizers:`, which tokenizer counts for which models: rows that come before the built-in table.
//!
//! A file is looked at here, not read: it is loaded when a model first needs it. `tollgate check` loads it.

use crate::types::Pattern;

use super::field::Field;
use super::section::Section;
use super::{Encoding, Overhead, Tokenizer, Vocabulary};

/// A `tokenizer.json` of a model with 260,000 tokens has 35 MB.
const LARGEST_FILE: u64 = 64 << 20;
const MOST_OVERHEAD: u64 = 1000;
const ENCODINGS: [(&str, Encoding); 2] = [("o200k_base", Encoding::O200k), ("cl100k_base", Encoding::Cl100k)];

/// All rows, in order.
pub(super) fn read(root: &mut Section<'_>) -> Vec<Tokenizer> {
    let rows = root.take("tokenizers").map(|field| field.fields()).unwrap_or_default();
    rows.into_iter().filter_map(row).collect()
}

fn row(field: Field<'_>) -> Option<Tokenizer> {
    let mut section = field.section();
    let models = section.require("models", "Name the models: models: [llama-3*].").map(|field| field.texts());
    let file = section.take("file");
    let encoding = section.take("encoding");
    let vocabulary = match (file, encoding) {
        (Some(field), None) => file_of(&field),
        (None, Some(field)) => field.choice(&ENCODINGS).map(Vocabulary::BuiltIn),
        _ => {
            section.problem("it needs either 'file' or 'encoding'", "Give the path of a tokenizer.json, or a name.");
            None
        }
    };
    let overhead = section.take("message_overhead").map(|field| overhead(field.section()));
    let models = models?.into_iter().map(Pattern::new).collect();
    Some(Tokenizer { models, vocabulary: vocabulary?, overhead })
}

fn file_of(field: &Field<'_>) -> Option<Vocabulary> {
    let path = field.file_path()?;
    if let Err(what) = field.context.look(&path, LARGEST_FILE) {
        field.unreadable(&path, &what);
        return None;
    }
    Some(Vocabulary::File(path.into()))
}

fn overhead(mut section: Section<'_>) -> Overhead {
    let mut tokens = |key| section.number(key, (0, MOST_OVERHEAD)).unwrap_or(0);
    Overhead { per_message: tokens("per_message"), per_name: tokens("per_name"), per_answer: tokens("per_answer") }
}
