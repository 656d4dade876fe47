//! What an OpenAI-style request asks for.
//!
//! Unknown fields are skipped and odd values of fields that we only report are left out. A field of ours that stands
//! twice is refused: parsers differ in which one they take, and the upstream must not see another model than we do.

use std::sync::LazyLock;

use memchr::memchr;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::{Ask, AskError, lenient};

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "lenient::value")]
    stream: Option<bool>,
    #[serde(default, deserialize_with = "lenient::object")]
    stream_options: Option<StreamOptions>,
    #[serde(default, deserialize_with = "lenient::count")]
    max_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    max_completion_tokens: Option<u64>,
    // Responses.
    #[serde(default, deserialize_with = "lenient::count")]
    max_output_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    n: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    best_of: Option<u64>,
    #[serde(default, deserialize_with = "lenient::value")]
    temperature: Option<f64>,
    #[serde(default, deserialize_with = "lenient::value")]
    top_p: Option<f64>,
    #[serde(borrow, default)]
    user: Option<&'a RawValue>,
    #[serde(borrow, default)]
    safety_identifier: Option<&'a RawValue>,
    #[serde(borrow, default)]
    instructions: Option<&'a RawValue>,
    #[serde(borrow, default)]
    messages: Option<&'a RawValue>,
    #[serde(borrow, default)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow, default)]
    suffix: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
    #[serde(borrow, default)]
    functions: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default, deserialize_with = "lenient::value")]
    include_usage: Option<bool>,
}

/// Reads a request that must name its model.
pub(super) fn read(path: &str, body: &[u8]) -> Result<Ask, AskError> {
    let ask = read_any(path, body)?;
    if ask.model.is_some() { Ok(ask) } else { Err(AskError::NoModel) }
}

/// Reads a request for which the provider may have a model of its own choice.
pub(super) fn read_any(path: &str, body: &[u8]) -> Result<Ask, AskError> {
    let request: Request<'_> = lenient::whole_object(body).ok_or(AskError::NotJson)?;
    let model = model_in_path(path).map(str::to_owned).or_else(|| lenient::text(request.model));
    Ok(Ask {
        model,
        stream: request.stream.unwrap_or(false),
        wants_usage: request.stream_options.as_ref().and_then(|options| options.include_usage).unwrap_or(false),
        max_tokens: request.max_completion_tokens.or(request.max_output_tokens).or(request.max_tokens),
        choices: request.n.max(request.best_of).unwrap_or(1).max(1),
        temperature: request.temperature,
        top_p: request.top_p,
        end_user: lenient::text(request.user).or_else(|| lenient::text(request.safety_identifier)),
        input_bytes: request.input_bytes(),
    })
}

/// Azure and old engine paths name the model themselves; there the body's `model` is ignored, so it must not count here.
fn model_in_path(path: &str) -> Option<&str> {
    let mut parts = path.split('/');
    parts.find(|part| *part == "deployments" || *part == "engines")?;
    parts.next().filter(|name| !name.is_empty())
}

impl Request<'_> {
    fn input_bytes(&self) -> u64 {
        let texts = [self.instructions, self.messages, self.prompt, self.suffix, self.input];
        let parts = texts.into_iter().chain([self.tools, self.functions]);
        parts.flatten().map(|raw| text_bytes(raw.get().as_bytes())).sum()
    }
}

/// What an embedded file stands after.
const MARK: &[u8] = b";base64,";
static FILE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MARK));

/// Bytes without embedded files: an image of a megabyte costs about as many tokens as one of a kilobyte.
fn text_bytes(json: &[u8]) -> u64 {
    let mut files = 0;
    let mut rest = json;
    while let Some(at) = FILE.find(rest) {
        rest = rest.get(at + MARK.len()..).unwrap_or_default();
        let file = memchr(b'"', rest).unwrap_or(rest.len());
        files += file;
        rest = rest.get(file..).unwrap_or_default();
    }
    (json.len() - files) as u64
}
