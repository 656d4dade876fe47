//! THE STORY: the life of one request. Read this first; each step is a module.
//!
//! The listener hands over one request. The guard admits it or refuses it, the meter opens an exchange for it, the
//! upstream answers, the tap lets the answer through and, when it ends, seals the exchange into one usage event.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;

use crate::dialect::{Ask, refusal};
use crate::guard::{Guard, Refused, Wants};
use crate::listener::hygiene;
use crate::meter::{self, Arrival, Content, Duties, Exchange, Meter, Sent, Tap};
use crate::reject::Reject;
use crate::types::Timestamp;
use crate::upstream::{Encoding, Outbound, Routing, Target, Upstreams};

/// The stages, in the order in which a request passes them.
#[derive(Debug)]
pub struct Proxy {
    /// Who may call, and how much.
    pub guard: Arc<Guard>,
    /// Where calls go.
    pub upstreams: Arc<Upstreams>,
    /// What is made of them.
    pub meter: Arc<Meter>,
    /// Larger request bodies are refused.
    pub max_request_bytes: u64,
}

/// What a client is answered with.
pub type Outgoing = Either<Tap, Full<Bytes>>;

/// A request on its way through the stages.
struct Passage<'a> {
    head: &'a Parts,
    arrival: Arrival,
    ask: Ask,
}

impl Proxy {
    /// One request, from its head to the head of its answer. The rest of the answer is the tap's.
    pub async fn handle(&self, request: Request<Incoming>) -> Response<Outgoing> {
        let hygienic = self.guard.with_organization_headers(|names| hygiene::check(&request, names));
        let (head, body) = request.into_parts();
        let mut passage = Passage { head: &head, arrival: Arrival::observe(&head), ask: Ask::default() };
        let passed = match hygienic {
            Ok(()) => self.pass(&mut passage, body).await,
            Err(reject) => Err(reject.into()),
        };
        let mut response = match passed {
            Ok(response) => response,
            Err(Refused { reject, caller }) => {
                self.meter.refuse(&passage.arrival, caller.as_ref(), (&reject, &passage.ask));
                passage.render(&reject)
            }
        };
        passage.arrival.sign(response.headers_mut());
        response
    }

    async fn pass(&self, passage: &mut Passage<'_>, body: Incoming) -> Result<Response<Outgoing>, Refused> {
        let caller = self.guard.identify(&passage.head.headers, &passage.head.uri).await?;
        passage.arrival.guarded = passage.arrival.started.elapsed();

        let sent = Sent { body, limit: self.max_request_bytes, bound: caller.is_bound_to_models() };
        let (content, target) = match self.read(passage, sent).await {
            Ok(read) => read,
            Err(reject) => return Err(Refused { reject, caller: Some(caller) }),
        };

        let permit = self.guard.admit(caller, &passage.wants()).await?;
        let rate = permit.rate();
        let opened = self.meter.open(&passage.arrival, permit, (&content, &target));
        // A spool that is full cannot take an event about being full: the refusal is counted only.
        let exchange = opened.map_err(Refused::from)?;

        let mut response = self.send(passage, exchange, (content, &target)).await;
        rate.inspect(|rate| rate.stamp(response.headers_mut()));
        Ok(response)
    }

    /// Reads what is asked for, and chooses who is to answer it.
    async fn read(&self, passage: &mut Passage<'_>, sent: Sent) -> Result<(Content, Arc<Target>), Reject> {
        let Passage { head, arrival, ask } = passage;
        let mut content = meter::take(&arrival.route, head, sent).await?;
        arrival.body_bytes = content.bytes();
        ask.clone_from(&content.ask);
        let target = self.upstreams.route(&passage.routing()).ok_or(Reject::NoRoute)?;
        content.read_as(target.dialect, passage.head, (&mut passage.arrival.route, &mut passage.ask))?;
        Ok((content, target))
    }

    /// Sends an admitted request upstream, and taps the answer or tells of the failure.
    async fn send(&self, passage: &Passage<'_>, mut exchange: Exchange, to: (Content, &Target)) -> Response<Outgoing> {
        let (content, target) = to;
        exchange.leaves(content.waited);
        let outbound = Outbound {
            head: passage.head,
            body: content.into_body(),
            credential: exchange.credential(),
            encoding: Encoding::AsAsked,
        };
        let asked = (outbound, &passage.ask, passage.arrival.route);
        match meter::send(self.meter.memory(), target, asked).await {
            Ok((answer, hide_usage)) => {
                let duties = Duties { hide_usage, stream_asked: passage.ask.stream, disconnect: target.disconnect };
                Tap::attach(exchange, answer, duties).await.map(Either::Left)
            }
            Err(failure) => {
                let reject = failure.reject();
                exchange.failed(&failure, Some(reject.row().status.as_u16())).await;
                passage.render(&reject)
            }
        }
    }
}

impl Passage<'_> {
    fn routing(&self) -> Routing<'_> {
        let host = self.head.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
        Routing {
            model: self.ask.model.as_deref(),
            path: self.head.uri.path(),
            host: self.head.uri.host().or(host),
            connection_id: self.arrival.connection_id.as_deref(),
        }
    }

    /// What the request may use: for one that is not metered in tokens, none.
    fn wants(&self) -> Wants<'_> {
        let tokens = self.arrival.route.operation.has_tokens();
        Wants {
            model: self.ask.model.as_deref(),
            input_tokens: if tokens { self.ask.input_tokens_estimate() } else { 0 },
            max_output_tokens: if tokens { self.ask.most_output_tokens() } else { Some(0) },
        }
    }

    fn render(&self, reject: &Reject) -> Response<Outgoing> {
        let style = self.arrival.route.style(self.head.uri.path());
        let refused = refusal::render(style, reject, &self.arrival.request_id, Timestamp::now());
        refused.map(|body| Either::Right(Full::new(body)))
    }
}
