use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Counted, MAX, Models, check_file};
use crate::config::{Encoding, Overhead, Tokenizer, Vocabulary};
use crate::dialect::Operation;
use crate::types::{Pattern, Source};

fn count_text(model: &str, text: &str) -> Counted {
    Models::default().text(model, text)
}

fn chat(model: &str, body: &[u8]) -> Option<Counted> {
    Models::default().request(model, Operation::Chat, body)
}

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
    assert_eq!((counted.tokens, counted.source, &*counted.tokenizer), (3, Source::Estimate, "bytes/4"));
    assert!(!counted.notes.truncated);
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
    assert!(counted.notes.truncated && counted.source == Source::Estimate);
    assert!(counted.tokens > 5000);
}

#[test]
fn a_chat_has_its_customary_overhead() {
    let body = br#"{"model":"gpt-4o","messages":[
        {"role":"system","content":"hello world"},
        {"role":"user","name":"bob","content":[{"type":"text","text":"hello world"}]}]}"#;
    let counted = chat("gpt-4o", body).unwrap();
    // 3 to begin, twice (3 and a role of 1 and a text of 2), once a name of 1 and 1.
    assert_eq!((counted.tokens, counted.source, &*counted.tokenizer), (17, Source::Tokenizer, "o200k_base"));
}

#[test]
fn images_and_tools_make_a_count_an_estimate() {
    let image = br#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}"#;
    let counted = chat("gpt-4o", image).unwrap();
    assert_eq!((counted.tokens, counted.source), (7, Source::Estimate));
    let tools = br#"{"messages":[],"tools":[{"type":"function","function":{"name":"f"}}]}"#;
    let counted = chat("gpt-4o", tools).unwrap();
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
        let counted = Models::default().request("text-embedding-3-small", Operation::Embeddings, body).unwrap();
        assert_eq!((counted.tokens, counted.source), (want, Source::Tokenizer));
    }
    assert_eq!(chat("gpt-4o", b"not json"), None);
}

#[test]
fn output_is_counted_without_its_escapes() {
    assert_eq!(Models::default().output("gpt-4o", br"hello\u0020world"), count_text("gpt-4o", "hello world"));
}

fn table(models: &str, vocabulary: Vocabulary, overhead: Option<Overhead>) -> Models {
    let row = Tokenizer { models: vec![Pattern::new(models)], vocabulary, overhead };
    Models::new(&[row], &Models::default())
}

fn fixture(kind: &str) -> Vocabulary {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers").join(kind).join("tokenizer.json");
    Vocabulary::File(path.into())
}

#[test]
fn a_users_row_comes_before_the_built_in_table() {
    let models = table("gpt-4*", Vocabulary::BuiltIn(Encoding::O200k), None);
    assert_eq!(models.text("gpt-4", "hello").tokenizer, "o200k_base");
    assert_eq!(models.text("gpt-3.5-turbo", "hello").tokenizer, "cl100k_base");
    assert_eq!(models.text("my-model", "hello").tokenizer, "bytes/4");
}

#[test]
fn a_users_overhead_makes_a_chat_exact_and_none_makes_it_an_estimate() {
    let body = br#"{"messages":[{"role":"user","content":"the events"}]}"#;
    let text = |models: &Models| models.text("my-1", "user").tokens + models.text("my-1", "the events").tokens;
    let said = Overhead { per_message: 4, per_name: 0, per_answer: 2 };
    let models = table("my-*", fixture("bytes"), Some(said));
    let counted = models.request("my-1", Operation::Chat, body).unwrap();
    assert_eq!((counted.tokens, counted.source), (text(&models) + 6, Source::Tokenizer));
    let models = table("my-*", fixture("bytes"), None);
    assert_eq!(models.request("my-1", Operation::Chat, body).unwrap().source, Source::Estimate);
}

#[test]
fn a_users_tokenizer_that_cuts_texts_for_training_does_not_cut_them_here() {
    let models = table("my-*", fixture("bytes"), None);
    assert!(models.text("my-1", &"the events ".repeat(50)).tokens > 50, "the file says 16 tokens at most");
    assert!(models.text("my-1", "the").tokens < 16, "and 16 at least");
}

#[test]
fn a_users_tokenizer_that_is_no_use_costs_exactness_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broken.json");
    std::fs::write(&path, "{").unwrap();
    assert!(check_file(&path).is_err());
    for path in [path, directory.path().join("missing.json")] {
        let counted = table("my-*", Vocabulary::File(path.into()), None).text("my-1", "12345678");
        assert_eq!((counted.tokens, counted.source, &*counted.tokenizer), (2, Source::Estimate, "bytes/4"));
        assert!(counted.notes.flags().eq(["tokenizer_unreadable"]));
    }
}

#[test]
fn a_reload_reads_a_users_tokenizer_again_only_if_it_changed() {
    let directory = tempfile::tempdir().unwrap();
    let path: Arc<Path> = directory.path().join("tokenizer.json").into();
    let Vocabulary::File(source) = fixture("bytes") else { panic!("a file") };
    std::fs::copy(source, &path).unwrap();
    let rows = [Tokenizer {
        models: vec![Pattern::new("*")],
        vocabulary: Vocabulary::File(Arc::clone(&path)),
        overhead: None,
    }];
    let first = Models::new(&rows, &Models::default());
    let tokens = first.text("m", "the events").tokens;
    let second = Models::new(&rows, &first);
    std::fs::write(&path, "{}").unwrap();
    assert_eq!(second.text("m", "the events").tokens, tokens, "what was read is taken over");
    let third = Models::new(&rows, &second);
    assert!(third.text("m", "the events").notes.tokenizer_unreadable, "a changed file is read anew");
}

/// What `hello world` and a role cost in `o200k_base`: the formats below all say the same.
const TEXT: u64 = 2;
const ROLE: u64 = 1;

#[test]
fn what_every_wire_format_gives_the_model_to_read_is_counted() {
    let message = 3 + ROLE + TEXT;
    let cases: [(&str, &str, u64); 13] = [
        ("responses, a text", r#"{"instructions":"hello world","input":"hello world"}"#, 3 + 2 * message),
        (
            "responses, items",
            r#"{"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hello world"}]},
                {"role":"assistant","content":"hello world"}],"text":{"format":{"type":"text"}}}"#,
            3 + 2 * message,
        ),
        (
            "anthropic",
            r#"{"system":"hello world","messages":[{"role":"user","content":"hello world"},{"role":"assistant",
                "content":[{"type":"text","text":"hello world","cache_control":{"type":"ephemeral"}}]}]}"#,
            3 + 3 * message,
        ),
        (
            "anthropic, system in parts",
            r#"{"system":[{"type":"text","text":"hello world"}],"messages":[]}"#,
            3 + message,
        ),
        (
            "google",
            r#"{"systemInstruction":{"parts":[{"text":"hello world"}]},
                "contents":[{"role":"user","parts":[{"text":"hello world"},{"text":"hello world"}]}]}"#,
            3 + 2 * message + TEXT,
        ),
        ("google, embedding", r#"{"model":"m","content":{"parts":[{"text":"hello world"}]}}"#, TEXT),
        ("google, batch", r#"{"requests":[{"content":{"parts":[{"text":"hello world"}]}}]}"#, TEXT),
        ("ollama chat", r#"{"messages":[{"role":"user","content":"hello world"}],"stream":false}"#, 3 + message),
        ("ollama generate", r#"{"prompt":"hello world","suffix":"hello world"}"#, 2 * TEXT),
        (
            "cohere v1",
            r#"{"message":"hello world","preamble":"hello world",
                "chat_history":[{"role":"user","message":"hello world"}]}"#,
            3 + 3 * message,
        ),
        ("cohere v2", r#"{"messages":[{"role":"user","content":{"type":"text","text":"hello world"}}]}"#, 3 + message),
        (
            "bedrock converse",
            r#"{"system":[{"text":"hello world"}],"messages":[{"role":"user","content":[{"text":"hello world"}]}]}"#,
            3 + 2 * message,
        ),
        ("titan", r#"{"inputText":"hello world"}"#, TEXT),
    ];
    for (name, body, want) in cases {
        let counted = chat("gpt-4o", body.as_bytes()).unwrap();
        assert_eq!((counted.tokens, counted.source), (want, Source::Tokenizer), "{name}");
    }
}

#[test]
fn tools_and_what_they_say_are_counted_as_an_estimate() {
    let cases = [
        r#"{"messages":[{"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}]}"#,
        r#"{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"hello world"}]},
            {"role":"assistant","content":[{"type":"tool_use","name":"f","input":{"a":1}}]}]}"#,
        r#"{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":{"a":1}}}]}]}"#,
        r#"{"messages":[{"role":"user","content":[{"toolResult":{"content":[{"json":{"a":1}}]}}]}]}"#,
        r#"{"input":[{"type":"function_call_output","call_id":"c","output":"hello world"},
            {"type":"function_call","name":"f","arguments":"{\"a\":1}"}]}"#,
        r#"{"messages":[],"tools":[{"name":"f","input_schema":{"type":"object"}}]}"#,
        r#"{"messages":[],"toolConfig":{"tools":[{"toolSpec":{"name":"f"}}]}}"#,
        r#"{"messages":[],"response_format":{"type":"json_schema","json_schema":{"schema":{"type":"object"}}}}"#,
    ];
    for body in cases {
        let counted = chat("gpt-4o", body.as_bytes()).unwrap();
        assert!(counted.tokens > 6, "{body}: {counted:?}");
        let exact = body.contains("tool_result") && !body.contains("tool_use\"");
        assert_eq!(counted.source == Source::Tokenizer, exact, "{body}");
        assert!(!counted.notes.media_uncounted, "{body}");
    }
}

/// A picture of 1024 by 1024, as far as anybody looks.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAABAAAAAQACAIAAAA=";

#[test]
fn images_are_counted_where_their_price_and_size_are_known() {
    let message = 3 + 3 + ROLE;
    let part = |part: &str| format!(r#"{{"messages":[{{"role":"user","content":[{part}]}}]}}"#);
    let openai = |detail: &str| {
        part(&format!(
            r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{PNG}","detail":"{detail}"}}}}"#
        ))
    };
    let cases = [
        ("gpt-4o", openai("high"), 765, Source::Estimate),
        ("gpt-4o", openai("low"), 85, Source::Tokenizer),
        (
            "gpt-4o",
            part(r#"{"type":"image_url","image_url":{"url":"https://a/b.png","detail":"low"}}"#),
            85,
            Source::Tokenizer,
        ),
        (
            "gpt-4o",
            format!(
                r#"{{"input":[{{"role":"user","content":[{{"type":"input_image","detail":"low",
                    "image_url":"data:image/png;base64,{PNG}"}}]}}]}}"#
            ),
            85,
            Source::Tokenizer,
        ),
    ];
    for (model, body, want, source) in cases {
        let counted = chat(model, body.as_bytes()).unwrap();
        assert_eq!((counted.tokens, counted.source), (want + message, source), "{body}");
        assert!(!counted.notes.media_uncounted);
    }
    // Estimates throughout: the role is four bytes, and so one token too.
    let others = [
        (
            "claude-sonnet-4-5",
            part(&format!(
                r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{PNG}"}}}}"#
            )),
            1399,
        ),
        (
            "us.anthropic.claude-3-haiku",
            part(&format!(r#"{{"image":{{"format":"png","source":{{"bytes":"{PNG}"}}}}}}"#)),
            1399,
        ),
        (
            "gemini-2.5-flash",
            format!(
                r#"{{"contents":[{{"role":"user","parts":[{{"inlineData":{{"mimeType":"image/png","data":"{PNG}"}}}}]}}]}}"#
            ),
            4 * 258,
        ),
    ];
    for (model, body, want) in others {
        let counted = chat(model, body.as_bytes()).unwrap();
        assert_eq!((counted.tokens, counted.source), (want + message, Source::Estimate), "{body}");
    }
}

#[test]
fn media_that_nobody_can_price_are_left_out_and_the_count_says_so() {
    let llava = format!(r#"{{"messages":[{{"role":"user","content":"hello world","images":["{PNG}"]}}]}}"#);
    let parts = [
        r#"{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}"#,
        r#"{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}"#,
        r#"{"type":"file","file":{"file_data":"data:application/pdf;base64,AAAA"}}"#,
        r#"{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"AAAA"}}"#,
        r#"{"fileData":{"fileUri":"gs://a"}}"#,
        r#"{"inlineData":{"mimeType":"audio/wav","data":"AAAA"}}"#,
    ];
    let bodies = parts.map(|part| format!(r#"{{"messages":[{{"role":"user","content":[{part}]}}]}}"#));
    for (model, body) in [("llava", llava)].into_iter().chain(bodies.into_iter().map(|body| ("gpt-4o", body))) {
        let counted = chat(model, body.as_bytes()).unwrap();
        assert_eq!(counted.source, Source::Estimate, "{body}");
        assert!(counted.notes.flags().eq(["media_uncounted"]) && counted.tokens < 12, "{body}: {counted:?}");
    }
}

#[test]
fn parts_within_parts_without_end_are_given_up_on() {
    let deep = r#"{"content":["#.repeat(5000) + &"]}".repeat(5000);
    let counted = chat("gpt-4o", format!(r#"{{"messages":[{deep}]}}"#).as_bytes()).unwrap();
    assert_eq!(counted.source, Source::Estimate);
}
