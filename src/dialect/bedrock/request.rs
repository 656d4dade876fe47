//! What a request to Bedrock asks for. Model and action stand in the path; the body only adds what is reported.

use serde::Deserialize;

use super::target::Target;
use crate::dialect::scan::Raw;
use crate::dialect::size::{of_parts, text_bytes};
use crate::dialect::{Ask, AskError, lenient};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Converse<'a> {
    #[serde(default, deserialize_with = "lenient::object")]
    inference_config: Option<Config>,
    #[serde(borrow, default)]
    messages: Raw<'a>,
    #[serde(borrow, default)]
    system: Raw<'a>,
    #[serde(borrow, default)]
    tool_config: Raw<'a>,
    #[serde(borrow, default)]
    prompt_variables: Raw<'a>,
}

/// Nova's own requests have it too, some of them with the longer name.
#[derive(Default, Deserialize)]
struct Config {
    #[serde(default, rename = "maxTokens", alias = "max_new_tokens", deserialize_with = "lenient::count")]
    max_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::value")]
    temperature: Option<f64>,
    #[serde(default, rename = "topP", alias = "top_p", deserialize_with = "lenient::value")]
    top_p: Option<f64>,
}

/// The models' own requests: what each calls the bound on its output.
#[derive(Default, Deserialize)]
struct Invoke {
    #[serde(default, deserialize_with = "lenient::count")]
    max_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    max_tokens_to_sample: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    max_completion_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    max_gen_len: Option<u64>,
    #[serde(default, rename = "inferenceConfig", deserialize_with = "lenient::object")]
    nova: Option<Config>,
    #[serde(default, rename = "textGenerationConfig", deserialize_with = "lenient::object")]
    titan: Option<Titan>,
    #[serde(default, deserialize_with = "lenient::value")]
    temperature: Option<f64>,
    #[serde(default, deserialize_with = "lenient::value")]
    top_p: Option<f64>,
    #[serde(default, deserialize_with = "lenient::value")]
    p: Option<f64>,
}

#[derive(Default, Deserialize)]
struct Titan {
    #[serde(default, rename = "maxTokenCount", deserialize_with = "lenient::count")]
    max_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::value")]
    temperature: Option<f64>,
    #[serde(default, rename = "topP", deserialize_with = "lenient::value")]
    top_p: Option<f64>,
}

/// Reads a request to converse.
pub(super) fn converse(path: &str, body: &[u8]) -> Result<Ask, AskError> {
    let asked = asked(path)?;
    let request: Converse<'_> = lenient::whole_object(body).ok_or(AskError::NotJson)?;
    let config = request.inference_config.as_ref();
    let texts = [request.messages, request.system, request.tool_config, request.prompt_variables];
    Ok(Ask {
        max_tokens: config.and_then(|config| config.max_tokens),
        temperature: config.and_then(|config| config.temperature),
        top_p: config.and_then(|config| config.top_p),
        input_bytes: of_parts(texts),
        ..asked
    })
}

/// Reads a request to invoke. Whatever a model takes passes, JSON or not: nothing in it decides anything.
pub(super) fn invoke(path: &str, body: &[u8]) -> Result<Ask, AskError> {
    let asked = asked(path)?;
    let request: Invoke = lenient::whole_object(body).unwrap_or_default();
    let (nova, titan) = (request.nova.unwrap_or_default(), request.titan.unwrap_or_default());
    let own = [request.max_completion_tokens, request.max_tokens, request.max_tokens_to_sample, request.max_gen_len];
    Ok(Ask {
        max_tokens: own.into_iter().flatten().next().or(nova.max_tokens).or(titan.max_tokens),
        temperature: request.temperature.or(nova.temperature).or(titan.temperature),
        top_p: request.top_p.or(request.p).or(nova.top_p).or(titan.top_p),
        input_bytes: text_bytes(body),
        ..asked
    })
}

fn asked(path: &str) -> Result<Ask, AskError> {
    let target = Target::of(path).ok_or(AskError::NoModel)?;
    // Usage comes unasked.
    Ok(Ask {
        stream: target.streams(),
        model: Some(target.model.into_owned()),
        wants_usage: true,
        choices: 1,
        ..Ask::default()
    })
}
