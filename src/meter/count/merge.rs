//! Byte pair encoding of one piece: of all neighbours that together are a token, those of the lowest rank are merged, the
//! leftmost first, until none are left.
//!
//! Most pieces are words: for them one look over all parts for each merge is fastest. Prompts are written by strangers,
//! so pieces beyond that go another way, in [`long`], whose time grows with their length.

mod long;

use long::Long;

/// Pieces of up to this many bytes are looked over again for each merge.
const SHORT: usize = 64;

/// The parts of a piece. Kept from piece to piece for its memory.
#[derive(Debug, Default)]
pub(super) struct Merge {
    /// Where each part begins and the rank of it together with the next; after the last part comes the piece's end.
    parts: Vec<(usize, Option<u32>)>,
    long: Option<Box<Long>>,
}

impl Merge {
    /// How many tokens the piece becomes, given the rank of each token.
    pub(super) fn count(&mut self, piece: &[u8], rank: impl Fn(&[u8]) -> Option<u32>) -> usize {
        if piece.len() <= SHORT {
            self.short(piece, rank)
        } else {
            self.long.get_or_insert_default().count(piece, rank)
        }
    }

    fn short(&mut self, piece: &[u8], rank: impl Fn(&[u8]) -> Option<u32>) -> usize {
        let rank = |begin: usize, end: usize| piece.get(begin..end).filter(|pair| pair.len() > 1).and_then(&rank);
        self.parts.clear();
        self.parts.extend((0..=piece.len()).map(|at| (at, rank(at, at + 2))));
        while let Some(at) = self.lowest() {
            self.parts.remove(at + 1);
            self.renew(at, &rank);
            if let Some(before) = at.checked_sub(1) {
                self.renew(before, &rank);
            }
        }
        self.parts.len() - 1
    }

    fn lowest(&self) -> Option<usize> {
        let ranked = self.parts.iter().enumerate().filter_map(|(at, (_, rank))| Some(((*rank)?, at)));
        ranked.min().map(|(_, at)| at)
    }

    /// Sets the rank of a part together with the next.
    fn renew(&mut self, at: usize, rank: &impl Fn(usize, usize) -> Option<u32>) {
        let end = self.parts.get(at + 2).map(|(end, _)| *end);
        if let Some((begin, together)) = self.parts.get_mut(at) {
            *together = end.and_then(|end| rank(*begin, end));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Long, Merge};

    /// The definition itself, on copies.
    fn slowly(piece: &[u8], rank: impl Fn(&[u8]) -> Option<u32>) -> usize {
        let mut parts: Vec<Vec<u8>> = piece.iter().map(|byte| vec![*byte]).collect();
        loop {
            let pairs = parts.windows(2).enumerate();
            let lowest = pairs.filter_map(|(at, pair)| Some((rank(&pair.concat())?, at))).min();
            let Some((_, at)) = lowest else { return parts.len() };
            let second = parts.remove(at + 1);
            parts[at].extend(second);
        }
    }

    /// Ranks in an order in which a token may come before its own parts.
    const TOKENS: [&[u8]; 11] =
        [b"ab", b"aa", b"baab", b"ba", b"aab", b"abab", b"bb", b"aaaa", b"bba", b"abba", b"bbbb"];

    fn rank(part: &[u8]) -> Option<u32> {
        TOKENS.iter().position(|token| *token == part).map(|rank| rank as u32)
    }

    fn word(bits: u64, length: u32) -> Vec<u8> {
        (0..length).map(|bit| b'a' + (bits >> bit & 1) as u8).collect()
    }

    #[test]
    fn merges_are_those_of_the_definition() {
        let (mut merge, mut long) = (Merge::default(), Long::default());
        for length in 0..=12 {
            for bits in 0..1_u64 << length {
                let piece = word(bits, length);
                let want = slowly(&piece, rank);
                assert_eq!(merge.count(&piece, rank), want, "{piece:?}");
                assert_eq!(long.count(&piece, rank), want, "long: {piece:?}");
            }
        }
    }

    #[test]
    fn long_pieces_are_merged_as_short_ones() {
        let (mut merge, mut random) = (Merge::default(), fastrand::Rng::with_seed(1));
        for _ in 0..200 {
            let piece: Vec<u8> = (0..20).flat_map(|_| word(random.u64(..), random.u32(1..20))).collect();
            assert_eq!(merge.count(&piece, rank), slowly(&piece, rank), "{piece:?}");
        }
    }
}
