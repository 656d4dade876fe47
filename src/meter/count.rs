//! Counts tokens here, for when a provider does not report them.
//!
//! A count is a `tokenizer` count only where the model's tokenizer is known and all that the model reads or writes is
//! plain text; with an unknown tokenizer, images or tool schemas it is an `estimate` and says so. Every function is
//! blocking: the first use of a vocabulary reads it in some 50 ms, of a user's own in up to a second, and a megabyte takes
//! 30 to 150 ms, so callers put them on threads of their own. Vocabularies stay loaded once used, the built-in ones in up
//! to 12 MiB each.

mod block;
mod encoding;
mod escape;
mod file;
mod image;
mod merge;
mod models;
mod pieces;
mod raw;
mod request;
mod vocabulary;

use std::borrow::Cow;

use crate::config::Overhead;
use crate::dialect::Operation;
use crate::types::Source;
use models::Known;

pub use file::Unreadable;
pub use models::{Models, check_file};

/// Bytes of text per token when nothing better is known.
const BYTES_PER_TOKEN: u64 = 4;
/// Text beyond this many bytes is not tokenized but estimated.
pub const MAX: usize = 1024 * 1024;

/// A count and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Tokens.
    pub tokens: u64,
    /// `Tokenizer` or `Estimate`.
    pub source: Source,
    /// The tokenizer's name; `bytes/4` where there is none.
    pub tokenizer: Cow<'static, str>,
    /// What is worth knowing about it.
    pub notes: Notes,
}

/// What is worth knowing about a count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// A part was beyond [`MAX`] and so estimated.
    pub truncated: bool,
    /// Images, sounds or files were left out, for want of a formula or of their size.
    pub media_uncounted: bool,
    /// The model's tokenizer could not be read, so the text was estimated.
    pub tokenizer_unreadable: bool,
}

impl Notes {
    /// The flags of an event that has this count.
    pub fn flags(self) -> impl Iterator<Item = &'static str> {
        let flags = [
            (self.truncated, "count_truncated"),
            (self.media_uncounted, "media_uncounted"),
            (self.tokenizer_unreadable, "tokenizer_unreadable"),
        ];
        flags.into_iter().filter(|(is_so, _)| *is_so).map(|(_, flag)| flag)
    }
}

impl Models {
    /// Tokens of a text for this model.
    pub fn text(&self, model: &str, text: &str) -> Counted {
        let mut counter = Counter::new(self, model);
        counter.text(text);
        counter.counted()
    }

    /// Input tokens of a request; `None` when it is not a JSON object. Chats carry the overhead that is customary for the
    /// model.
    pub fn request(&self, model: &str, operation: Operation, body: &[u8]) -> Option<Counted> {
        let mut counter = Counter::new(self, model);
        let subject = if operation == Operation::Chat { Subject::Chat } else { Subject::Text };
        request::count(subject, body, &mut counter)?;
        Some(counter.counted())
    }

    /// Output tokens of generated text as a `Reading` keeps it, with its JSON escapes.
    pub fn output(&self, model: &str, escaped: &[u8]) -> Counted {
        self.text(model, &escape::resolved(escaped))
    }
}

/// What the field `input` is: the two formats that have it mean different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// Messages.
    Chat,
    /// Texts to continue or to embed.
    Text,
}

/// Adds up the tokens of one request or answer within one bound.
struct Counter {
    model: String,
    known: Option<Known>,
    tokens: u64,
    /// Bytes that may still be tokenized.
    room: usize,
    /// Bytes that are estimated instead.
    beyond: u64,
    /// Something was counted that text tokens cannot say exactly.
    rough: bool,
    notes: Notes,
}

impl Counter {
    fn new(models: &Models, model: &str) -> Self {
        let known = models.of(model);
        Self { model: model.to_owned(), known, tokens: 0, room: MAX, beyond: 0, rough: false, notes: Notes::default() }
    }

    fn text(&mut self, text: &str) {
        let Some(known) = &self.known else {
            self.beyond += text.len() as u64;
            return;
        };
        let (head, tail) = text.split_at(text.floor_char_boundary(self.room));
        self.notes.truncated |= !tail.is_empty();
        self.beyond += tail.len() as u64;
        self.room -= head.len();
        if let Some(tokens) = known.tokenizer.count(head) {
            self.tokens(tokens);
        } else {
            self.notes.tokenizer_unreadable = true;
            self.beyond += head.len() as u64;
        }
    }

    fn tokens(&mut self, tokens: u64) {
        self.tokens = self.tokens.saturating_add(tokens);
    }

    fn rough(&mut self) {
        self.rough = true;
    }

    /// What one more message costs beside its content.
    fn message(&mut self) {
        self.overhead(|overhead| overhead.per_message);
    }

    /// What a message's name costs beside itself.
    fn name(&mut self) {
        self.overhead(|overhead| overhead.per_name);
    }

    /// What the beginning of the answer costs.
    fn answer(&mut self) {
        self.overhead(|overhead| overhead.per_answer);
    }

    /// Nobody knows what it is for most models: then OpenAI's is as good a guess as any.
    fn overhead(&mut self, part: impl Fn(Overhead) -> u64) {
        let said = self.known.as_ref().and_then(|known| known.overhead);
        self.rough |= said.is_none();
        self.tokens(part(said.unwrap_or(models::OPENAI)));
    }

    fn image(&mut self, media: &block::Media<'_>) {
        match image::cost(&self.model, media.escaped.and_then(image::size::of), media.detail) {
            Some(image::Cost::Exactly(tokens)) => self.tokens(tokens),
            Some(image::Cost::About(tokens)) => {
                self.rough();
                self.tokens(tokens);
            }
            None => self.uncounted(),
        }
    }

    /// Something that the model reads is left out.
    fn uncounted(&mut self) {
        self.rough();
        self.notes.media_uncounted = true;
    }

    fn counted(&self) -> Counted {
        let exact = self.known.is_some() && self.beyond == 0 && !self.rough;
        let readable = self.known.as_ref().filter(|_| !self.notes.tokenizer_unreadable);
        Counted {
            tokens: self.tokens.saturating_add(self.beyond.div_ceil(BYTES_PER_TOKEN)),
            source: if exact { Source::Tokenizer } else { Source::Estimate },
            tokenizer: readable.map_or(Cow::Borrowed("bytes/4"), |known| known.tokenizer.name()),
            notes: self.notes,
        }
    }
}

#[cfg(test)]
mod tests;
