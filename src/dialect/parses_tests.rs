//! Nothing is parsed whole that a cheap look can rule out: of a stream, only what is no plain piece of content.

use http::Method;

use super::lenient::PARSED;
use super::{Payload, Reading, route};
use crate::config::DialectChoice;

/// A stream as its provider sends it: the first events, the one that comes again and again, and the last ones. A name
/// stands before a payload, where the framing has names.
struct Stream {
    path: &'static str,
    first: &'static [&'static str],
    piece: &'static str,
    last: &'static [&'static str],
    /// Of each piece; others than none only where no look can rule anything out.
    parses: u64,
}

const PIECES: u64 = 50;

const STREAMS: &[Stream] = &[
    Stream {
        path: "/v1/chat/completions",
        first: &[
            r#"{"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
        ],
        piece: r#"{"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}],"usage":null}"#,
        last: &[
            r#"{"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#,
            r#"{"id":"c","object":"chat.completion.chunk","model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":50,"total_tokens":53}}"#,
            "[DONE]",
        ],
        parses: 0,
    },
    Stream {
        path: "/v1/completions",
        first: &[
            r#"{"id":"c","object":"text_completion","model":"m","choices":[{"index":0,"text":"A","finish_reason":null}]}"#,
        ],
        piece: r#"{"id":"c","object":"text_completion","model":"m","choices":[{"index":0,"text":" word","finish_reason":null}]}"#,
        last: &[
            r#"{"id":"c","object":"text_completion","model":"m","choices":[{"index":0,"text":"","finish_reason":"stop"}]}"#,
            r#"{"id":"c","object":"text_completion","model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":50,"total_tokens":53}}"#,
            "[DONE]",
        ],
        parses: 0,
    },
    Stream {
        path: "/v1/responses",
        first: &[
            r#"{"type":"response.created","response":{"id":"r","model":"m","status":"in_progress","output":[],"usage":null}}"#,
            r#"{"type":"response.in_progress","response":{"id":"r","model":"m","status":"in_progress","output":[],"usage":null}}"#,
        ],
        piece: r#"{"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":0,"delta":" word"}"#,
        last: &[
            r#"{"type":"response.completed","response":{"id":"r","model":"m","status":"completed","output":[],"usage":{"input_tokens":3,"output_tokens":50,"total_tokens":53}}}"#,
        ],
        parses: 0,
    },
    Stream {
        path: "/v1/messages",
        first: &[
            r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":3,"output_tokens":1}}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        ],
        piece: r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" word"}}"#,
        last: &[
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":50}}"#,
            r#"{"type":"message_stop"}"#,
        ],
        parses: 0,
    },
    Stream {
        path: "/v2/chat",
        first: &[r#"{"id":"i","type":"message-start","delta":{"message":{"role":"assistant","content":[]}}}"#],
        piece: r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":" word"}}}}"#,
        last: &[
            r#"{"type":"content-end","index":0}"#,
            r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"tokens":{"input_tokens":3,"output_tokens":50}}}}"#,
        ],
        parses: 0,
    },
    Stream {
        path: "/v1/chat",
        first: &[r#"{"is_finished":false,"event_type":"stream-start","generation_id":"g"}"#],
        piece: r#"{"is_finished":false,"event_type":"text-generation","text":" word"}"#,
        last: &[
            r#"{"is_finished":true,"event_type":"stream-end","finish_reason":"COMPLETE","response":{"text":"","meta":{"tokens":{"input_tokens":3,"output_tokens":50}}}}"#,
        ],
        parses: 0,
    },
    Stream {
        path: "/api/chat",
        first: &[r#"{"model":"m","created_at":"t","message":{"role":"assistant","content":"A"},"done":false}"#],
        piece: r#"{"model":"m","created_at":"t","message":{"role":"assistant","content":" word"},"done":false}"#,
        last: &[
            r#"{"model":"m","created_at":"t","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":50}"#,
        ],
        parses: 0,
    },
    Stream {
        path: "/api/generate",
        first: &[r#"{"model":"m","created_at":"t","response":"A","done":false}"#],
        piece: r#"{"model":"m","created_at":"t","response":" word","done":false}"#,
        last: &[
            r#"{"model":"m","created_at":"t","response":"","done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":50}"#,
        ],
        parses: 0,
    },
    Stream {
        path: "/model/m/converse-stream",
        first: &[r#"messageStart {"role":"assistant","p":"abc"}"#],
        piece: r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"text":" word"},"p":"abcdef"}"#,
        last: &[
            r#"contentBlockStop {"contentBlockIndex":0}"#,
            r#"messageStop {"stopReason":"end_turn"}"#,
            r#"metadata {"usage":{"inputTokens":3,"outputTokens":50,"totalTokens":53}}"#,
        ],
        parses: 0,
    },
    Stream {
        path: "/v1/inference/chat",
        first: &[r#"{"schema":"inference.response.chunk.v1","created":1,"model_id":"m","content":"A"}"#],
        piece: r#"{"schema":"inference.response.chunk.v1","created":1,"model_id":"m","content":" word"}"#,
        last: &[
            r#"{"schema":"inference.response.usage.chunk.v1","usage":{"inputTokens":3,"outputTokens":50,"totalTokens":53},"created":1,"model_id":"m","content":""}"#,
            "[DONE]",
        ],
        parses: 0,
    },
    Stream {
        path: "/api/engine/chat/openai",
        first: &[
            r#"{"id":"c","model":"m","deployment":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null,"metrics":null}"#,
        ],
        piece: r#"{"id":"c","model":"m","deployment":"m","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}],"usage":null,"metrics":null}"#,
        last: &[
            r#"{"id":"c","model":"m","deployment":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null,"metrics":{"input_tokens":3,"output_tokens":50,"total_tokens":53}}"#,
        ],
        parses: 0,
    },
    // Every object carries usage: the whole, and the usage in it.
    Stream {
        path: "/v1beta/models/m:streamGenerateContent",
        first: &[],
        piece: r#"{"candidates":[{"content":{"parts":[{"text":" word"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":50,"totalTokenCount":53},"modelVersion":"m"}"#,
        last: &["]"],
        parses: 1,
    },
    // No format that is known: only an object that may have usage is looked into.
    Stream {
        path: "/elsewhere",
        first: &[],
        piece: r#"{"anything":" word"}"#,
        last: &[r#"{"usage":{"prompt_tokens":3,"completion_tokens":50,"total_tokens":53}}"#],
        parses: 0,
    },
];

#[test]
fn a_piece_of_content_is_never_parsed_whole() {
    for stream in STREAMS {
        let route = route(DialectChoice::Auto, &Method::POST, stream.path);
        let (mut reading, mut contents) = (Reading::default(), 0);
        let mut read = |text: &'static str| {
            let before = PARSED.get();
            route.dialect.read_answer(payload(text), &mut reading);
            contents += u64::from(reading.had_content);
            PARSED.get() - before
        };
        for event in stream.first {
            read(event);
        }
        let parses: u64 = (0..PIECES).map(|_| read(stream.piece)).sum();
        for event in stream.last {
            read(event);
        }
        assert_eq!(parses, PIECES * stream.parses, "{}", stream.path);
        assert!(contents >= PIECES || route.name() == "unknown", "{}: each piece was read", stream.path);
        let usage = reading.usage().unwrap_or_default();
        assert_eq!((usage.input_tokens, usage.output_tokens), (Some(3), Some(50)), "{}", stream.path);
        assert!(reading.flags().names().next().is_none(), "{}", stream.path);
    }
}

#[test]
fn an_invoke_of_bedrock_is_decoded_and_then_read_as_its_model_writes() {
    // {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"A"}}
    let piece = br#"{"bytes":"eyJ0eXBlIjoiY29udGVudF9ibG9ja19kZWx0YSIsImluZGV4IjowLCJkZWx0YSI6eyJ0eXBlIjoidGV4dF9kZWx0YSIsInRleHQiOiJBIn19","p":"abc"}"#;
    let route = route(DialectChoice::Auto, &Method::POST, "/model/m/invoke-with-response-stream");
    let (mut reading, before) = (Reading::default(), PARSED.get());
    route.dialect.read_answer(Payload { name: Some(b"chunk"), data: piece }, &mut reading);
    assert_eq!((PARSED.get() - before, reading.escaped_text()), (0, b"A".as_slice()));
}

fn payload(text: &str) -> Payload<'_> {
    match text.split_once(" {") {
        Some((name, _)) if !name.contains(['{', '"']) => {
            Payload { name: Some(name.as_bytes()), data: &text.as_bytes()[name.len() + 1..] }
        }
        _ => text.as_bytes().into(),
    }
}
