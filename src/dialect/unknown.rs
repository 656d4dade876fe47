//! What no dialect knows: passed through, with a look for usage objects of the three common shapes in JSON answers.
//!
//! Every request can be read: without JSON or a model it merely says nothing. Nothing here decides what is generated
//! content, so such answers have bytes and times but no first token.

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::google::GoogleUsage;
use super::openai::UsageObject;
use super::{Ask, AskError, Dialect, Operation, Payload, Reading, lenient};

/// The dialect of everything else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unknown;

#[derive(Default, Deserialize)]
struct Request<'a> {
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "lenient::value")]
    stream: Option<bool>,
}

/// A body or a stream event; `message` and `response` wrap the rest in stream events of Anthropic and OpenAI.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "modelVersion")]
    model_version: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "usageMetadata")]
    usage_metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
}

impl Dialect for Unknown {
    fn name(&self, _: Operation) -> &'static str {
        "unknown"
    }

    fn read_request(&self, _: &str, body: &[u8]) -> Result<Ask, AskError> {
        let request: Request<'_> = lenient::whole_object(body).unwrap_or_default();
        Ok(Ask {
            model: lenient::text(request.model),
            stream: request.stream.unwrap_or(false),
            choices: 1,
            input_bytes: body.len() as u64,
            ..Ask::default()
        })
    }

    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading) {
        reading.had_content = false;
        let payload = payload.data;
        reading.done |= payload.trim_ascii() == b"[DONE]";
        // One cheap look spares every other payload a parse: both names begin alike.
        if memmem::find(payload, b"\"usage").is_some() {
            read(payload, reading);
        }
    }
}

fn read(payload: &[u8], reading: &mut Reading) {
    let Some(answer) = lenient::whole_object::<Answer<'_>>(payload) else { return };
    take(&answer, reading);
    for wrapped in [answer.message, answer.response].into_iter().flatten() {
        if let Some(part) = lenient::inner_object::<Answer<'_>>(wrapped) {
            take(&part, reading);
        }
    }
}

fn take(answer: &Answer<'_>, reading: &mut Reading) {
    reading.served(lenient::text(answer.model).or_else(|| lenient::text(answer.model_version)));
    if let Some(raw) = answer.usage
        && let Some(usage) = lenient::inner_object::<UsageObject<'_>>(raw)
    {
        reading.reported(&usage.counts_of_any_shape(), raw);
    }
    if let Some(raw) = answer.usage_metadata
        && let Some(counts) = GoogleUsage::read(raw)
    {
        reading.reported(&counts, raw);
    }
}

#[cfg(test)]
mod tests {
    use super::Unknown;
    use crate::dialect::{Dialect, Reading};

    fn usage_of(payloads: &[&str]) -> Option<(u64, u64, Option<u64>)> {
        let mut reading = Reading::default();
        for payload in payloads {
            Unknown.read_answer(payload.as_bytes().into(), &mut reading);
        }
        let usage = reading.usage()?;
        Some((usage.input_tokens?, usage.output_tokens?, usage.cache_read_tokens))
    }

    #[test]
    fn usage_of_the_three_common_shapes_is_found() {
        let openai = r#"{"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#;
        assert_eq!(usage_of(&[openai]), Some((3, 4, None)));
        let anthropic = r#"{"model":"c","usage":{"input_tokens":3,"cache_read_input_tokens":10,
            "cache_creation_input_tokens":5,"output_tokens":4}}"#;
        assert_eq!(usage_of(&[anthropic]), Some((18, 4, Some(10))));
        let responses = r#"{"type":"response.completed","response":{"usage":{"input_tokens":30,
            "input_tokens_details":{"cached_tokens":10},"output_tokens":4,"total_tokens":34}}}"#;
        assert_eq!(usage_of(&[responses]), Some((30, 4, Some(10))));
        let google = r#"{"modelVersion":"g","usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":29,
            "thoughtsTokenCount":256,"totalTokenCount":294}}"#;
        assert_eq!(usage_of(&[google]), Some((9, 285, None)));
    }

    #[test]
    fn usage_that_an_anthropic_stream_spreads_over_events_comes_together() {
        let start = r#"{"type":"message_start","message":{"model":"c","usage":{"input_tokens":3,
            "cache_read_input_tokens":10,"cache_creation_input_tokens":0,"output_tokens":1}}}"#;
        let delta = r#"{"type":"message_delta","usage":{"output_tokens":30}}"#;
        assert_eq!(usage_of(&[start, delta]), Some((13, 30, Some(10))));
    }

    #[test]
    fn a_request_is_read_as_far_as_it_goes() {
        let ask = Unknown.read_request("/x", br#"{"model":"m","stream":true}"#).unwrap();
        assert_eq!((ask.model.as_deref(), ask.stream), (Some("m"), true));
        let ask = Unknown.read_request("/x", b"\x00not json").unwrap();
        assert_eq!((ask.model, ask.stream, ask.input_bytes), (None, false, 9));
    }

    #[test]
    fn what_is_not_json_says_nothing() {
        for payload in ["", "\"usage", "[{\"usage\":{}}]", "{\"usage\":7}", "{\"usage\":null}"] {
            assert_eq!(usage_of(&[payload]), None, "{payload}");
        }
    }
}
