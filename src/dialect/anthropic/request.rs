//! What an Anthropic request asks for.
//!
//! Unknown fields are skipped and odd values of fields that we only report are left out. A field of ours that stands
//! twice is refused: parsers differ in which one they take, and the upstream must not see another model than we do.

use serde::Deserialize;

use crate::dialect::scan::Raw;
use crate::dialect::{Ask, AskError, lenient, path as paths, size};

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default)]
    model: Raw<'a>,
    #[serde(default, deserialize_with = "lenient::value")]
    stream: Option<bool>,
    #[serde(default, deserialize_with = "lenient::count")]
    max_tokens: Option<u64>,
    // The older completions.
    #[serde(default, deserialize_with = "lenient::count")]
    max_tokens_to_sample: Option<u64>,
    #[serde(default, deserialize_with = "lenient::value")]
    temperature: Option<f64>,
    #[serde(default, deserialize_with = "lenient::value")]
    top_p: Option<f64>,
    #[serde(borrow, default)]
    metadata: Raw<'a>,
    #[serde(borrow, default)]
    system: Raw<'a>,
    #[serde(borrow, default)]
    messages: Raw<'a>,
    #[serde(borrow, default)]
    tools: Raw<'a>,
    #[serde(borrow, default)]
    prompt: Raw<'a>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    user_id: Raw<'a>,
}

/// Reads a request.
pub(super) fn read(path: &str, body: &[u8]) -> Result<Ask, AskError> {
    let request: Request<'_> = lenient::whole_object(body).ok_or(AskError::NotJson)?;
    let in_path = vertex_model(path).filter(|model| *model != "count-tokens");
    let model = in_path.map(|model| paths::decoded(model).into_owned()).or_else(|| lenient::text(request.model));
    let metadata = request.metadata.and_then(lenient::inner_object::<Metadata<'_>>);
    let parts = [request.system, request.messages, request.tools, request.prompt];
    Ok(Ask {
        model: Some(model.ok_or(AskError::NoModel)?),
        stream: request.stream.unwrap_or_else(|| path.trim_end_matches('/').ends_with(":streamRawPredict")),
        wants_usage: true,
        max_tokens: request.max_tokens.or(request.max_tokens_to_sample),
        choices: 1,
        temperature: request.temperature,
        top_p: request.top_p,
        end_user: metadata.and_then(|metadata| lenient::text(metadata.user_id)),
        input_bytes: size::of_parts(parts),
    })
}

/// The model of a Vertex AI path that carries Anthropic's body.
pub(super) fn vertex_model(path: &str) -> Option<&str> {
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix(":rawPredict").or_else(|| path.strip_suffix(":streamRawPredict"))?;
    let (_, model) = path.rsplit_once("/publishers/anthropic/models/")?;
    (!model.is_empty() && !model.contains('/')).then_some(model)
}
