//! A set of event numbers that takes little room when they are dense.
//!
//! A block of 4,096 numbers takes 512 bytes while it has holes and nothing but its place once it is full, in whatever
//! order the numbers come. So an audit's memory follows the gaps, not the events.

use std::collections::BTreeMap;

const WORDS: usize = 64;
const WIDTH: u64 = WORDS as u64 * 64;

/// The set.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    blocks: BTreeMap<u64, Block>,
    count: u64,
}

#[derive(Debug)]
enum Block {
    Full,
    Holed(Box<[u64; WORDS]>),
}

impl Numbers {
    /// Adds a number; false if it was there.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        let block = self.blocks.entry(number / WIDTH).or_insert_with(|| Block::Holed(Box::new([0; WORDS])));
        let Block::Holed(words) = block else { return false };
        let (at, bit) = place(number);
        let Some(word) = words.get_mut(at) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        if words.iter().all(|word| *word == u64::MAX) {
            *block = Block::Full;
        }
        self.count += u64::from(is_new);
        is_new
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The smallest.
    pub(super) fn first(&self) -> Option<u64> {
        let (block, numbers) = self.blocks.first_key_value()?;
        numbers
            .words()
            .enumerate()
            .find(|(_, word)| *word != 0)
            .map(|(at, word)| block * WIDTH + at as u64 * 64 + u64::from(word.trailing_zeros()))
    }

    /// The greatest.
    pub(super) fn last(&self) -> Option<u64> {
        let (block, numbers) = self.blocks.last_key_value()?;
        let (at, word) = numbers.words().enumerate().filter(|(_, word)| *word != 0).last()?;
        Some(block * WIDTH + at as u64 * 64 + u64::from(word.ilog2()))
    }

    /// The numbers of the set as ranges, both ends included.
    pub(super) fn ranges(&self) -> Vec<(u64, u64)> {
        let mut found: Vec<(u64, u64)> = Vec::new();
        for (&block, numbers) in &self.blocks {
            let start = block * WIDTH;
            match numbers {
                Block::Full => extend(&mut found, (start, start + (WIDTH - 1))),
                Block::Holed(words) => {
                    let set = (0..WIDTH).filter(|at| {
                        let (word, bit) = place(*at);
                        words.get(word).is_some_and(|word| word & bit != 0)
                    });
                    set.for_each(|at| extend(&mut found, (start + at, start + at)));
                }
            }
        }
        found
    }

    /// What is not in the set from `floor` up to `upto`, or its greatest if that is greater, as ranges with both ends
    /// included.
    pub(super) fn gaps(&self, floor: u64, upto: u64) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let mut next = floor;
        for (first, last) in self.ranges() {
            if first > next {
                gaps.push((next, first - 1));
            }
            next = next.max(last.saturating_add(1));
        }
        if next <= upto && self.last() != Some(u64::MAX) {
            gaps.push((next, upto));
        }
        gaps
    }
}

impl Block {
    fn words(&self) -> impl Iterator<Item = u64> {
        (0..WORDS).map(|at| match self {
            Self::Full => u64::MAX,
            Self::Holed(words) => words.get(at).copied().unwrap_or(0),
        })
    }
}

/// Which word of its block, and which bit of that.
fn place(number: u64) -> (usize, u64) {
    ((number % WIDTH / 64) as usize, 1 << (number % 64))
}

fn extend(ranges: &mut Vec<(u64, u64)>, next: (u64, u64)) {
    match ranges.last_mut() {
        Some(last) if last.1 + 1 == next.0 => last.1 = next.1,
        _ => ranges.push(next),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::proptest;

    use super::{Block, Numbers};

    #[test]
    fn a_dense_set_in_any_order_takes_no_room() {
        let mut numbers = Numbers::default();
        for start in [3, 1, 2, 0] {
            assert!((start..4096 * 8).step_by(4).all(|number| numbers.insert(number)));
        }
        assert_eq!((numbers.count(), numbers.ranges()), (4096 * 8, vec![(0, 4096 * 8 - 1)]));
        assert!(numbers.blocks.values().all(|block| matches!(block, Block::Full)));
        assert!(!numbers.insert(5000));
        assert_eq!(numbers.gaps(1, 0), []);
    }

    #[test]
    fn the_greatest_number_there_is_breaks_nothing() {
        let mut numbers = Numbers::default();
        assert!(numbers.insert(u64::MAX) && numbers.insert(1));
        assert_eq!((numbers.first(), numbers.last()), (Some(1), Some(u64::MAX)));
        assert_eq!(numbers.gaps(1, u64::MAX), [(2, u64::MAX - 1)]);
    }

    proptest! {
        #[test]
        fn it_is_the_set_that_it_claims_to_be(given in proptest::collection::vec(0u64..20_000, 1..300), floor in 0u64..200, more in 0u64..9) {
            let mut numbers = Numbers::default();
            let mut model = BTreeSet::new();
            for number in given {
                assert_eq!(numbers.insert(number), model.insert(number));
            }
            assert_eq!(numbers.count(), model.len() as u64);
            assert_eq!((numbers.first(), numbers.last()), (model.first().copied(), model.last().copied()));
            let upto = *model.last().unwrap() + more;
            let missing: Vec<_> = (floor..=upto).filter(|number| !model.contains(number)).collect();
            let found: Vec<_> = numbers.gaps(floor, upto).into_iter().flat_map(|(first, last)| first..=last).collect();
            assert_eq!(found, missing);
        }
    }
}
