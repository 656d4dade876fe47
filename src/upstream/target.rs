//! One upstream, and one call to it.
//!
//! The time to the answer's head is measured from the call to the head, connecting and uploading included: one clock,
//! one timer. A request is sent once; only when the connection gives it back without having written a byte of it does
//! the connection pool send it over another.

use std::fmt;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::client::legacy;

use super::answer::{Answer, Length, strip};
use super::body::AnswerBody;
use super::error::{Cause, ConnectError, Failure, Step, UpstreamsError, find};
use super::link::{Flight, Link};
use super::location::Location;
use super::rewrite::{Encoding, PassCredential, Rewrite};
use super::route::{Routing, matches};
use super::upload::{OutboundBody, Progress, Stage, Upload};
use crate::config::{self, DialectChoice, Disconnect, Matching, Timeouts};
use crate::reject::Reject;

/// An upstream, as configured, with its connections.
#[derive(Debug)]
pub struct Target {
    /// Its name in events and metrics.
    pub name: Arc<str>,
    /// Who runs the model, for the event.
    pub provider: Arc<str>,
    /// Its host, without a port, for the event.
    pub host: Arc<str>,
    /// The wire format it speaks.
    pub dialect: DialectChoice,
    /// Ask for usage in streams.
    pub inject_usage: bool,
    /// What happens upstream when the client leaves.
    pub disconnect: Disconnect,
    pub(super) link: Arc<Link>,
    matching: Matching,
    timeouts: Timeouts,
    location: Location,
    rewrite: Rewrite,
}

/// A request on its way to an upstream.
pub struct Outbound<'a> {
    /// The client's head.
    pub head: &'a Parts,
    /// The body, which may differ from the client's.
    pub body: OutboundBody,
    /// Whether the client's own credential may travel.
    pub credential: PassCredential,
    /// How the answer may be encoded.
    pub encoding: Encoding,
}

impl fmt::Debug for Outbound<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("method", &self.head.method).field("body", &self.body).finish_non_exhaustive()
    }
}

impl Target {
    pub(super) fn new(config: &config::Upstream, link: Arc<Link>) -> Result<Self, UpstreamsError> {
        let address = &link.address;
        Ok(Self {
            name: Arc::clone(&config.name),
            provider: Arc::clone(&config.provider),
            host: address.authority.host().into(),
            dialect: config.dialect,
            inject_usage: config.inject_usage,
            disconnect: config.disconnect,
            matching: config.matching.clone(),
            timeouts: config.timeouts,
            location: Location::new(address.scheme.clone(), address.authority.clone(), config.url.path()),
            rewrite: Rewrite::new(config)?,
            link,
        })
    }

    pub(super) fn takes(&self, ask: &Routing<'_>) -> bool {
        matches(&self.matching, ask)
    }

    /// Sends a request and waits for the head of the answer.
    ///
    /// Dropping the future, or the answer's body, cuts the upstream off.
    pub async fn send(&self, outbound: Outbound<'_>) -> Result<Answer, Failure> {
        let Some(flight) = self.link.take_off() else {
            return Err(Failure::new(Step::Connect, Cause::Unreachable));
        };
        let counters = Arc::clone(&flight.counters);
        self.call(outbound, flight).await.inspect_err(|failure| counters.failed(failure))
    }

    /// Opens a connection, TLS included, and closes it again.
    pub async fn probe(&self) -> Result<(), Failure> {
        let connected = self.link.connect().await;
        connected.map_err(|error| Failure::new(Step::Connect, error.cause()).with(error))
    }

    async fn call(&self, outbound: Outbound<'_>, flight: Flight) -> Result<Answer, Failure> {
        let asked = outbound.head.method.clone();
        let limit = limit_of(&outbound.body);
        let request = self.request(outbound)?;
        let progress = request.body().progress();
        let sent = tokio::time::timeout(self.timeouts.first_byte, flight.client().request(request)).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(failure(error, progress.stage(), limit)),
            Err(_) => return Err(late(progress.stage())),
        };
        self.answer(response, &asked, (progress, flight))
    }

    fn request(&self, outbound: Outbound<'_>) -> Result<Request<Upload>, Failure> {
        let refused = |reject| Failure::new(Step::Rewrite, Cause::NotForwardable(reject));
        let Outbound { head, body, credential, encoding } = outbound;
        if head.method == Method::CONNECT {
            return Err(refused(Reject::NotSupported));
        }
        let limit = limit_of(&body);
        let uri = self.location.of(&head.uri, self.rewrite.client_credential(credential)).map_err(refused)?;
        let upload = Upload::new(body);
        if upload.announces_too_much() {
            return Err(Failure::new(Step::Rewrite, Cause::ClientTooLarge(limit)));
        }
        let mut request = Request::new(upload);
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = self.rewrite.headers(&head.headers, credential, encoding);
        frame(&mut request);
        Ok(request)
    }

    fn answer(
        &self,
        response: Response<Incoming>,
        asked: &Method,
        (progress, flight): (Arc<Progress>, Flight),
    ) -> Result<Answer, Failure> {
        let (mut head, frames) = response.into_parts();
        // No upgrade was asked for, so a tunnel would carry bytes that nobody watches.
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::new(Step::FirstByte, Cause::Invalid));
        }
        strip(&mut head.headers, Length::of(asked, head.status));
        let body = AnswerBody::new(frames, self.timeouts.idle, progress, flight);
        Ok(Answer { status: head.status, headers: head.headers, body, version: head.version })
    }
}

/// Says what hyper would not say by itself: that nothing follows where something is expected, and that something
/// follows where nothing is.
fn frame(request: &mut Request<Upload>) {
    let (empty, length) = (request.body().is_end_stream(), request.body().size_hint().exact());
    let method = request.method();
    if empty && (*method == Method::POST || *method == Method::PUT || *method == Method::PATCH) {
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    } else if !empty && length.is_none() && (*method == Method::GET || *method == Method::HEAD) {
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

fn limit_of(body: &OutboundBody) -> u64 {
    match body {
        OutboundBody::Whole(_) => u64::MAX,
        OutboundBody::Stream { limit, .. } => *limit,
    }
}

/// No head in time: the client's fault when its own body was awaited.
fn late(upload: Stage) -> Failure {
    match upload {
        Stage::AwaitingClient => Failure::new(Step::Send, Cause::ClientBroke),
        Stage::Sent => Failure::new(Step::FirstByte, Cause::FirstByteTimeout),
        _ => Failure::new(Step::Send, Cause::FirstByteTimeout),
    }
}

fn failure(error: legacy::Error, upload: Stage, limit: u64) -> Failure {
    let (step, cause) = match upload {
        Stage::ClientBroke => (Step::Send, Cause::ClientBroke),
        Stage::TooLarge => (Step::Send, Cause::ClientTooLarge(limit)),
        Stage::Sent => sort(&error, Step::FirstByte),
        Stage::Sending | Stage::AwaitingClient => sort(&error, Step::Send),
    };
    Failure::new(step, cause).with(error)
}

fn sort(error: &legacy::Error, reached: Step) -> (Step, Cause) {
    if error.is_connect() {
        let cause = find::<ConnectError>(error).map_or(Cause::Unreachable, ConnectError::cause);
        return (Step::Connect, cause);
    }
    match find::<hyper::Error>(error) {
        // hyper says "canceled" of exactly those requests that it gives back untouched.
        Some(cause) if cause.is_canceled() => (Step::Send, Cause::NotSent),
        Some(cause) if cause.is_parse() => (reached, Cause::Invalid),
        _ => (reached, Cause::Reset),
    }
}
