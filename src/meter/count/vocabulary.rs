//! OpenAI's published vocabularies, built in, and the tokens of a text in them.
//!
//! A vocabulary is read at its first use, in some 30 ms, and stays. What it holds is one table from tokens to their ranks.
//! Automata made beforehand are no faster on most texts and are 45 MB of the binary; made at first use they take seconds.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::FixedState;

use super::merge::Merge;
use super::pieces::Splitter;
use crate::config::Encoding;

/// The tokens of one encoding.
pub(super) struct Vocabulary {
    /// A token's rank says how early its two parts are merged: low ranks first.
    ranks: HashMap<&'static [u8], u32, FixedState>,
    longest: usize,
    splitter: Splitter,
}

static O200K: LazyLock<Option<Vocabulary>> =
    LazyLock::new(|| Vocabulary::load(include_bytes!("vocabulary/o200k_base.tokens.zst"), Splitter::o200k()));
static CL100K: LazyLock<Option<Vocabulary>> =
    LazyLock::new(|| Vocabulary::load(include_bytes!("vocabulary/cl100k_base.tokens.zst"), Splitter::cl100k()));

impl Vocabulary {
    /// The vocabulary of an encoding. `None` would mean that a built-in file is damaged; a test looks at both.
    pub(super) fn of(encoding: Encoding) -> Option<&'static Self> {
        match encoding {
            Encoding::O200k => O200K.as_ref(),
            Encoding::Cl100k => CL100K.as_ref(),
        }
    }

    /// How many tokens the text is.
    pub(super) fn count(&self, text: &str) -> usize {
        let mut merge = Merge::default();
        self.splitter.pieces(text).map(|piece| self.count_piece(piece.as_bytes(), &mut merge)).sum()
    }

    fn count_piece(&self, piece: &[u8], merge: &mut Merge) -> usize {
        if self.rank(piece).is_some() { 1 } else { merge.count(piece, |part| self.rank(part)) }
    }

    fn rank(&self, token: &[u8]) -> Option<u32> {
        if token.len() > self.longest { None } else { self.ranks.get(token).copied() }
    }

    fn load(file: &[u8], splitter: Option<Splitter>) -> Option<Self> {
        let ranks = table(file)?;
        let longest = ranks.keys().map(|token| token.len()).max()?;
        Some(Self { ranks, longest, splitter: splitter? })
    }
}

/// Reads a file as its `README.md` describes it. The tokens' bytes are never freed: vocabularies live in statics.
fn table(file: &[u8]) -> Option<HashMap<&'static [u8], u32, FixedState>> {
    let size = zstd_safe::get_frame_content_size(file).ok()??;
    let mut bytes = vec![0; usize::try_from(size).ok()?];
    zstd_safe::decompress(bytes.as_mut_slice(), file).ok()?;
    let (count, rest) = bytes.split_first_chunk()?;
    let (lengths, tokens) = rest.split_at_checked(u32::from_le_bytes(*count) as usize)?;
    let mut tokens: &'static [u8] = tokens.to_vec().leak();
    let mut ranks = HashMap::with_capacity_and_hasher(lengths.len(), FixedState::default());
    for (rank, length) in (0..).zip(lengths) {
        let (token, after) = tokens.split_at_checked(usize::from(*length))?;
        ranks.insert(token, rank);
        tokens = after;
    }
    tokens.is_empty().then_some(ranks)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::Vocabulary;
    use crate::config::Encoding;
    use crate::types::Digest;

    #[test]
    fn the_vocabularies_are_those_that_were_published() {
        let published = include_str!("vocabulary/README.md");
        for (encoding, name) in [(Encoding::O200k, "o200k_base"), (Encoding::Cl100k, "cl100k_base")] {
            let mut tokens: Vec<_> = Vocabulary::of(encoding).unwrap().ranks.iter().collect();
            tokens.sort_by_key(|(_, rank)| **rank);
            let line = |(token, rank): (&&[u8], &u32)| format!("{} {rank}\n", BASE64_STANDARD.encode(token));
            let text: String = tokens.into_iter().map(line).collect();
            let digest = Digest::of(text.as_bytes()).to_hex();
            let row = published.lines().find(|row| row.starts_with(&format!("| `{name}.")));
            assert!(row.unwrap().ends_with(&format!("| `{digest}` |")), "{name}: {digest}");
        }
    }
}
