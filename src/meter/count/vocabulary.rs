//! OpenAI's published vocabularies, built in as they are published, and the tokens of a text in them.
//!
//! A vocabulary is read at its first use, in some 50 ms, and stays. What it holds is one table from tokens to their ranks.
//! Automata made beforehand are no faster on most texts and are 45 MB of the binary; made at first use they take seconds.

use std::collections::HashMap;
use std::io::Read;
use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::read::GzDecoder;
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
    LazyLock::new(|| Vocabulary::load(include_bytes!("vocabulary/o200k_base.tiktoken.gz"), Splitter::o200k()));
static CL100K: LazyLock<Option<Vocabulary>> =
    LazyLock::new(|| Vocabulary::load(include_bytes!("vocabulary/cl100k_base.tiktoken.gz"), Splitter::cl100k()));

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
        let mut text = String::new();
        GzDecoder::new(file).read_to_string(&mut text).ok()?;
        let ranks = parsed(&text)?;
        let longest = ranks.keys().map(|token| token.len()).max()?;
        Some(Self { ranks, longest, splitter: splitter? })
    }
}

/// Reads lines of a token in base64 and its rank. The tokens' bytes are never freed: vocabularies live in statics.
fn parsed(text: &str) -> Option<HashMap<&'static [u8], u32, FixedState>> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut tokens = Vec::new();
    for line in text.lines() {
        let (token, rank) = line.split_once(' ')?;
        let start = bytes.len();
        BASE64_STANDARD.decode_vec(token, &mut bytes).ok()?;
        tokens.push((start..bytes.len(), rank.parse().ok()?));
    }
    bytes.shrink_to_fit();
    let bytes: &'static [u8] = bytes.leak();
    let mut ranks = HashMap::with_capacity_and_hasher(tokens.len(), FixedState::default());
    for (place, rank) in tokens {
        ranks.insert(bytes.get(place)?, rank);
    }
    Some(ranks)
}
