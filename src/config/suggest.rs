//! Finds the word that was probably meant.

/// The candidate nearest to `word`, if one is near enough to be a slip of the pen.
pub(super) fn nearest<'c>(word: &str, candidates: &[&'c str]) -> Option<&'c str> {
    // A long word is not a slip, and the distance costs its length squared.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_lowercase().replace('-', "_");
    let (distance, best) =
        candidates.iter().map(|candidate| (distance(&word, candidate), *candidate)).min_by_key(|(d, _)| *d)?;
    let slips = (word.chars().count().max(best.len()) / 3).max(1);
    (distance <= slips).then_some(best)
}

/// Insertions, deletions and replacements that make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(&b) {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = *cell;
            before = replaced.min(diagonal + 1).min(before + 1);
            *cell = before;
        }
    }
    if b.is_empty() { a.chars().count() } else { row.last().copied().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["listen", "tls", "max_connections"];
        assert_eq!(nearest("lisen", &known), Some("listen"));
        assert_eq!(nearest("max-connections", &known), Some("max_connections"));
        assert_eq!(nearest("max_connection", &known), Some("max_connections"));
        assert_eq!(nearest("database", &known), None);
        assert_eq!(nearest("x", &[]), None);
    }

    #[test]
    fn distance_counts_single_letters() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
    }
}
