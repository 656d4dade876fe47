//! Byte pair encoding of one piece: of all neighbours that together are a token, those of the lowest rank are merged, the
//! leftmost first, until none are left.
//!
//! The time grows with n log n, whatever the piece: prompts are written by strangers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Stands for "merged into the part before it": no part is followed by the first.
const GONE: usize = 0;

/// The parts of a piece. Kept from piece to piece for its memory.
#[derive(Debug, Default)]
pub(super) struct Merge {
    /// Where a part's next begins, by where the part begins.
    next: Vec<usize>,
    /// Where the part before it begins.
    previous: Vec<usize>,
    /// Neighbours that together are a token: rank, begin and end. Some have been merged otherwise meanwhile.
    pairs: BinaryHeap<Reverse<(u32, usize, usize)>>,
}

impl Merge {
    /// How many tokens the piece becomes, given the rank of each token.
    pub(super) fn count(&mut self, piece: &[u8], rank: impl Fn(&[u8]) -> Option<u32>) -> usize {
        let pair = |begin: usize, end: usize| Some(Reverse((rank(piece.get(begin..end)?)?, begin, end)));
        self.next.clear();
        self.next.extend(1..=piece.len());
        self.previous.clear();
        self.previous.extend((0..piece.len()).map(|at| at.wrapping_sub(1)));
        self.pairs.clear();
        self.pairs.extend((2..=piece.len()).filter_map(|end| pair(end - 2, end)));
        let mut parts = piece.len();
        while let Some(Reverse((_, begin, end))) = self.pairs.pop() {
            if !self.joined(begin, end) {
                continue;
            }
            parts -= 1;
            // Before the first part and after the last there is none, so there is no such piece.
            let before = self.previous.get(begin).and_then(|&before| pair(before, end));
            let after = self.next.get(end).and_then(|&after| pair(begin, after));
            self.pairs.extend(before.into_iter().chain(after));
        }
        parts
    }

    /// Makes one part of the two neighbours that begin and end here, if there still are such.
    fn joined(&mut self, begin: usize, end: usize) -> bool {
        let Some(middle) = self.next.get(begin).copied().filter(|middle| *middle != GONE) else { return false };
        let Some(last) = self.next.get_mut(middle).filter(|last| **last == end) else { return false };
        *last = GONE;
        if let Some(next) = self.next.get_mut(begin) {
            *next = end;
        }
        if let Some(previous) = self.previous.get_mut(end) {
            *previous = begin;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Merge;

    /// The definition itself, one look over all parts for each merge.
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

    #[test]
    fn merges_are_those_of_the_definition() {
        let tokens: [&[u8]; 9] = [b"ab", b"aa", b"ba", b"aab", b"abab", b"bb", b"aaaa", b"bba", b"abba"];
        let rank = |part: &[u8]| tokens.iter().position(|token| *token == part).map(|rank| rank as u32);
        let mut merge = Merge::default();
        for length in 0..=12_u32 {
            for word in 0..1_u32 << length {
                let piece: Vec<u8> = (0..length).map(|bit| b'a' + (word >> bit & 1) as u8).collect();
                assert_eq!(merge.count(&piece, rank), slowly(&piece, rank), "{piece:?}");
            }
        }
    }
}
