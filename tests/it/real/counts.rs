//! Counts made here are those of the official tokenizers.

mod texts;

use std::time::{Duration, Instant};

use tollgate::meter::count::count_text;
use tollgate::types::Source;

use crate::peers::official_counts;

/// A model of each encoding.
const MODELS: [(&str, &str); 2] = [("o200k_base", "gpt-4o"), ("cl100k_base", "gpt-4")];

#[test]
fn ten_thousand_texts_have_the_counts_of_the_official_tokenizer() {
    let texts = texts::all();
    assert_eq!(texts.len(), 10_000);
    let official = official_counts(&MODELS.map(|(encoding, _)| encoding), &texts);
    for (encoding, model) in MODELS {
        let wanted = &official[encoding];
        assert_eq!(wanted.len(), texts.len());
        for (text, want) in texts.iter().zip(wanted) {
            let counted = count_text(model, text);
            let seen = (counted.tokens, counted.source, counted.tokenizer);
            assert_eq!(seen, (*want, Source::Tokenizer, encoding), "{:?}", text.chars().take(200).collect::<String>());
        }
    }
}

/// Milliseconds when optimised, and not many more when not.
#[test]
fn one_letter_a_hundred_thousand_times_is_counted_at_once() {
    let letters = "a".repeat(100_000);
    for (_, model) in MODELS {
        count_text(model, "loads the vocabulary");
        let fastest = (0..3).map(|_| timed(model, &letters)).min();
        let bound = if cfg!(debug_assertions) { 500 } else { 10 };
        assert!(fastest < Some(Duration::from_millis(bound)), "{model}: {fastest:?}");
    }
}

fn timed(model: &str, text: &str) -> Duration {
    let began = Instant::now();
    assert!(count_text(model, text).tokens > 1000);
    began.elapsed()
}
