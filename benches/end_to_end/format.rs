//! The wire formats that streams are measured in: what a chunk with content looks like, and how a stream ends.
//!
//! Each chunk has the same size in every format. Where a format has a place for padding (OpenAI's `obfuscation`,
//! Bedrock's `p`) it stands there, else in the text.

use clap::ValueEnum;

use crate::frame::frame;
use crate::payload::padded;

const CHUNK_BYTES: usize = 275;
const HEAD: &str = r#"{"id":"chatcmpl-Bq3VwYxT7mPz9kLr2NdHs5JfGc8Ae","object":"chat.completion"#;
const USAGE: &str = r#"{"prompt_tokens":212,"completion_tokens":64,"total_tokens":276,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}}"#;
const OLLAMA: &str =
    r#"{"model":"bench-1","created_at":"2026-10-17T23:14:07.414671Z","message":{"role":"assistant","content":""#;

/// A wire format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Chat completions: usage in a chunk of its own, to be asked for.
    #[default]
    #[value(name = "openai")]
    OpenAi,
    /// Messages.
    Anthropic,
    /// `streamGenerateContent` as server-sent events.
    Google,
    /// Chat, version 2.
    Cohere,
    /// Chat, one JSON text on each line.
    Ollama,
    /// `converse-stream`, AWS's binary event stream.
    Bedrock,
}

impl Format {
    /// As the command line calls it.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Where a stream of this model is asked for.
    pub(crate) fn path(self, model: &str) -> String {
        match self {
            Self::OpenAi => "/v1/chat/completions".to_owned(),
            Self::Anthropic => "/v1/messages".to_owned(),
            Self::Google => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
            Self::Cohere => "/v2/chat".to_owned(),
            Self::Ollama => "/api/chat".to_owned(),
            Self::Bedrock => format!("/model/{model}/converse-stream"),
        }
    }

    /// Of a stream.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::OpenAi | Self::Anthropic | Self::Google | Self::Cohere => "text/event-stream; charset=utf-8",
            Self::Ollama => "application/x-ndjson",
            Self::Bedrock => "application/vnd.amazon.eventstream",
        }
    }

    /// One event with content. OpenAI writes `"usage":null` into each once usage was asked for; here it always stands, so
    /// that every proxy carries the same bytes.
    pub(crate) fn chunk(self, number: usize) -> Vec<u8> {
        let (head, tail) = match self {
            Self::OpenAi => (
                format!(
                    r#"data: {HEAD}.chunk","created":1763719200,"model":"bench-1","choices":[{{"index":0,"delta":{{"content":" word{number:02}"}},"logprobs":null,"finish_reason":null}}],"usage":null,"obfuscation":""#
                ),
                "\"}\n\n",
            ),
            Self::Anthropic => (
                event(
                    "content_block_delta",
                    &format!(r#","index":0,"delta":{{"type":"text_delta","text":" word{number:02} "#),
                ),
                "\"}}\n\n",
            ),
            Self::Google => (
                format!(r#"data: {{"candidates":[{{"content":{{"parts":[{{"text":" word{number:02} "#),
                "\"}],\"role\":\"model\"},\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":212,\"candidatesTokenCount\":9,\
                 \"totalTokenCount\":221},\"modelVersion\":\"bench-1\"}\r\n\r\n",
            ),
            Self::Cohere => (
                event(
                    "content-delta",
                    &format!(r#","index":0,"delta":{{"message":{{"content":{{"text":" word{number:02} "#),
                ),
                "\"}}}}\n\n",
            ),
            Self::Ollama => (format!("{OLLAMA} word{number:02} "), "\"},\"done\":false}\n"),
            Self::Bedrock => {
                let head = format!(r#"{{"contentBlockIndex":0,"delta":{{"text":" word{number:02}"}},"p":""#);
                let around = frame("contentBlockDelta", b"").len();
                return frame("contentBlockDelta", &padded(&head, "\"}", CHUNK_BYTES - around));
            }
        };
        padded(&head, tail, CHUNK_BYTES).to_vec()
    }

    /// What follows the content where usage was not asked for. Where it comes unasked it is here, too.
    pub(crate) fn end(self) -> Vec<Vec<u8>> {
        let text = |events: &[String]| events.iter().map(|event| event.clone().into_bytes()).collect();
        match self {
            Self::OpenAi => vec![finish(), DONE.to_vec()],
            Self::Anthropic => text(&[
                event(
                    "message_delta",
                    ",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"input_tokens\":212,\"output_tokens\":64}}\n\n",
                ),
                event("message_stop", "}\n\n"),
            ]),
            Self::Google => {
                text(&["data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},\
                 \"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":212,\
                 \"candidatesTokenCount\":64,\"totalTokenCount\":276},\"modelVersion\":\"bench-1\"}\r\n\r\n"
                    .to_owned()])
            }
            Self::Cohere => text(&[event(
                "message-end",
                ",\"delta\":{\"finish_reason\":\"COMPLETE\",\"usage\":{\"tokens\":{\"input_tokens\":212,\
                 \"output_tokens\":64}}}}\n\n",
            )]),
            Self::Ollama => text(&[format!(
                "{OLLAMA}\"}},\"done_reason\":\"stop\",\"done\":true,\"prompt_eval_count\":212,\"eval_count\":64}}\n"
            )]),
            Self::Bedrock => vec![
                frame("messageStop", br#"{"stopReason":"end_turn"}"#),
                frame("metadata", br#"{"usage":{"inputTokens":212,"outputTokens":64,"totalTokens":276}}"#),
            ],
        }
    }

    /// The same where usage was asked for.
    pub(crate) fn end_with_usage(self) -> Vec<Vec<u8>> {
        match self {
            Self::OpenAi => vec![finish(), usage(), DONE.to_vec()],
            _ => self.end(),
        }
    }

    /// A whole answer up to its text.
    pub(crate) fn whole_head() -> String {
        format!(
            r#"{HEAD}","created":1763719200,"model":"bench-1","usage":{USAGE},"choices":[{{"index":0,"finish_reason":"stop","logprobs":null,"message":{{"role":"assistant","content":""#
        )
    }
}

const DONE: &[u8] = b"data: [DONE]\n\n";

fn finish() -> Vec<u8> {
    let rest = r#".chunk","created":1763719200,"model":"bench-1","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}"#;
    format!("data: {HEAD}{rest}\n\n").into_bytes()
}

fn usage() -> Vec<u8> {
    format!("data: {HEAD}.chunk\",\"created\":1763719200,\"model\":\"bench-1\",\"choices\":[],\"usage\":{USAGE}}}\n\n")
        .into_bytes()
}

/// A named server-sent event, as Anthropic and Cohere write them, after its type.
fn event(kind: &str, rest: &str) -> String {
    format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{rest}")
}
