//! Counts made here are those of the official tokenizers.

mod texts;

use std::path::Path;
use std::time::{Duration, Instant};

use tollgate::config::{Tokenizer, Vocabulary};
use tollgate::meter::count::Models;
use tollgate::types::{Pattern, Source};

use crate::peers::{hugging_face_counts, official_counts};

/// A model of each encoding.
const MODELS: [(&str, &str); 2] = [("o200k_base", "gpt-4o"), ("cl100k_base", "gpt-4")];

#[test]
fn ten_thousand_texts_have_the_counts_of_the_official_tokenizer() {
    let texts = texts::all();
    assert_eq!(texts.len(), 10_000);
    let official = official_counts(&MODELS.map(|(encoding, _)| encoding), &texts);
    let models = Models::default();
    for (encoding, model) in MODELS {
        let wanted = &official[encoding];
        assert_eq!(wanted.len(), texts.len());
        for (text, want) in texts.iter().zip(wanted) {
            let counted = models.text(model, text);
            let seen = (counted.tokens, counted.source, &*counted.tokenizer);
            assert_eq!(seen, (*want, Source::Tokenizer, encoding), "{:?}", text.chars().take(200).collect::<String>());
        }
    }
}

/// Byte pairs behind Llama's pattern and a normalizer, and whole words by their likelihood: the two kinds that models have.
#[test]
fn a_users_own_tokenizer_counts_as_it_does_in_python() {
    let texts: Vec<String> = texts::all().into_iter().filter(|text| text.len() < 2000).step_by(5).collect();
    assert!(texts.len() > 1500);
    for kind in ["bytes", "words"] {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/tokenizers/{kind}/tokenizer.json"));
        let wanted = hugging_face_counts(&path, &texts);
        let vocabulary = Vocabulary::File(path.into());
        let row = Tokenizer { models: vec![Pattern::new("my-*")], vocabulary, overhead: None };
        let models = Models::new(&[row], &Models::default());
        for (text, want) in texts.iter().zip(wanted) {
            let counted = models.text("my-model", text);
            let seen = (counted.tokens, counted.source, &*counted.tokenizer);
            assert_eq!(seen, (want, Source::Tokenizer, kind), "{:?}", text.chars().take(200).collect::<String>());
        }
    }
}

/// Milliseconds when optimised; otherwise the bound is one that a loaded machine keeps and a quadratic tokenizer does not.
#[test]
fn one_letter_a_hundred_thousand_times_is_counted_at_once() {
    let letters = "a".repeat(100_000);
    for (_, model) in MODELS {
        Models::default().text(model, "loads the vocabulary");
        let fastest = (0..3).map(|_| timed(model, &letters)).min();
        let bound = if cfg!(debug_assertions) { 3000 } else { 10 };
        assert!(fastest < Some(Duration::from_millis(bound)), "{model}: {fastest:?}");
    }
}

fn timed(model: &str, text: &str) -> Duration {
    let began = Instant::now();
    assert!(Models::default().text(model, text).tokens > 1000);
    began.elapsed()
}
