//! Takes in a request's body: whole and understood where its usage is metered, otherwise as a stream that passes.
//!
//! A metered body is held in memory up to `proxy.max_request_bytes`; a larger one is refused, never cut. What is not
//! metered as tokens (uploads, other methods) streams through under the same bound. So do forms, of which only the
//! beginning is looked at for the model; where a key may use some models only, its forms are held whole too.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::form::{self, Form};
use super::peeked::Peeked;
use super::realtime::Upgrade;
use crate::config::DialectChoice;
use crate::dialect::openai::realtime;
use crate::dialect::{self, Ask, AskError, Operation, Route};
use crate::reject::Reject;
use crate::upstream::OutboundBody;

/// A client whose body does not arrive within this time is given up on.
const PATIENCE: Duration = Duration::from_mins(1);

/// How much of a form is read ahead.
const BEGINNING: usize = 64 * 1024;

/// A request's body and what it asks for.
#[derive(Debug)]
pub struct Content {
    /// The body to send on.
    body: OutboundBody,
    /// What it asks for; empty where the body is not read.
    pub ask: Ask,
    /// How long the client took to send it.
    pub waited: Duration,
    upgrade: Option<Upgrade>,
}

/// A body as it arrives.
#[derive(Debug)]
pub struct Sent {
    /// The bytes.
    pub body: Incoming,
    /// The most bytes that it may have.
    pub limit: u64,
    /// Whether the caller may use some models only.
    pub bound: bool,
}

/// Reads or passes a body, as its route needs.
pub async fn take(route: &Route, head: &Parts, sent: Sent) -> Result<Content, Reject> {
    let needs_model = sent.bound && route.operation != Operation::Other;
    let content = take_any(route, head, sent).await?;
    // Without a name the provider chooses, and nobody can say whether the key may use what it chooses.
    if needs_model && content.ask.model.is_none() { Err(Reject::ModelMissing) } else { Ok(content) }
}

async fn take_any(route: &Route, head: &Parts, sent: Sent) -> Result<Content, Reject> {
    let Sent { body, limit, bound } = sent;
    let too_large = Reject::BodyTooLarge { limit };
    if declared_length(&head.headers).is_some_and(|length| length > limit) {
        return Err(too_large);
    }
    if route.operation == Operation::Realtime
        && let Some(upgrade) = Upgrade::asked(head)
    {
        return Ok(take_upgrade(head, upgrade, bound));
    }
    if route.operation == Operation::Other && !is_json(&head.headers) {
        let body = body.map_err(Into::into).boxed_unsync();
        return Ok(Content::new(OutboundBody::Stream { body, limit }, Ask::default(), Duration::ZERO));
    }
    if matches!(route.operation, Operation::Image | Operation::Transcription) && form::is_form(&head.headers) {
        let sent = Sent { body, limit, bound };
        return Box::pin(take_form(route, head, sent)).await;
    }
    let asked = Instant::now();
    let whole = whole(body, usize::try_from(limit).unwrap_or(usize::MAX), too_large).await?;
    let waited = asked.elapsed();
    let ask = read(route, head, &whole)?;
    Ok(Content::new(OutboundBody::Whole(whole), ask, waited))
}

/// A session to come. Where the key is bound to models, its query must name one, and in one way only.
fn take_upgrade(head: &Parts, upgrade: Upgrade, bound: bool) -> Content {
    let mut ask = realtime::ask(head.uri.query());
    ask.model = ask.model.filter(|_| !(bound && realtime::is_ambiguous(head.uri.query())));
    Content { upgrade: Some(upgrade), ..Content::new(OutboundBody::Upgrade, ask, Duration::ZERO) }
}

/// A form: its beginning is read ahead for the model, or all of it where the key is bound to models.
async fn take_form(route: &Route, head: &Parts, sent: Sent) -> Result<Content, Reject> {
    let Sent { body, limit, bound } = sent;
    let boundary = form::boundary(&head.headers);
    let in_path = || route.dialect.read_request(head.uri.path(), b"{}").ok().and_then(|ask| ask.model);
    let ask = |model: Option<String>| Ask { model: in_path().or(model), choices: 1, ..Ask::default() };
    let asked = Instant::now();
    if bound {
        let bound = usize::try_from(limit).unwrap_or(usize::MAX);
        let whole = whole(body, bound, Reject::BodyTooLarge { limit }).await?;
        let form = boundary.map(|boundary| Form::read(&whole, &boundary)).filter(|form| form.sound && form.whole);
        let ask = ask(form.and_then(|form| form.model));
        return Ok(Content::new(OutboundBody::Whole(whole), ask, asked.elapsed()));
    }
    let mut body = Peeked::new(body);
    let peeking = tokio::time::timeout(PATIENCE, peek(&mut body, boundary.as_deref())).await;
    let model = peeking.map_err(|_| Reject::BodyBroken)??;
    let body = OutboundBody::Stream { body: body.map_err(Into::into).boxed_unsync(), limit };
    Ok(Content::new(body, ask(model), asked.elapsed()))
}

/// The model, where it stands at the beginning of the form.
async fn peek(body: &mut Peeked, boundary: Option<&str>) -> Result<Option<String>, Reject> {
    let Some(boundary) = boundary else { return Ok(None) };
    let (mut beginning, mut next) = (Vec::new(), 0);
    while beginning.len() < BEGINNING {
        let Some(piece) = body.more().await else { break };
        beginning.extend_from_slice(piece.map_err(|_| Reject::BodyBroken)?);
        // A client that sends byte by byte does not make us read it all anew for each.
        if beginning.len() >= next {
            next = beginning.len() + 1024;
            let form = Form::read(&beginning, boundary);
            if form.model.is_some() || form.whole {
                return Ok(form.model);
            }
        }
    }
    Ok(Form::read(&beginning, boundary).model)
}

impl Content {
    fn new(body: OutboundBody, ask: Ask, waited: Duration) -> Self {
        Self { body, ask, waited, upgrade: None }
    }

    /// The client's connection, where it asked to take it over.
    pub(super) fn upgrade(&self) -> Option<Upgrade> {
        self.upgrade.clone()
    }

    /// A body that was read.
    #[cfg(test)]
    pub(super) fn of(body: Bytes, ask: Ask) -> Self {
        Self::new(OutboundBody::Whole(body), ask, Duration::ZERO)
    }

    /// Reads the request again where the upstream that was chosen speaks another dialect than the path alone says, and
    /// sets the route and what is asked for to what holds from now on.
    pub fn read_as(
        &mut self,
        choice: DialectChoice,
        head: &Parts,
        (route, ask): (&mut Route, &mut Ask),
    ) -> Result<(), Reject> {
        if choice == DialectChoice::Auto {
            return Ok(());
        }
        let chosen = dialect::route(choice, &head.method, head.uri.path());
        if chosen.name() != route.name()
            && let OutboundBody::Whole(body) = &self.body
        {
            self.ask = read(&chosen, head, body)?;
            ask.clone_from(&self.ask);
        }
        *route = chosen;
        Ok(())
    }

    /// The body, where it was read whole.
    pub fn whole(&self) -> Option<&Bytes> {
        match &self.body {
            OutboundBody::Whole(body) => Some(body),
            OutboundBody::Stream { .. } | OutboundBody::Upgrade => None,
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
