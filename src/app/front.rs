//! Where a request goes: to the control plane, when its path is one of those, and to the proxy otherwise.
//!
//! The one port serves both, so that one base URL is enough. Whichever answers, what could be read in two ways is refused.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use super::Role;
use super::answer::Answer;
use super::authority::Authority;
use crate::boxed;
use crate::listener::hygiene;
use crate::proxy::Proxy;

/// The first to see a request.
#[derive(Clone, Debug)]
pub(super) struct Front {
    pub(super) proxy: Arc<Proxy>,
    pub(super) authority: Option<Authority>,
    pub(super) role: Role,
}

impl Front {
    /// Answers a request from this address.
    pub(super) async fn answer(self, request: Request<Incoming>, from: IpAddr) -> Response<Answer> {
        match &self.authority {
            Some(authority) if Authority::serves(request.uri().path()) => {
                // Apart, so that the requests of all others take no room for it.
                boxed::pinned(|| self.ask(authority, request, from)).await
            }
            _ if self.role == Role::Control => plain(StatusCode::NOT_FOUND, "served here: /api/guard/"),
            _ => self.proxy.handle(request).await.map(Answer::from),
        }
    }

    async fn ask(&self, authority: &Authority, request: Request<Incoming>, from: IpAddr) -> Response<Answer> {
        let hygienic = self.proxy.guard.with_organization_headers(|names| hygiene::check(&request, names));
        match hygienic {
            Ok(()) => authority.answer(request, from).await.map(Answer::Controlled),
            Err(reject) => plain(reject.row().status, reject.row().text),
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Answer> {
    let mut response = Response::new(Answer::Fixed(Full::new(Bytes::from_static(text.as_bytes()))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
