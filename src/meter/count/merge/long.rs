//! The merges of a long piece, in a time that grows with its length but for a logarithm, and memory of some 40 bytes for
//! each of its bytes.
//!
//! Neighbours wait in one list for each rank. All of a list are merged in one go from left to right: what a merge brings
//! forth is longer than what was merged, so it never belongs in the list at hand; should its rank be lower, the list waits.
//! Looking a token up costs more than all else, so the last lookups are remembered: a piece of one letter, over and over,
//! needs few others.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use foldhash::fast::FixedState;

/// Stands for "merged into the part before it": no part is followed by the first.
const GONE: u32 = 0;
/// No token has this rank.
const NONE: u32 = u32::MAX;
const MEMORY: usize = 4096;

/// The parts of a piece and what can be merged. Kept from piece to piece for its memory.
#[derive(Debug, Default)]
pub(super) struct Long {
    parts: Vec<Part>,
    waiting: HashMap<u32, List, FixedState>,
    /// The ranks of the lists that wait.
    ranks: BinaryHeap<Reverse<u32>>,
    memory: Vec<Lookup>,
}

/// What begins at one byte.
#[derive(Clone, Copy, Debug)]
struct Part {
    next: u32,
    previous: u32,
    /// Its rank, or for a single byte a number that no rank is.
    token: u32,
}

/// Neighbours of one rank by where they begin and end. Some have been merged otherwise meanwhile.
#[derive(Debug, Default)]
struct List {
    pairs: Vec<(u32, u32)>,
    /// How many have had their turn.
    done: usize,
    unordered: bool,
}

/// Two tokens and the rank of both together.
#[derive(Clone, Copy, Debug)]
struct Lookup(u32, u32, u32);

impl Long {
    /// How many tokens the piece becomes, given the rank of each token.
    pub(super) fn count(&mut self, piece: &[u8], rank: impl Fn(&[u8]) -> Option<u32>) -> usize {
        let rank = |begin: u32, end: u32| piece.get(begin as usize..end as usize).and_then(&rank).unwrap_or(NONE);
        self.begin(piece);
        for at in 0..piece.len() as u32 {
            self.look(at, &rank);
        }
        let mut parts = piece.len();
        while let Some(Reverse(lowest)) = self.ranks.pop() {
            let Some(mut list) = self.waiting.remove(&lowest) else { continue };
            parts -= self.work_off(&mut list, lowest, &rank);
            if list.done < list.pairs.len() {
                self.waiting.insert(lowest, list);
                self.ranks.push(Reverse(lowest));
            }
        }
        parts
    }

    fn begin(&mut self, piece: &[u8]) {
        self.waiting.clear();
        self.ranks.clear();
        self.memory.clear();
        self.memory.resize(MEMORY, Lookup(NONE, NONE, NONE));
        self.parts.clear();
        self.parts.extend(piece.iter().zip(0_u32..).map(|(&byte, at)| Part {
            next: at + 1,
            previous: at.wrapping_sub(1),
            token: NONE - 1 - u32::from(byte),
        }));
    }

    /// Merges what is left of a list, until something of a lower rank comes up. How many merges that were.
    fn work_off(&mut self, list: &mut List, rank: u32, ranks: &impl Fn(u32, u32) -> u32) -> usize {
        let mut merges = 0;
        while let Some((begin, end)) = list.next() {
            if !self.joined((begin, end), rank) {
                continue;
            }
            merges += 1;
            // Before the first part there is none, and so no place of that number.
            let before = self.parts.get(begin as usize).map_or(NONE, |part| part.previous);
            let lowest = self.look(before, ranks).min(self.look(begin, ranks));
            if lowest < rank {
                break;
            }
        }
        merges
    }

    /// Lets a part wait together with the next, if they are a token; its rank.
    fn look(&mut self, begin: u32, ranks: &impl Fn(u32, u32) -> u32) -> u32 {
        let first = self.parts.get(begin as usize);
        let Some((first, second)) = first.and_then(|first| Some((first, self.parts.get(first.next as usize)?))) else {
            return NONE;
        };
        let (tokens, end) = ((first.token, second.token), second.next);
        let place = (tokens.0.wrapping_mul(0x9e37_79b1) ^ tokens.1.wrapping_mul(0x85eb_ca77)) >> 20;
        let Some(known) = self.memory.get_mut(place as usize % MEMORY) else { return NONE };
        if (known.0, known.1) != tokens {
            *known = Lookup(tokens.0, tokens.1, ranks(begin, end));
        }
        let rank = known.2;
        if rank != NONE {
            self.wait(rank, (begin, end));
        }
        rank
    }

    fn wait(&mut self, rank: u32, pair: (u32, u32)) {
        let list = self.waiting.entry(rank).or_default();
        if list.pairs.is_empty() {
            self.ranks.push(Reverse(rank));
        }
        list.unordered |= list.pairs.last().is_some_and(|last| *last > pair);
        list.pairs.push(pair);
    }

    /// Makes one part of the two neighbours that begin and end here, if there still are such.
    fn joined(&mut self, (begin, end): (u32, u32), token: u32) -> bool {
        let middle = self.parts.get(begin as usize).map_or(GONE, |part| part.next);
        if middle == GONE {
            return false;
        }
        let Some(last) = self.parts.get_mut(middle as usize).filter(|last| last.next == end) else { return false };
        last.next = GONE;
        if let Some(first) = self.parts.get_mut(begin as usize) {
            (first.next, first.token) = (end, token);
        }
        if let Some(after) = self.parts.get_mut(end as usize) {
            after.previous = begin;
        }
        true
    }
}

impl List {
    /// The leftmost that has not had its turn.
    fn next(&mut self) -> Option<(u32, u32)> {
        if std::mem::take(&mut self.unordered) {
            self.pairs.get_mut(self.done..)?.sort_unstable();
        }
        let pair = self.pairs.get(self.done).copied()?;
        self.done += 1;
        Some(pair)
    }
}
