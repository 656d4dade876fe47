//! What a Cohere request asks for.
//!
//! Unknown fields are skipped and odd values of fields that we only report are left out; a field of ours that stands twice
//! is refused. A request that leaves the choice of the model to Cohere is refused too: whether its caller may use that
//! model could not be said.

use serde::Deserialize;

use crate::dialect::scan::Raw;
use crate::dialect::{Ask, AskError, lenient, size};

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default)]
    model: Raw<'a>,
    #[serde(default, deserialize_with = "lenient::value")]
    stream: Option<bool>,
    #[serde(default, deserialize_with = "lenient::count")]
    max_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::value")]
    temperature: Option<f64>,
    #[serde(default, deserialize_with = "lenient::value")]
    p: Option<f64>,
    #[serde(borrow, default)]
    messages: Raw<'a>,
    #[serde(borrow, default)]
    tools: Raw<'a>,
    #[serde(borrow, default)]
    documents: Raw<'a>,
    // Chat, version 1
    #[serde(borrow, default)]
    message: Raw<'a>,
    #[serde(borrow, default)]
    preamble: Raw<'a>,
    #[serde(borrow, default)]
    chat_history: Raw<'a>,
    #[serde(borrow, default)]
    tool_results: Raw<'a>,
    // Embeddings and reranking
    #[serde(borrow, default)]
    texts: Raw<'a>,
    #[serde(borrow, default)]
    inputs: Raw<'a>,
    #[serde(borrow, default)]
    query: Raw<'a>,
}

/// Reads a request.
pub(super) fn read(body: &[u8]) -> Result<Ask, AskError> {
    let request: Request<'_> = lenient::whole_object(body).ok_or(AskError::NotJson)?;
    Ok(Ask {
        model: Some(lenient::text(request.model).ok_or(AskError::NoModel)?),
        stream: request.stream.unwrap_or(false),
        wants_usage: true,
        max_tokens: request.max_tokens,
        choices: 1,
        temperature: request.temperature,
        top_p: request.p,
        end_user: None,
        input_bytes: request.input_bytes(),
    })
}

impl Request<'_> {
    fn input_bytes(&self) -> u64 {
        let chat = [self.messages, self.message, self.preamble, self.chat_history, self.tools, self.tool_results];
        let others = [self.documents, self.texts, self.inputs, self.query];
        size::of_parts(chat.into_iter().chain(others))
    }
}
