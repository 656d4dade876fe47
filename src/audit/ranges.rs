//! Arithmetic of sorted, disjoint ranges with both ends included. Takes no room for the numbers between.

/// Sorts ranges and makes one of those that overlap or touch.
pub(super) fn union(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    let mut one: Vec<(u64, u64)> = Vec::new();
    for (first, last) in ranges {
        match one.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => one.push((first, last)),
        }
    }
    one
}

/// What is in `ranges` and not in `others`; both are sorted and disjoint.
pub(super) fn minus(ranges: &[(u64, u64)], others: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut left = Vec::new();
    let mut others = others.iter().peekable();
    for &(first, last) in ranges {
        let mut next = Some(first);
        while others.next_if(|other| other.1 < first).is_some() {}
        let mut ahead = others.clone();
        while let (Some(from), Some(other)) = (next, ahead.next_if(|other| other.0 <= last)) {
            if other.0 > from {
                left.push((from, other.0 - 1));
            }
            next = other.1.checked_add(1).map(|after| after.max(from)).filter(|after| *after <= last);
        }
        left.extend(next.map(|from| (from, last)));
    }
    left
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::proptest;

    use super::{minus, union};

    fn set(ranges: &[(u64, u64)]) -> BTreeSet<u64> {
        ranges.iter().flat_map(|(first, last)| *first..=*last).collect()
    }

    proptest! {
        #[test]
        fn it_is_the_arithmetic_of_sets(a in proptest::collection::vec((0u64..60, 0u64..9), 0..12), b in proptest::collection::vec((0u64..60, 0u64..9), 0..12)) {
            let [a, b] = [a, b].map(|ranges| union(ranges.into_iter().map(|(first, more)| (first, first + more)).collect()));
            assert!(a.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "disjoint, and none touches another");
            let left = minus(&a, &b);
            assert_eq!(set(&left), &set(&a) - &set(&b));
            assert_eq!(left.iter().map(|(first, last)| last - first + 1).sum::<u64>() as usize, set(&left).len());
        }
    }

    #[test]
    fn the_greatest_numbers_break_nothing() {
        assert_eq!(union(vec![(5, u64::MAX), (1, 3), (4, 4)]), [(1, u64::MAX)]);
        assert_eq!(minus(&[(1, u64::MAX)], &[(3, u64::MAX)]), [(1, 2)]);
        assert_eq!(minus(&[(1, 9)], &[]), [(1, 9)]);
    }
}
