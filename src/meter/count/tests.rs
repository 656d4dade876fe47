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
fn counts_are_those_of_openais_tokenizers() {
    // Text, tokens in o200k_base and in cl100k_base.
    let cases = [
        ("The quick brown fox's tail, isn't it?", 10, 11),
        ("don'T WE'LL i'VE", 8, 8),
        ("Ünïcödé façade naïve", 8, 11),
        ("日本語の文章は長い", 7, 10),
        ("Привет, мир!", 5, 7),
        ("🦀👨\u{200d}👩\u{200d}👧 emoji", 12, 17),
        ("1234567890.12", 6, 6),
        ("  fn main() {\n\t\treturn;\r\n  }\n\n\n", 10, 10),
        ("https://example.com/a//b?c=d&e=%20", 13, 13),
        ("VGhlIHF1aWNrIGJyb3du", 13, 13),
        ("trailing   ", 3, 3),
        ("\u{3000}\u{a0} x \n y", 5, 5),
        ("supercalifragilisticexpialidocious", 10, 11),
        ("camelCaseHTTPServer", 4, 4),
    ];
    for (text, o200k, cl100k) in cases {
        assert_eq!(count_text("gpt-4o", text).tokens, o200k, "o200k: {text:?}");
        assert_eq!(count_text("gpt-4", text).tokens, cl100k, "cl100k: {text:?}");
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
