//! What a request to Google asks for. Model and method stand in the path; the body only adds what is reported.
//!
//! Google's parser takes names in `camelCase` and in `snake_case`, and so do we. A field of ours that stands twice, in
//! whichever spelling, is refused.

use serde::Deserialize;

use super::target::Target;
use crate::dialect::scan::Raw;
use crate::dialect::size::of_parts;
use crate::dialect::{Ask, AskError, lenient};

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(default, rename = "generationConfig", alias = "generation_config", deserialize_with = "lenient::object")]
    config: Option<Config>,
    #[serde(borrow, default)]
    contents: Raw<'a>,
    #[serde(borrow, default, rename = "systemInstruction", alias = "system_instruction")]
    system: Raw<'a>,
    #[serde(borrow, default)]
    tools: Raw<'a>,
    /// Of embeddings: one text, many, or Vertex's many.
    #[serde(borrow, default)]
    content: Raw<'a>,
    #[serde(borrow, default)]
    requests: Raw<'a>,
    #[serde(borrow, default)]
    instances: Raw<'a>,
}

/// How it is to be generated.
#[derive(Default, Deserialize)]
pub(super) struct Config {
    #[serde(default, rename = "maxOutputTokens", alias = "max_output_tokens", deserialize_with = "lenient::count")]
    pub(super) max_tokens: Option<u64>,
    #[serde(default, rename = "candidateCount", alias = "candidate_count", deserialize_with = "lenient::count")]
    candidates: Option<u64>,
    #[serde(default, deserialize_with = "lenient::value")]
    pub(super) temperature: Option<f64>,
    #[serde(default, rename = "topP", alias = "top_p", deserialize_with = "lenient::value")]
    pub(super) top_p: Option<f64>,
}

/// Reads a request.
pub(super) fn read(path: &str, body: &[u8]) -> Result<Ask, AskError> {
    let target = Target::of(path).ok_or(AskError::NoModel)?;
    let request: Request<'_> = lenient::whole_object(body).ok_or(AskError::NotJson)?;
    let config = request.config.as_ref();
    Ok(Ask {
        stream: target.streams(),
        model: Some(target.model),
        // Usage comes unasked.
        wants_usage: true,
        max_tokens: config.and_then(|config| config.max_tokens),
        choices: config.and_then(|config| config.candidates).unwrap_or(1).max(1),
        temperature: config.and_then(|config| config.temperature),
        top_p: config.and_then(|config| config.top_p),
        end_user: None,
        input_bytes: request.input_bytes(),
    })
}

impl Request<'_> {
    fn input_bytes(&self) -> u64 {
        let parts = [self.contents, self.system, self.tools, self.content, self.requests, self.instances];
        of_parts(parts)
    }
}
