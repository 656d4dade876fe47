//! How a refusal looks on the wire, in the words that the client's own SDK understands.
//!
//! The SDKs act on the status, `retry-after` and `x-should-retry`; people read the message and the code. Nothing of the
//! request is repeated in a body, so a refusal is no oracle. Files: `body` (what is said), `limits` (the headers about
//! limits), `stream` (how a stream that has begun is ended).

mod body;
mod limits;
mod stream;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};

use crate::header;
use crate::reject::{LimitState, Limited, Reject};
use crate::types::{RequestId, Timestamp};

pub use stream::mid_stream;

/// Whose error bodies and headers to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// OpenAI's, which most others understand.
    OpenAi,
    /// Anthropic's.
    Anthropic,
    /// Google's.
    Google,
    /// Amazon Bedrock's.
    Bedrock,
    /// Cohere's.
    Cohere,
    /// Ollama's.
    Ollama,
    /// UsageGuard's.
    UsageGuard,
    /// LLMstudio's, which is FastAPI's.
    LlmStudio,
    /// BRConnector's.
    BrConnector,
}

impl Style {
    /// The style that the clients of a path expect.
    pub fn of_path(path: &str) -> Self {
        let path = path.trim_end_matches('/');
        let messages = path.ends_with("/v1/messages") || path.contains("/v1/messages/");
        if messages { Self::Anthropic } else { Self::OpenAi }
    }

    /// The header by which this style names a request.
    fn id_header(self) -> HeaderName {
        match self {
            Self::Anthropic => header::REQUEST_ID,
            Self::Bedrock => header::X_AMZN_REQUESTID,
            _ => header::X_REQUEST_ID,
        }
    }

    /// The status as this style has it.
    pub fn status(self, reject: &Reject) -> StatusCode {
        let status = reject.row().status;
        let about_the_caller = matches!(status.as_u16(), 401 | 403 | 404) || *reject == Reject::BudgetSpent;
        // Its clients know 400 alone for what they did wrong. A limit keeps its own, for waiting helps there.
        if self == Self::BrConnector && about_the_caller { StatusCode::BAD_REQUEST } else { status }
    }
}

/// The whole answer to a refused request. `now` is only for headers that state a time of day.
pub fn render(style: Style, reject: &Reject, id: &RequestId, now: Timestamp) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body::of(style, reject, id.as_str())));
    *response.status_mut() = style.status(reject);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    set(headers, style.id_header(), id.as_str());
    if style == Style::Bedrock {
        set(headers, header::X_AMZN_ERRORTYPE, body::bedrock_type(reject));
    }
    limits::retry_headers(headers, reject);
    if let Reject::Limited(state) = reject {
        limits::limit_headers(headers, style, state, now);
    }
    response
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests;
