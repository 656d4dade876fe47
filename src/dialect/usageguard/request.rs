//! What a UsageGuard request asks for, whichever generation of the documentation its client was written from.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::{Ask, AskError, lenient};

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "modelId")]
    model_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    messages: Option<&'a RawValue>,
    #[serde(borrow, default)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Parameters<'a> {
    #[serde(default, deserialize_with = "lenient::value")]
    stream: Option<bool>,
    #[serde(default, deserialize_with = "lenient::value")]
    include_usage: Option<bool>,
    #[serde(default, rename = "includeUsage", deserialize_with = "lenient::value")]
    include_usage_camel: Option<bool>,
    #[serde(default, deserialize_with = "lenient::count")]
    max_tokens: Option<u64>,
    #[serde(default, rename = "maxTokens", deserialize_with = "lenient::count")]
    max_tokens_camel: Option<u64>,
    #[serde(default, deserialize_with = "lenient::value")]
    temperature: Option<f64>,
    #[serde(default, deserialize_with = "lenient::value")]
    top_p: Option<f64>,
    #[serde(default, rename = "topP", deserialize_with = "lenient::value")]
    top_p_camel: Option<f64>,
    #[serde(borrow, default)]
    end_user_id: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "endUserId")]
    end_user_id_camel: Option<&'a RawValue>,
}

/// Reads a request.
pub(super) fn read(body: &[u8]) -> Result<Ask, AskError> {
    let request: Request<'_> = lenient::whole_object(body).ok_or(AskError::NotJson)?;
    let parameters = match request.parameters.filter(|raw| raw.get() != "null") {
        // It says whether the answer is a stream, so what stands there twice is refused as elsewhere.
        Some(raw) => lenient::inner_object(raw).ok_or(AskError::NotJson)?,
        None => Parameters::default(),
    };
    Ok(Ask {
        model: Some(request.model()?.ok_or(AskError::NoModel)?),
        stream: parameters.stream.unwrap_or(false),
        wants_usage: parameters.include_usage.or(parameters.include_usage_camel).unwrap_or(true),
        max_tokens: parameters.max_tokens.or(parameters.max_tokens_camel),
        choices: 1,
        temperature: parameters.temperature,
        top_p: parameters.top_p.or(parameters.top_p_camel),
        end_user: lenient::text(parameters.end_user_id).or_else(|| lenient::text(parameters.end_user_id_camel)),
        input_bytes: [request.messages, request.prompt].into_iter().flatten().map(|raw| raw.get().len() as u64).sum(),
    })
}

impl Request<'_> {
    /// The model under either name; two that differ are refused, for nobody knows which one holds.
    fn model(&self) -> Result<Option<String>, AskError> {
        match (lenient::text(self.model), lenient::text(self.model_id)) {
            (Some(model), Some(other)) if model != other => Err(AskError::NotJson),
            (model, other) => Ok(model.or(other)),
        }
    }
}
