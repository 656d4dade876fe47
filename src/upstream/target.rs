//! One upstream, and one call to it.
//!
//! The time to the answer's head is measured from the call to the head, connecting and uploading included: one clock,
//! one timer. A request is sent once. Only when the upstream closed the connection and cannot have read all of it (see
//! `stream`) is it sent once more, over a new connection, and only if its body is whole in memory.

use std::sync::Arc;
use std::{fmt, io};

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy;
use tokio::time::Instant;

use super::answer::{Answer, Length, strip};
use super::body::{AnswerBody, Received};
use super::error::{Cause, ConnectError, Failure, Step, UpstreamsError, find};
use super::link::{Flight, HttpClient, Link};
use super::location::Location;
use super::rewrite::{Encoding, PassCredential, Rewrite, set_upgrade, to_websocket};
use super::route::{Routing, matches};
use super::stats::Counters;
use super::stream::Unread;
use super::upload::{OutboundBody, Progress, Stage, Upload};
use crate::boxed;
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

/// What an answer answers.
struct Asked {
    method: Method,
    upgrades: bool,
}

impl fmt::Debug for Outbound<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("method", &self.head.method).field("body", &self.body).finish_non_exhaustive()
    }
}

impl Outbound<'_> {
    /// The same request once more, where its body can be read twice.
    fn spare(&self) -> Option<Self> {
        let OutboundBody::Whole(bytes) = &self.body else { return None };
        Some(Self { body: OutboundBody::Whole(bytes.clone()), ..*self })
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
        // Apart from the rest, or each step from here up to the connection would make room for it anew.
        let answer = boxed::pinned(|| self.call(outbound, flight)).await;
        answer.inspect_err(|failure| counters.failed(failure))
    }

    /// Opens a connection, TLS included, and closes it again.
    pub async fn probe(&self) -> Result<(), Failure> {
        let connected = self.link.connect().await;
        connected.map_err(|error| Failure::new(Step::Connect, error.cause()).with(error))
    }

    async fn call(&self, outbound: Outbound<'_>, flight: Flight) -> Result<Answer, Failure> {
        let upgrades = matches!(outbound.body, OutboundBody::Upgrade);
        let (asked, begun) = (Asked { method: outbound.head.method.clone(), upgrades }, Instant::now());
        let spare = outbound.spare();
        let client = if upgrades { flight.upgrading() } else { flight.client() };
        let first = self.attempt(outbound, client, begun).await;
        let (response, progress) = match (first, spare) {
            (Err(failure), Some(spare)) if failure.cause == Cause::NotSent => {
                Counters::add_one(&flight.counters.resent);
                Box::pin(self.attempt(spare, flight.unpooled(), begun)).await?
            }
            (first, _) => first?,
        };
        self.answer(response, &asked, (progress, flight))
    }

    /// Sends once and waits for the head, for what is left of the time since `begun`.
    async fn attempt(
        &self,
        outbound: Outbound<'_>,
        client: &HttpClient,
        begun: Instant,
    ) -> Result<(Response<Received>, Arc<Progress>), Failure> {
        let limit = limit_of(&outbound.body);
        let request = self.request(outbound)?;
        let progress = request.body().progress();
        let left = self.timeouts.first_byte.saturating_sub(begun.elapsed());
        match tokio::time::timeout(left, self.link.request(client, request)).await {
            Ok(Ok(response)) => Ok((response, progress)),
            Ok(Err(error)) => Err(failure(error, progress.stage(), limit)),
            Err(_) => Err(late(progress.stage())),
        }
    }

    fn request(&self, outbound: Outbound<'_>) -> Result<Request<Upload>, Failure> {
        let refused = |reject| Failure::new(Step::Rewrite, Cause::NotForwardable(reject));
        let Outbound { head, body, credential, encoding } = outbound;
        if head.method == Method::CONNECT {
            return Err(refused(Reject::NotSupported));
        }
        let (limit, upgrades) = (limit_of(&body), matches!(body, OutboundBody::Upgrade));
        let uri = self.location.of(&head.uri, self.rewrite.client_credential(credential)).map_err(refused)?;
        let upload = Upload::new(body);
        if upload.announces_too_much() {
            return Err(Failure::new(Step::Rewrite, Cause::ClientTooLarge(limit)));
        }
        let mut request = Request::new(upload);
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = self.rewrite.headers(&head.headers, credential, encoding);
        if upgrades {
            set_upgrade(request.headers_mut());
        }
        frame(&mut request);
        Ok(request)
    }

    fn answer(
        &self,
        response: Response<Received>,
        asked: &Asked,
        (progress, flight): (Arc<Progress>, Flight),
    ) -> Result<Answer, Failure> {
        let (mut head, (frames, loan)) = response.into_parts();
        let upgrade = head.extensions.remove::<OnUpgrade>();
        let upgrade = upgrade.filter(|_| head.status == StatusCode::SWITCHING_PROTOCOLS);
        // Where none was asked for, a tunnel would carry bytes that nobody watches.
        let agreed = asked.upgrades && upgrade.is_some() && to_websocket(&head.headers);
        if head.status == StatusCode::SWITCHING_PROTOCOLS && !agreed {
            return Err(Failure::new(Step::FirstByte, Cause::Invalid));
        }
        strip(&mut head.headers, Length::of(&asked.method, head.status));
        if agreed {
            set_upgrade(&mut head.headers);
        }
        // Who waits for frames does not send the rest of a request.
        let loan = loan.filter(|_| progress.stage() == Stage::Sent);
        let body = AnswerBody::new((frames, loan), self.timeouts.idle, (progress, flight));
        Ok(Answer { status: head.status, headers: head.headers, body, version: head.version, upgrade })
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
        OutboundBody::Whole(_) | OutboundBody::Upgrade => u64::MAX,
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
    if find::<io::Error>(error).is_some_and(Unread::is_in) {
        return (Step::Send, Cause::NotSent);
    }
    match find::<hyper::Error>(error) {
        // hyper says "canceled" of exactly those requests that it gives back untouched.
        Some(cause) if cause.is_canceled() => (Step::Send, Cause::NotSent),
        Some(cause) if cause.is_parse() => (reached, Cause::Invalid),
        _ => (reached, Cause::Reset),
    }
}
