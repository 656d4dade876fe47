use std::time::{Duration, Instant};

use http::Method;

use super::refusal::Style;
use super::{FAMILIES, Operation, Reading, UNKNOWN, names, route};
use crate::config::DialectChoice;

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn the_path_chooses_dialect_and_operation_under_any_prefix() {
    let cases = [
        ("/v1/chat/completions", "openai.chat", Operation::Chat),
        ("/chat/completions", "openai.chat", Operation::Chat),
        ("/v1/v1/chat/completions/", "openai.chat", Operation::Chat),
        ("/openai/deployments/my-gpt/chat/completions", "openai.chat", Operation::Chat),
        ("/v1/completions", "openai.completions", Operation::Completion),
        ("/v1/engines/davinci/completions", "openai.completions", Operation::Completion),
        ("/v1/embeddings", "openai.embeddings", Operation::Embeddings),
        ("/v1/responses", "openai.responses", Operation::Chat),
        ("/openai/responses", "openai.responses", Operation::Chat),
        ("/v1/responses/compact", "openai.responses", Operation::Chat),
        ("/v1/responses/input_tokens", "openai.responses", Operation::CountTokens),
        ("/v1/responses/resp_1/cancel", "openai.responses", Operation::Other),
        ("/openai/v1/images/generations", "openai.images", Operation::Image),
        ("/openai/deployments/dalle/images/generations", "openai.images", Operation::Image),
        ("/v1/images/edits", "openai.images", Operation::Image),
        ("/v1/audio/speech", "openai.speech", Operation::Speech),
        ("/openai/deployments/w/audio/transcriptions", "openai.transcriptions", Operation::Transcription),
        ("/v1/audio/translations", "openai.transcriptions", Operation::Transcription),
        ("/v1/moderations", "openai.moderations", Operation::Moderation),
        ("/v1/batches", "openai.other", Operation::Other),
        ("/v1/files", "openai.other", Operation::Other),
        ("/v1/uploads/upload_1/parts", "openai.other", Operation::Other),
        ("/v1/vector_stores/vs_1/search", "openai.other", Operation::Other),
        ("/v1/inference/chat", "usageguard.chat", Operation::Chat),
        ("/v1/inference/completion", "usageguard.completion", Operation::Completion),
        ("/api/engine/chat/openai", "llmstudio.chat", Operation::Chat),
        ("/api/engine/chat/", "unknown", Operation::Other),
        ("/v1/messages", "anthropic.messages", Operation::Chat),
        ("/anthropic/v1/messages/", "anthropic.messages", Operation::Chat),
        ("/v1/v1/messages", "anthropic.messages", Operation::Chat),
        (
            "/v1/projects/p/locations/l/publishers/anthropic/models/claude-x@1:streamRawPredict",
            "anthropic.messages",
            Operation::Chat,
        ),
        (
            "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict",
            "anthropic.count_tokens",
            Operation::CountTokens,
        ),
        ("/v1/messages/count_tokens", "anthropic.count_tokens", Operation::CountTokens),
        ("/v1/complete", "anthropic.complete", Operation::Completion),
        ("/v1/messages/batches", "unknown", Operation::Other),
        ("/v1/messages/batches/b/cancel", "unknown", Operation::Other),
        ("/v1/threads/t/messages", "unknown", Operation::Other),
        ("/v2/chat", "cohere.chat", Operation::Chat),
        ("/v1/chat", "cohere.chat", Operation::Chat),
        ("/v2/embed", "cohere.embed", Operation::Embeddings),
        ("/gateway/v1/embed", "cohere.embed", Operation::Embeddings),
        ("/v1/rerank", "cohere.rerank", Operation::Rerank),
        ("/v2/rerank", "cohere.rerank", Operation::Rerank),
        ("/v1/classify", "unknown", Operation::Other),
        ("/v1/summarize", "unknown", Operation::Other),
        ("/api/chat", "ollama.chat", Operation::Chat),
        ("/ollama/api/generate", "ollama.generate", Operation::Completion),
        ("/api/embed", "ollama.embed", Operation::Embeddings),
        ("/api/embeddings", "ollama.embed", Operation::Embeddings),
        ("/api/pull", "unknown", Operation::Other),
        ("/api/chat/completions", "openai.chat", Operation::Chat),
        ("/v1/models", "unknown", Operation::Other),
        ("/v1/mychat/completionsx", "unknown", Operation::Other),
        ("/", "unknown", Operation::Other),
    ];
    for (path, name, operation) in cases {
        let route = route(DialectChoice::Auto, &Method::POST, path);
        assert_eq!((route.name(), route.operation), (name, operation), "{path}");
        assert!(names().contains(name), "{name} is listed");
    }
}

#[test]
fn a_configured_family_allows_no_other() {
    let cases = [
        (DialectChoice::OpenAi, "/v1/chat/completions", "openai.chat"),
        (DialectChoice::OpenAi, "/v1/inference/chat", "unknown"),
        (DialectChoice::UsageGuard, "/v1/inference/chat", "usageguard.chat"),
        (DialectChoice::UsageGuard, "/v1/chat/completions", "unknown"),
        (DialectChoice::LlmStudio, "/engine/api/engine/chat/openai", "llmstudio.chat"),
        (DialectChoice::BrConnector, "/v1/chat/completions", "brconnector.chat"),
        (DialectChoice::BrConnector, "/v1/embeddings", "brconnector.embeddings"),
        (DialectChoice::BrConnector, "/v1/messages", "anthropic.messages"),
        (DialectChoice::Anthropic, "/v1/messages", "anthropic.messages"),
        (DialectChoice::OpenAi, "/v1/messages", "unknown"),
        (DialectChoice::Ollama, "/api/chat", "ollama.chat"),
        (DialectChoice::Cohere, "/api/chat", "unknown"),
    ];
    for (choice, path, name) in cases {
        assert_eq!(route(choice, &Method::POST, path).name(), name, "{choice:?} {path}");
    }
}

#[test]
fn the_dialect_says_how_its_clients_are_refused_and_the_path_where_none_is_known() {
    let style = |choice, path| route(choice, &Method::POST, path).style(path);
    assert_eq!(style(DialectChoice::Auto, "/v1/chat/completions"), Style::OpenAi);
    assert_eq!(style(DialectChoice::BrConnector, "/v1/chat/completions"), Style::BrConnector);
    assert_eq!(style(DialectChoice::Auto, "/v1/inference/chat"), Style::UsageGuard);
    assert_eq!(style(DialectChoice::Auto, "/v1/messages/batches"), Style::Anthropic);
    assert_eq!(style(DialectChoice::Auto, "/v1/messages"), Style::Anthropic);
    assert_eq!(style(DialectChoice::Auto, "/v1beta/models/g:generateContent"), Style::Google);
    assert_eq!(style(DialectChoice::Auto, "/model/m/converse"), Style::Bedrock);
    assert_eq!(style(DialectChoice::Auto, "/v2/chat"), Style::Cohere);
    assert_eq!(style(DialectChoice::Auto, "/api/chat"), Style::Ollama);
    assert_eq!(style(DialectChoice::Auto, "/v1/models"), Style::OpenAi);
}

#[test]
fn only_post_asks_a_model() {
    let cases = [
        ("/v1/chat/completions", "unknown", Operation::Other),
        ("/v1/batches/batch_1", "unknown", Operation::Other),
        ("/v1/responses/resp_1", "openai.responses", Operation::Other),
        ("/v1/responses/resp_1/input_items", "unknown", Operation::Other),
        ("/v1/realtime", "openai.realtime", Operation::Realtime),
        ("/openai/realtime", "openai.realtime", Operation::Realtime),
    ];
    for (path, name, operation) in cases {
        let route = route(DialectChoice::OpenAi, &Method::GET, path);
        assert_eq!((route.name(), route.operation), (name, operation), "{path}");
    }
    let foreign = route(DialectChoice::Anthropic, &Method::GET, "/v1/realtime");
    assert_eq!(foreign.name(), "unknown");
    let deleted = route(DialectChoice::Auto, &Method::DELETE, "/v1/responses/resp_1");
    assert_eq!(deleted.name(), "unknown");
}

/// Every field that some dialect looks into.
const FIELDS: [&str; 12] = [
    "usage",
    "choices",
    "message",
    "messages",
    "content",
    "contents",
    "delta",
    "candidates",
    "usageMetadata",
    "output",
    "error",
    "metrics",
];

#[test]
fn nesting_without_end_is_skipped_or_refused_and_quickly() {
    let nested = |field: &str, depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        [format!("{{\"model\":\"m\",\"{field}\":{open}{close}}}"), format!("{{\"{field}\":{open}"), open]
    };
    let deepest = nested("usage", 1_000_000);
    // Deep enough to end a thread's stack, were it read by recursion.
    let others: Vec<_> = FIELDS.iter().flat_map(|field| nested(field, 20_000)).collect();
    for dialect in FAMILIES.iter().flat_map(|family| family.dialects).chain([&UNKNOWN]) {
        for text in deepest.iter().chain(&others) {
            let begun = Instant::now();
            let mut reading = Reading::default();
            dialect.read_answer(text.as_bytes().into(), &mut reading);
            assert!(!reading.has_usage());
            assert!(begun.elapsed() < Duration::from_secs(5), "{dialect:?} took {:?}", begun.elapsed());
        }
        // The same reader takes requests, so one field shows it.
        for text in others.iter().take(3) {
            drop(dialect.read_request("/v1/x", text.as_bytes()));
        }
    }
}
