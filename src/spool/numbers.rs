//! A set of numbers that are mostly dense.

use std::collections::BTreeMap;

/// Kept as ranges: first to last.
#[derive(Clone, Default)]
pub(super) struct Numbers(BTreeMap<u64, u64>);

impl Numbers {
    /// Adds `first` to `last`.
    pub(super) fn insert(&mut self, first: u64, last: u64) {
        let (mut first, mut last) = (first, last.max(first));
        // Mostly they come in order, or again.
        if let Some(mut newest) = self.0.last_entry()
            && *newest.key() <= first
            && first <= newest.get().saturating_add(1)
        {
            let end = newest.get_mut();
            *end = last.max(*end);
            return;
        }
        // Those that overlap or touch become one.
        let from = self.0.range(..=first).next_back().map_or(first, |(start, _)| *start);
        let touching = self.0.range(from..=last.saturating_add(1)).filter(|(_, end)| end.saturating_add(1) >= first);
        let touching: Vec<_> = touching.map(|(start, end)| (*start, *end)).collect();
        for (start, end) in touching {
            self.0.remove(&start);
            (first, last) = (first.min(start), last.max(end));
        }
        self.0.insert(first, last);
    }

    /// First and last of each range, in order.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|(first, last)| (*first, *last))
    }

    /// The ranges after `floor` and up to `upto`, or the highest if that is higher, that are not in the set.
    pub(super) fn gaps(&self, floor: u64, upto: u64) -> Vec<(u64, u64)> {
        let (mut next, mut gaps) = (floor + 1, Vec::new());
        for (first, last) in self.ranges() {
            if first > next {
                gaps.push((next, first - 1));
            }
            next = next.max(last.saturating_add(1));
        }
        if next <= upto {
            gaps.push((next, upto));
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::Numbers;

    #[test]
    fn gaps_are_what_lies_between() {
        let mut numbers = Numbers::default();
        for (first, last) in [(5, 6), (2, 2), (9, 12), (3, 3), (7, 7), (10, 11)] {
            numbers.insert(first, last);
        }
        assert_eq!(numbers.gaps(0, 0), [(1, 1), (4, 4), (8, 8)]);
        assert_eq!(numbers.gaps(3, 12), [(4, 4), (8, 8)]);
        assert_eq!(numbers.gaps(12, 12), []);
        assert_eq!(numbers.gaps(7, 15), [(8, 8), (13, 15)]);
        numbers.insert(1, 20);
        assert_eq!(numbers.gaps(0, 20), []);
        assert_eq!(Numbers::default().gaps(3, 5), [(4, 5)]);
    }
}
