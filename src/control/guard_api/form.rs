//! In which form an answer goes out: as its clients expect it unless they ask for another.

use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::refusal::Refusal;
use crate::control::reply::{self, Body, JSON, TEXT};
use crate::types::Grant;

const GRANT_TYPE: &str = "application/vnd.tollgate.grant+json";

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Plain text, as ever.
    Text,
    /// `{"status":…,"message":…}`.
    Json,
    /// For sidecars: the key's record, and how long it holds.
    Grant,
}

/// An answer as JSON.
#[derive(Serialize)]
struct Told<'a> {
    status: u16,
    message: &'a str,
}

impl Form {
    /// What the `Accept` header asks for by name.
    pub(super) fn asked_for(headers: &HeaderMap) -> Self {
        let accepts = |kind: &str| {
            let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
            let mut kinds = values.flat_map(|value| value.split(','));
            kinds.any(|one| one.split(';').next().is_some_and(|one| one.trim().eq_ignore_ascii_case(kind)))
        };
        match (accepts(GRANT_TYPE), accepts("application/json")) {
            (true, _) => Self::Grant,
            (false, true) => Self::Json,
            (false, false) => Self::Text,
        }
    }

    /// `Success`.
    pub(super) fn success(self) -> Response<Body> {
        self.render(StatusCode::OK, "Success")
    }

    /// A refusal in this form.
    pub(super) fn refuse(self, refusal: &Refusal) -> Response<Body> {
        let (mut status, text) = refusal.row();
        // A sidecar tells an authority that is out of order by this status, and goes on with what it holds.
        if self == Self::Grant && *refusal == Refusal::Failed {
            status = StatusCode::SERVICE_UNAVAILABLE;
        }
        let mut response = self.render(status, &text);
        if let Some(wait) = refusal.retry_after() {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response
    }

    fn render(self, status: StatusCode, text: &str) -> Response<Body> {
        match self {
            Self::Text => reply::whole(status, TEXT, text.to_owned()),
            Self::Json | Self::Grant => {
                let told = Told { status: status.as_u16(), message: text };
                reply::whole(status, JSON, serde_json::to_vec(&told).unwrap_or_default())
            }
        }
    }
}

/// A grant as an answer.
pub(super) fn grant(grant: &Grant) -> Response<Body> {
    // Nothing in it can fail to be written.
    let body = serde_json::to_vec(grant).unwrap_or_default();
    let mut response = reply::whole(StatusCode::OK, JSON, body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRANT_TYPE));
    response
}
