//! What a request for an interaction asks for. It names a model or an agent, never both: which of the two it meant would
//! be the upstream's guess.

use serde::Deserialize;

use super::super::request::Config;
use crate::dialect::scan::Raw;
use crate::dialect::size::of_parts;
use crate::dialect::{Ask, AskError, lenient};

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default)]
    model: Raw<'a>,
    #[serde(borrow, default)]
    agent: Raw<'a>,
    #[serde(default, deserialize_with = "lenient::value")]
    stream: Option<bool>,
    #[serde(default, alias = "generationConfig", deserialize_with = "lenient::object")]
    generation_config: Option<Config>,
    #[serde(borrow, default)]
    input: Raw<'a>,
    #[serde(borrow, default, alias = "systemInstruction")]
    system_instruction: Raw<'a>,
    #[serde(borrow, default)]
    tools: Raw<'a>,
}

/// Reads a request.
pub(super) fn read(body: &[u8]) -> Result<Ask, AskError> {
    let request: Request<'_> = lenient::whole_object(body).ok_or(AskError::NotJson)?;
    let model = match (lenient::text(request.model), lenient::text(request.agent)) {
        (Some(_), Some(_)) => return Err(AskError::NotJson),
        (model, agent) => model.or(agent).ok_or(AskError::NoModel)?,
    };
    let config = request.generation_config.unwrap_or_default();
    Ok(Ask {
        model: Some(model.strip_prefix("models/").unwrap_or(&model).to_owned()),
        stream: request.stream.unwrap_or(false),
        // Usage comes unasked.
        wants_usage: true,
        max_tokens: config.max_tokens,
        choices: 1,
        temperature: config.temperature,
        top_p: config.top_p,
        end_user: None,
        input_bytes: of_parts([request.input, request.system_instruction, request.tools]),
    })
}
