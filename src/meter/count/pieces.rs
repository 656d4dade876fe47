//! Splits a text into pieces, as OpenAI's tokenizers do before they look for tokens: no token reaches over a piece's end.
//!
//! The patterns are OpenAI's, but for `\s+(?!\S)`: without look-ahead that is one white space more, which is given back.
//! So no input takes longer than its length allows.

use regex_automata::meta::Regex;
use regex_automata::{Anchored, Input};

const CL100K: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
    r"|[^\r\n\p{L}\p{N}]?\p{L}+",
    r"|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*",
    r"|\s*[\r\n]+",
    r"|\s+$",
);
const O200K: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"|\s*[\r\n]+",
    r"|\s+$",
);
/// Which of the three patterns takes a white space too many.
const AHEAD: usize = 1;

/// Finds pieces of one encoding.
pub(super) struct Splitter(Regex);

impl Splitter {
    /// For `cl100k_base`.
    pub(super) fn cl100k() -> Option<Self> {
        Self::new(CL100K)
    }

    /// For `o200k_base`.
    pub(super) fn o200k() -> Option<Self> {
        Self::new(O200K)
    }

    fn new(pattern: &str) -> Option<Self> {
        Regex::new_many(&[pattern, r"\s+\s", r"\s+"]).ok().map(Self)
    }

    /// The pieces in order. Together they are the text.
    pub(super) fn pieces<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        let mut rest = text;
        std::iter::from_fn(move || {
            let (piece, after) = rest.split_at_checked(self.end_of_first(rest)?)?;
            rest = after;
            Some(piece)
        })
    }

    fn end_of_first(&self, text: &str) -> Option<usize> {
        let found = self.0.find(Input::new(text).anchored(Anchored::Yes))?;
        let extra =
            if found.pattern().as_usize() == AHEAD { text.get(..found.end())?.chars().next_back() } else { None };
        Some(found.end() - extra.map_or(0, char::len_utf8))
    }
}
