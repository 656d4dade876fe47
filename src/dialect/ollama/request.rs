//! What an Ollama request asks for.
//!
//! Unknown fields are skipped and odd values of fields that we only report are left out; a field of ours that stands twice
//! is refused.

use serde::Deserialize;

use crate::dialect::scan::Raw;
use crate::dialect::{Ask, AskError, Operation, lenient, size};

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default)]
    model: Raw<'a>,
    #[serde(default, deserialize_with = "lenient::value")]
    stream: Option<bool>,
    #[serde(default, deserialize_with = "lenient::object")]
    options: Option<Options>,
    #[serde(borrow, default)]
    messages: Raw<'a>,
    #[serde(borrow, default)]
    tools: Raw<'a>,
    #[serde(borrow, default)]
    system: Raw<'a>,
    #[serde(borrow, default)]
    prompt: Raw<'a>,
    #[serde(borrow, default)]
    suffix: Raw<'a>,
    #[serde(borrow, default)]
    input: Raw<'a>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Options {
    // -1 is no bound, and so is what is no count.
    #[serde(default, deserialize_with = "lenient::count")]
    num_predict: Option<u64>,
    #[serde(default, deserialize_with = "lenient::value")]
    temperature: Option<f64>,
    #[serde(default, deserialize_with = "lenient::value")]
    top_p: Option<f64>,
}

/// Reads a request.
pub(super) fn read(path: &str, body: &[u8]) -> Result<Ask, AskError> {
    let request: Request<'_> = lenient::whole_object(body).ok_or(AskError::NotJson)?;
    let options = request.options.unwrap_or_default();
    let embeds = super::route(path.trim_end_matches('/')).is_some_and(|route| route.operation == Operation::Embeddings);
    let parts = [request.messages, request.tools, request.system, request.prompt, request.suffix, request.input];
    Ok(Ask {
        model: Some(lenient::text(request.model).ok_or(AskError::NoModel)?),
        stream: !embeds && request.stream.unwrap_or(true),
        wants_usage: true,
        max_tokens: options.num_predict,
        choices: 1,
        temperature: options.temperature,
        top_p: options.top_p,
        end_user: None,
        input_bytes: size::of_parts(parts),
    })
}
