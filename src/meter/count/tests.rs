use std::time::{Duration, Instant};

use super::{MAX, count_chat_request, count_output, count_text};
use crate::types::Source;

#[test]
fn known_texts_have_their_known_counts() {
    // From OpenAI's tiktoken.
    let cases = [("gpt-4o", "hello world", 2), ("gpt-4", "tiktoken is great!", 6), ("gpt-4o", "", 0)];
    for (model, text, want) in cases {
        let counted = count_text(model, text);
        assert_eq!((counted.tokens, counted.source), (want, Source::Tokenizer), "{model}: {text}");
    }
}

#[test]
fn a_model_without_a_known_tokenizer_is_estimated() {
    let counted = count_text("claude-opus-4", "hello world");
    assert_eq!((counted.tokens, counted.source, counted.tokenizer), (3, Source::Estimate, "bytes/4"));
    assert!(!counted.truncated);
}

#[test]
fn a_hundred_thousand_times_one_letter_is_no_attack() {
    count_text("gpt-4o", "load the vocabulary first");
    let text = "a".repeat(100_000);
    let began = Instant::now();
    let counted = count_text("gpt-4o", &text);
    // Milliseconds when optimised; a quadratic tokenizer takes minutes.
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(counted.tokens > 1000 && counted.source == Source::Tokenizer);
}

#[test]
fn text_beyond_the_bound_is_estimated_and_says_so() {
    let text = " é".repeat(MAX / 3) + &" x".repeat(10_000);
    let counted = count_text("gpt-4o", &text);
    assert!(counted.truncated && counted.source == Source::Estimate);
    assert!(counted.tokens > 5000);
}

#[test]
fn a_chat_has_its_customary_overhead() {
    let body = br#"{"model":"gpt-4o","messages":[
        {"role":"system","content":"hello world"},
        {"role":"user","name":"bob","content":[{"type":"text","text":"hello world"}]}]}"#;
    let counted = count_chat_request("gpt-4o", body).unwrap();
    // 3 to begin, twice (3 and a role of 1 and a text of 2), once a name of 1 and 1.
    assert_eq!((counted.tokens, counted.source, counted.tokenizer), (17, Source::Tokenizer, "o200k_base"));
}

#[test]
fn images_and_tools_make_a_count_an_estimate() {
    let image = br#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}"#;
    let counted = count_chat_request("gpt-4o", image).unwrap();
    assert_eq!((counted.tokens, counted.source), (7, Source::Estimate));
    let tools = br#"{"messages":[],"tools":[{"type":"function","function":{"name":"f"}}]}"#;
    let counted = count_chat_request("gpt-4o", tools).unwrap();
    assert!(counted.tokens > 8 && counted.source == Source::Estimate);
}

#[test]
fn prompts_and_inputs_of_every_form_are_counted() {
    let cases: [(&[u8], u64); 5] = [
        (br#"{"input":"hello world"}"#, 2),
        (br#"{"input":["hello world","hello world"]}"#, 4),
        (br#"{"prompt":[1,2,3]}"#, 3),
        (br#"{"prompt":[[1,2],[3]]}"#, 3),
        (br#"{"prompt":""}"#, 0),
    ];
    for (body, want) in cases {
        let counted = count_chat_request("text-embedding-3-small", body).unwrap();
        assert_eq!((counted.tokens, counted.source), (want, Source::Tokenizer));
    }
    assert_eq!(count_chat_request("gpt-4o", b"not json"), None);
}

#[test]
fn output_is_counted_without_its_escapes() {
    assert_eq!(count_output("gpt-4o", br"hello\u0020world"), count_text("gpt-4o", "hello world"));
}
