//! Which tokenizer counts for a model: the user's table first, then OpenAI's own models by name.
//!
//! A reload makes a new table and takes over the files that have not changed, with what was read of them.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use super::file::File;
use super::vocabulary::Vocabulary;
use crate::config::{self, Encoding, Overhead};
use crate::types::Pattern;

/// OpenAI's convention: 3 for each message, 1 for each name, 3 for the answer's beginning.
pub(super) const OPENAI: Overhead = Overhead { per_message: 3, per_name: 1, per_answer: 3 };

/// The table. Empty, it knows OpenAI's models.
#[derive(Debug, Default)]
pub struct Models {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    models: Vec<Pattern>,
    tokenizer: Tokenizer,
    overhead: Option<Overhead>,
}

/// What counts the tokens of a text.
#[derive(Clone, Debug)]
pub(super) enum Tokenizer {
    BuiltIn(Encoding),
    File(Arc<File>),
}

/// What is known of one model.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) tokenizer: Tokenizer,
    /// What a chat costs beside its text; `None` where nobody has said.
    pub(super) overhead: Option<Overhead>,
}

impl Models {
    /// The user's rows, with the files that the table before has read already.
    pub fn new(rows: &[config::Tokenizer], before: &Self) -> Self {
        let row = |row: &config::Tokenizer| Row {
            models: row.models.clone(),
            tokenizer: Tokenizer::new(&row.vocabulary, before),
            overhead: row.overhead,
        };
        Self { rows: rows.iter().map(row).collect() }
    }

    /// What is known of a model, if anything.
    pub(super) fn of(&self, model: &str) -> Option<Known> {
        let own = self.rows.iter().find(|row| row.models.iter().any(|pattern| pattern.matches(model)));
        let (tokenizer, said) = match own {
            Some(row) => (row.tokenizer.clone(), row.overhead),
            None => (Tokenizer::BuiltIn(Encoding::of(model)?), None),
        };
        let customary = matches!(tokenizer, Tokenizer::BuiltIn(_)).then_some(OPENAI);
        Some(Known { tokenizer, overhead: said.or(customary) })
    }

    fn file(&self, file: File) -> Arc<File> {
        let files = self.rows.iter().filter_map(|row| match &row.tokenizer {
            Tokenizer::File(known) => Some(known),
            Tokenizer::BuiltIn(_) => None,
        });
        files.into_iter().find(|known| known.is_same(&file)).map_or_else(|| Arc::new(file), Arc::clone)
    }
}

impl Tokenizer {
    fn new(vocabulary: &config::Vocabulary, before: &Models) -> Self {
        match vocabulary {
            config::Vocabulary::BuiltIn(encoding) => Self::BuiltIn(*encoding),
            config::Vocabulary::File(path) => Self::File(before.file(File::at(path))),
        }
    }

    /// The name in events.
    pub(super) fn name(&self) -> Cow<'static, str> {
        match self {
            Self::BuiltIn(encoding) => Cow::Borrowed(encoding.name()),
            Self::File(file) => Cow::Owned(file.name().as_ref().to_owned()),
        }
    }

    /// How many tokens the text is; `None` when the vocabulary cannot be read.
    pub(super) fn count(&self, text: &str) -> Option<u64> {
        match self {
            Self::BuiltIn(encoding) => Vocabulary::of(*encoding).map(|vocabulary| vocabulary.count(text) as u64),
            Self::File(file) => file.count(text),
        }
    }
}

/// Reads a `tokenizer.json` to see whether it can be used. Takes up to a second.
pub fn check_file(path: &Path) -> Result<(), super::Unreadable> {
    super::file::read(path).map(drop)
}
