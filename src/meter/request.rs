//! Takes in a request's body: whole and understood where its usage is metered, otherwise as a stream that passes.
//!
//! A metered body is held in memory up to `proxy.max_request_bytes`; a larger one is refused, never cut. What is not
//! metered as tokens (uploads, other methods) streams through under the same bound.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::config::DialectChoice;
use crate::dialect::{self, Ask, AskError, Operation, Route};
use crate::reject::Reject;
use crate::upstream::OutboundBody;

/// A client whose body does not arrive within this time is given up on.
const PATIENCE: Duration = Duration::from_mins(1);

/// A request's body and what it asks for.
#[derive(Debug)]
pub struct Content {
    /// The body to send on.
    body: OutboundBody,
    /// What it asks for; empty where the body is not read.
    pub ask: Ask,
    /// How long the client took to send it.
    pub waited: Duration,
}

/// Reads or passes a body, as its route needs.
pub async fn take(route: &Route, head: &Parts, sent: (Incoming, u64)) -> Result<Content, Reject> {
    let (body, limit) = sent;
    let too_large = Reject::BodyTooLarge { limit };
    if declared_length(&head.headers).is_some_and(|length| length > limit) {
        return Err(too_large);
    }
    if route.operation == Operation::Other && !is_json(&head.headers) {
        let body = body.map_err(Into::into).boxed_unsync();
        return Ok(Content { body: OutboundBody::Stream { body, limit }, ask: Ask::default(), waited: Duration::ZERO });
    }
    let asked = Instant::now();
    let whole = whole(body, usize::try_from(limit).unwrap_or(usize::MAX), too_large).await?;
    let waited = asked.elapsed();
    let ask = read(route, head, &whole)?;
    Ok(Content { body: OutboundBody::Whole(whole), ask, waited })
}

impl Content {
    /// A body that was read.
    #[cfg(test)]
    pub(super) fn of(body: Bytes, ask: Ask) -> Self {
        Self { body: OutboundBody::Whole(body), ask, waited: Duration::ZERO }
    }

    /// Reads the request again where the upstream that was chosen speaks another dialect than the path alone says. The
    /// route as it holds from now on.
    pub fn read_as(&mut self, choice: DialectChoice, before: (Route, &Parts)) -> Result<Route, Reject> {
        let (route, head) = before;
        if choice == DialectChoice::Auto {
            return Ok(route);
        }
        let chosen = dialect::route(choice, &head.method, head.uri.path());
        if chosen.name() != route.name()
            && let OutboundBody::Whole(body) = &self.body
        {
            self.ask = read(&chosen, head, body)?;
        }
        Ok(chosen)
    }

    /// The body, where it was read whole.
    pub fn whole(&self) -> Option<&Bytes> {
        match &self.body {
            OutboundBody::Whole(body) => Some(body),
            OutboundBody::Stream { .. } => None,
        }
    }

    /// How many bytes were read; 0 where the body streams through.
    pub fn bytes(&self) -> u64 {
        self.whole().map_or(0, |body| body.len() as u64)
    }

    /// The client's body as it is to be sent.
    pub fn into_body(self) -> OutboundBody {
        self.body
    }
}

fn read(route: &Route, head: &Parts, body: &[u8]) -> Result<Ask, Reject> {
    route.dialect.read_request(head.uri.path(), body).map_err(|error| match error {
        AskError::NotJson => Reject::BodyNotJson,
        AskError::NoModel => Reject::ModelMissing,
    })
}

async fn whole(body: Incoming, bound: usize, too_large: Reject) -> Result<Bytes, Reject> {
    let collected = tokio::time::timeout(PATIENCE, Limited::new(body, bound).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large),
        Ok(Err(_)) | Err(_) => Err(Reject::BodyBroken),
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("application/json"))
}
