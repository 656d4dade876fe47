//! Counts tokens here, for when a provider does not report them.
//!
//! A count is a `tokenizer` count only where the model's tokenizer is known and all that the model reads or writes is
//! plain text; with an unknown tokenizer, images or tool schemas it is an `estimate` and says so. Every function is
//! blocking: the first use of a vocabulary reads it in some 50 ms, and a megabyte takes some 30 ms or, if it is the same
//! letter all over, most of a second, so callers put them on threads of their own. Vocabularies stay loaded once used, in
//! up to 12 MiB each.

mod chat;
mod encoding;
mod escape;
mod merge;
mod pieces;
mod vocabulary;

use crate::types::Source;
use vocabulary::Vocabulary;

pub use encoding::Encoding;

/// Text beyond this many bytes is not tokenized but estimated.
pub const MAX: usize = 1024 * 1024;

/// A count and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Tokens.
    pub tokens: u64,
    /// `Tokenizer` or `Estimate`.
    pub source: Source,
    /// The tokenizer's name; `bytes/4` where there is none.
    pub tokenizer: &'static str,
    /// Whether a part was beyond [`MAX`] and so estimated.
    pub truncated: bool,
}

/// Tokens of a text for this model.
pub fn count_text(model: &str, text: &str) -> Counted {
    let mut counter = Counter::new(model);
    counter.text(text);
    counter.counted()
}

/// Input tokens of a chat, completion or embeddings request; `None` when it is not JSON. Chats carry OpenAI's customary
/// overhead: 3 for each message, 1 for each name, 3 for the answer's beginning.
pub fn count_chat_request(model: &str, body: &[u8]) -> Option<Counted> {
    let mut counter = Counter::new(model);
    chat::count(body, &mut counter)?;
    Some(counter.counted())
}

/// Output tokens of generated text as a `Reading` keeps it, with its JSON escapes.
pub fn count_output(model: &str, escaped: &[u8]) -> Counted {
    count_text(model, &escape::resolved(escaped))
}

/// Adds up the tokens of one request or answer within one bound.
struct Counter {
    encoding: Option<Encoding>,
    tokens: u64,
    /// Bytes that may still be tokenized.
    room: usize,
    /// Bytes that are estimated instead.
    beyond: u64,
    /// Something was counted that text tokens cannot say exactly.
    rough: bool,
}

impl Counter {
    fn new(model: &str) -> Self {
        Self { encoding: Encoding::of(model), tokens: 0, room: MAX, beyond: 0, rough: false }
    }

    fn text(&mut self, text: &str) {
        let Some(vocabulary) = self.encoding.and_then(Vocabulary::of) else {
            self.beyond += text.len() as u64;
            return;
        };
        let (head, tail) = text.split_at(text.floor_char_boundary(self.room));
        self.tokens += vocabulary.count(head) as u64;
        self.room -= head.len();
        self.beyond += tail.len() as u64;
    }

    fn tokens(&mut self, tokens: u64) {
        self.tokens = self.tokens.saturating_add(tokens);
    }

    fn rough(&mut self) {
        self.rough = true;
    }

    fn counted(&self) -> Counted {
        let exact = self.encoding.is_some() && self.beyond == 0 && !self.rough;
        Counted {
            tokens: self.tokens.saturating_add(self.beyond.div_ceil(4)),
            source: if exact { Source::Tokenizer } else { Source::Estimate },
            tokenizer: self.encoding.map_or("bytes/4", Encoding::name),
            truncated: self.encoding.is_some() && self.beyond > 0,
        }
    }
}

#[cfg(test)]
mod tests;
