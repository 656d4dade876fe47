//! What each wire format costs per event of a stream, its framing included.
//!
//! The time is for a whole stream; criterion's throughput line gives it per event.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use http::Method;
use tollgate::config::DialectChoice;
use tollgate::dialect::{Reading, Streams, route};
use tollgate::meter::framing::{Cutter, Frames, Lines, Objects, Sse};

use crate::frame::frame;

/// Where a request goes, its stream's first event, the one that comes again and again, and the last ones.
struct Stream {
    path: &'static str,
    first: &'static str,
    piece: &'static str,
    last: &'static [&'static str],
}

const ANTHROPIC: Stream = Stream {
    path: "/v1/messages",
    first: r#"{"type":"message_start","message":{"id":"msg_01","type":"message","role":"assistant","model":"claude-x","content":[],"stop_reason":null,"usage":{"input_tokens":12,"output_tokens":1}}}"#,
    piece: r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" and so the word"}}"#,
    last: &[
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":64}}"#,
        r#"{"type":"message_stop"}"#,
    ],
};

const RESPONSES: Stream = Stream {
    path: "/v1/responses",
    first: r#"{"type":"response.created","response":{"id":"r","model":"gpt-x","status":"in_progress","output":[],"usage":null}}"#,
    piece: r#"{"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":0,"delta":" and so the word"}"#,
    last: &[
        r#"{"type":"response.completed","response":{"id":"r","model":"gpt-x","status":"completed","output":[],"usage":{"input_tokens":12,"output_tokens":64,"total_tokens":76}}}"#,
    ],
};

const COHERE_V1: Stream = Stream {
    path: "/v1/chat",
    first: r#"{"is_finished":false,"event_type":"stream-start","generation_id":"29f14a5a"}"#,
    piece: r#"{"is_finished":false,"event_type":"text-generation","text":" and so the word"}"#,
    last: &[
        r#"{"is_finished":true,"event_type":"stream-end","finish_reason":"COMPLETE","response":{"text":"","meta":{"tokens":{"input_tokens":12,"output_tokens":64}}}}"#,
    ],
};

const GENERATE: Stream = Stream {
    path: "/api/generate",
    first: r#"{"model":"llama3.2","created_at":"2026-10-17T23:14:07.414671Z","response":"Once","done":false}"#,
    piece: r#"{"model":"llama3.2","created_at":"2026-10-17T23:14:07.414671Z","response":" and so","done":false}"#,
    last: &[
        r#"{"model":"llama3.2","created_at":"2026-10-17T23:14:07.414671Z","response":"","done":true,"prompt_eval_count":12,"eval_count":64}"#,
    ],
};

const USAGEGUARD: Stream = Stream {
    path: "/v1/inference/chat",
    first: r#"{"schema":"inference.response.chunk.v1","created":1721208440,"model_id":"meta.llama3","content":"Once"}"#,
    piece: r#"{"schema":"inference.response.chunk.v1","created":1721208440,"model_id":"meta.llama3","content":" and so the word"}"#,
    last: &[
        r#"{"schema":"inference.response.usage.chunk.v1","usage":{"inputTokens":12,"outputTokens":64,"totalTokens":76},"created":1721208440,"model_id":"meta.llama3","content":""}"#,
        "[DONE]",
    ],
};

const LLMSTUDIO: Stream = Stream {
    path: "/api/engine/chat/openai",
    first: r#"{"id":"c","model":"gpt-x","deployment":"gpt-x","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null,"metrics":null}"#,
    piece: r#"{"id":"c","model":"gpt-x","deployment":"gpt-x","choices":[{"index":0,"delta":{"content":" and so the word"},"finish_reason":null}],"usage":null,"metrics":null}"#,
    last: &[
        r#"{"id":"c","model":"gpt-x","deployment":"gpt-x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null,"metrics":{"input_tokens":12,"output_tokens":64,"total_tokens":76}}"#,
    ],
};

const COHERE: Stream = Stream {
    path: "/v2/chat",
    first: r#"{"id":"29f14a5a","type":"message-start","delta":{"message":{"role":"assistant","content":[]}}}"#,
    piece: r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":" and so the word"}}}}"#,
    last: &[
        r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"tokens":{"input_tokens":12,"output_tokens":64}}}}"#,
    ],
};

const OLLAMA: Stream = Stream {
    path: "/api/chat",
    first: r#"{"model":"llama3.2","created_at":"2026-10-17T23:14:07.414671Z","message":{"role":"assistant","content":""},"done":false}"#,
    piece: r#"{"model":"llama3.2","created_at":"2026-10-17T23:14:07.414671Z","message":{"role":"assistant","content":" and so"},"done":false}"#,
    last: &[
        r#"{"model":"llama3.2","created_at":"2026-10-17T23:14:07.414671Z","message":{"role":"assistant","content":""},"done":true,"prompt_eval_count":12,"eval_count":64}"#,
    ],
};

const GOOGLE: Stream = Stream {
    path: "/v1beta/models/gemini-x:streamGenerateContent",
    first: r#"[{"candidates":[{"content":{"parts":[{"text":"Once"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":12,"candidatesTokenCount":1,"totalTokenCount":13},"modelVersion":"gemini-x"}"#,
    piece: r#",{"candidates":[{"content":{"parts":[{"text":" and so the word"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":12,"candidatesTokenCount":9,"totalTokenCount":21},"modelVersion":"gemini-x"}"#,
    last: &["]"],
};

/// Each event's name stands before its payload.
const BEDROCK: Stream = Stream {
    path: "/model/anthropic.claude-x/converse-stream",
    first: r#"messageStart {"role":"assistant","p":"abcdefgh"}"#,
    piece: r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"text":" and so the word"},"p":"abcdefghijklmnop"}"#,
    last: &[
        r#"messageStop {"stopReason":"end_turn"}"#,
        r#"metadata {"usage":{"inputTokens":12,"outputTokens":64,"totalTokens":76},"metrics":{"latencyMs":900}}"#,
    ],
};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tap");
    for stream in [RESPONSES, ANTHROPIC, COHERE, COHERE_V1, OLLAMA, GENERATE, GOOGLE, BEDROCK, USAGEGUARD, LLMSTUDIO] {
        let route = route(DialectChoice::Auto, &Method::POST, stream.path);
        let chunks = stream.chunks(route.dialect.streams());
        group.throughput(Throughput::Elements(chunks.len() as u64));
        // Some formats have two paths.
        group.bench_function(format!("{} {}", route.name(), stream.path), |bencher| {
            bencher.iter(|| {
                let (mut cutter, mut reading) = (cutter(route.dialect.streams()), Reading::default());
                for chunk in black_box(&chunks) {
                    cutter.feed(chunk, &mut |event| {
                        route.read(event.payload(), &mut reading);
                    });
                }
                assert!(reading.has_usage() && reading.done, "the stream was read");
                reading
            });
        });
    }
    group.finish();
}

impl Stream {
    /// One HTTP chunk per event, most of them alike.
    fn chunks(&self, framing: Streams) -> Vec<Vec<u8>> {
        let events = std::iter::once(&self.first).chain(std::iter::repeat_n(&self.piece, 64)).chain(self.last);
        let framed = |event: &&str| match framing {
            Streams::Lines => format!("{event}\n").into_bytes(),
            Streams::Objects => event.as_bytes().to_vec(),
            Streams::Frames => {
                let (name, payload) = event.split_once(' ').unwrap_or_default();
                frame(name, payload.as_bytes())
            }
            Streams::Events => format!("event: message\ndata: {event}\n\n").into_bytes(),
        };
        events.map(framed).collect()
    }
}

fn cutter(framing: Streams) -> Cutter {
    match framing {
        Streams::Lines => Cutter::Lines(Lines::default()),
        Streams::Objects => Cutter::Objects(Objects::default()),
        Streams::Frames => Cutter::Frames(Frames::default()),
        Streams::Events => Cutter::Events(Sse::default()),
    }
}
