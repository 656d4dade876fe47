//! The upstream's answer as the client may have it.
//!
//! Status, version and everything the upstream says stay as they are, redirects and its own rate limits among them.
//! Only what belongs to the connection with the upstream is taken off. The length travels in the body's `size_hint`,
//! from which the listener frames it anew; where no body follows (HEAD, 304) the header is all there is, so it stays.

use std::fmt;

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName};
use http::{Method, StatusCode, Version};
use hyper::upgrade::OnUpgrade;

use super::body::AnswerBody;
use super::rewrite::Nominated;
use crate::header;

/// The head and body of an answer.
pub struct Answer {
    /// As the upstream sent it.
    pub status: StatusCode,
    /// Ready for the client.
    pub headers: HeaderMap,
    /// The frames, as they come.
    pub body: AnswerBody,
    /// The version that the upstream spoke.
    pub version: Version,
    /// The connection, where the upstream agreed to its being taken over. It stays open as long as `body` lives.
    pub upgrade: Option<OnUpgrade>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).field("version", &self.version).finish_non_exhaustive()
    }
}

/// Whether the answer's length is said by its header, as no body says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    InHeader,
    InBody,
}

impl Length {
    pub(super) fn of(asked: &Method, status: StatusCode) -> Self {
        if *asked == Method::HEAD || status == StatusCode::NOT_MODIFIED { Self::InHeader } else { Self::InBody }
    }
}

static HOP_BY_HOP: [HeaderName; 10] = header::HOP_BY_HOP;

/// Takes off what belongs to the connection with the upstream.
pub(super) fn strip(headers: &mut HeaderMap, length: Length) {
    let nominated: Vec<HeaderName> = Nominated::by(headers).names().collect();
    for name in nominated.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    if length == Length::InBody || !is_one_number(headers) {
        headers.remove(CONTENT_LENGTH);
    }
}

fn is_one_number(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let is_number = |value: &http::HeaderValue| !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit);
    lengths.next().is_some_and(is_number) && lengths.next().is_none()
}
