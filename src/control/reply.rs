//! Answers of the control plane: plain text, JSON, or a stream.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

pub(super) const TEXT: HeaderValue = HeaderValue::from_static("text/plain;charset=UTF-8");
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer with its whole body. None of them may be kept by a cache on the way.
pub(super) fn whole(status: StatusCode, kind: HeaderValue, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
