//! BRConnector's endpoints: OpenAI's, with refusals in words of their own.
//!
//! It sends usage in every stream, asked or not, in the chunk of the last finish reason, and older versions send two
//! finish reasons: first Bedrock's own, then another with the usage. OpenAI's dialect reads both, so only the names and
//! the refusals differ. By path it cannot be told from OpenAI, so it must be configured.

use super::openai::{self, OpenAi};
use super::refusal::Style;
use super::{Ask, AskError, Dialect, Operation, Payload, Reading, Route};

/// Which of its operations a path names. Its other endpoints are OpenAI's in name and shape.
pub(super) fn route(path: &str) -> Option<Route> {
    let route = openai::route(path)?;
    let own = ["openai.chat", "openai.completions", "openai.embeddings"].contains(&route.name());
    Some(if own { Route { dialect: &BrConnector, ..route } } else { route })
}

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub(super) struct BrConnector;

impl Dialect for BrConnector {
    fn name(&self, operation: Operation) -> &'static str {
        match operation {
            Operation::Completion => "brconnector.completions",
            Operation::Embeddings => "brconnector.embeddings",
            _ => "brconnector.chat",
        }
    }

    fn read_request(&self, path: &str, body: &[u8]) -> Result<Ask, AskError> {
        OpenAi.read_request(path, body)
    }

    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading) {
        OpenAi.read_answer(payload, reading);
    }

    fn style(&self) -> Style {
        Style::BrConnector
    }
}

#[cfg(test)]
mod tests {
    use super::BrConnector;
    use crate::dialect::{Dialect, Reading};

    fn read(payloads: &[&str]) -> Reading {
        let mut reading = Reading::default();
        for payload in payloads {
            BrConnector.read_answer(payload.as_bytes().into(), &mut reading);
        }
        reading
    }

    fn tokens(reading: &Reading) -> (Option<u64>, Option<u64>, Option<u64>) {
        let usage = reading.usage().unwrap_or_default();
        (usage.input_tokens, usage.output_tokens, usage.total_tokens)
    }

    // The chunks printed in its API reference, then the last two as its version of that time sends them.
    #[test]
    fn the_documented_stream_has_two_finish_reasons_and_usage_beside_the_second() {
        let reading = read(&[
            r#"{"id":"chatcmpl-689a9c21","created":1743912748,"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning_content":"The"},"finish_reason":null,"logprobs":null}],"model":"c37"}"#,
            r#"{"id":"chatcmpl-689a9c21","created":1743912750,"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":" that"},"finish_reason":null,"logprobs":null}],"model":"c37"}"#,
            r#"{"id":"chatcmpl-689a9c21","created":1743912750,"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"tooluse_uz8oUJ90TQuISdaP1yaU2A","type":"function","function":{"name":"query-weather","arguments":""}}]},"finish_reason":null,"logprobs":null}],"model":"c37"}"#,
            r#"{"id":"chatcmpl-689a9c21","created":1743912751,"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"function":{"arguments":"74\"}"}}]},"finish_reason":null,"logprobs":null}],"model":"c37"}"#,
            r#"{"id":"chatcmpl-689a9c21","created":1743912751,"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"tool_use","logprobs":null}],"model":"c37"}"#,
            r#"{"id":"chatcmpl-689a9c21","created":1743912751,"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop","logprobs":null}],"usage":{"completion_tokens":219,"prompt_tokens":449,"total_tokens":668},"model":"c37"}"#,
        ]);
        assert!(!reading.done, "the end is the next event");
        assert_eq!(reading.finish_reasons, ["tool_use", "stop"]);
        assert_eq!(
            (tokens(&reading), reading.model_served.as_deref()),
            ((Some(449), Some(219), Some(668)), Some("c37"))
        );
        assert_eq!(reading.escaped_text(), br#"The thatquery-weather74\"}"#);
        assert!(reading.flags().names().next().is_none());
    }

    #[test]
    fn the_documented_whole_answer_without_a_finish_reason_is_read() {
        let reading = read(&[r#"{"id":"1028c350-da16-4ae0-bcce-77e877f90695","model":"c37","choices":[{"index":0,
            "message":{"role":"assistant","reasoning_content":"The user wants…","content":"I'd be happy to…","tool_calls":
            [{"id":"tooluse_su_WaAeJQviJSDZ5BPXNyA","type":"function","function":{"name":"query-weather",
            "arguments":"{\"latitude\":\"39.9042\",\"longitude\":\"116.4074\"}"}}]}}],
            "usage":{"completion_tokens":219,"prompt_tokens":449,"total_tokens":668}}"#]);
        assert_eq!(tokens(&reading), (Some(449), Some(219), Some(668)));
        assert!(reading.finish_reasons.is_empty() && reading.flags().names().next().is_none());
    }

    #[test]
    fn its_documented_request_is_read_and_never_asked_for_usage() {
        let body = br#"{"model":"claude-3-sonnet","messages":[{"role":"user","content":"ping"}],"stream":true,
            "temperature":1,"max_tokens":4096}"#;
        let ask = BrConnector.read_request("/v1/chat/completions", body).unwrap();
        assert_eq!((ask.model.as_deref(), ask.stream), (Some("claude-3-sonnet"), true));
        assert_eq!((ask.max_tokens, ask.temperature), (Some(4096), Some(1.0)));
        assert!(BrConnector.ask_for_usage(body).is_none(), "its streams always have it");
    }
}
