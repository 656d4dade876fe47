//! Connections to one receiver: kept open, TLS where its URL says so, one time limit from the first byte to the last.
//!
//! Follows no redirect, and keeps no more of an answer than its status and a little text to judge it by.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use super::{Unusable, pace, verdict};
use crate::config::Receiver;
use crate::sink::Trouble;
use crate::trust;

/// Shorter than the five seconds after which common servers close a connection that is idle.
const IDLE: Duration = Duration::from_secs(4);
/// A longer text says nothing that we know.
const LONGEST: usize = 16 << 10;
const AGENT: HeaderValue = HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION")));

type Connector = HttpsConnector<HttpConnector>;

pub(super) struct Client {
    pool: legacy::Client<Connector, Full<Bytes>>,
    url: Uri,
    /// Sent with each request.
    headers: HeaderMap,
    timeout: Duration,
}

/// What is posted.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) status: StatusCode,
    /// How long the receiver asks to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// Of an answer that is no success.
    pub(super) text: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    #[error("the receiver was not reached: {0}")]
    Unreached(#[from] legacy::Error),
    #[error("the receiver did not answer in time")]
    Late,
}

/// Why a receiver is not reached.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Its settings cannot be used.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// It does not accept a connection.
    #[error("{0}")]
    Unreached(#[source] Box<dyn StdError + Send + Sync>),
}

impl PostError {
    pub(super) fn trouble(&self) -> Trouble {
        match self {
            Self::Late => Trouble::Timeout,
            Self::Unreached(error) if is_of_tls(error) => Trouble::Authentication,
            Self::Unreached(_) => Trouble::Unreachable,
        }
    }
}

impl Client {
    pub(super) fn new(receiver: &Receiver) -> Result<Self, Unusable> {
        let pool = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(receiver.in_flight)
            .build(connector(receiver)?);
        let mut headers = HeaderMap::from_iter([(USER_AGENT, AGENT)]);
        for (name, value) in &receiver.headers {
            headers.insert(name, super::form::secretly(value, receiver)?);
        }
        Ok(Self { pool, url: receiver.url.clone(), headers, timeout: receiver.timeout })
    }

    /// Posts, and hears the whole answer.
    pub(super) async fn post(&self, post: Post) -> Result<Heard, PostError> {
        let last = Instant::now() + self.timeout;
        let mut request = Request::new(Full::new(post.body));
        *request.method_mut() = Method::POST;
        request.uri_mut().clone_from(&self.url);
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().extend(post.headers);
        let answer = timeout_at(last, self.pool.request(request)).await.map_err(|_| PostError::Late)??;
        let (head, body) = answer.into_parts();
        // The status has said it all: a text that breaks off or is late takes nothing back.
        let text = timeout_at(last, text(body)).await.unwrap_or_default();
        let retry_after = head.headers.get(RETRY_AFTER).and_then(pace::read_wait);
        Ok(Heard { status: head.status, retry_after: retry_after.filter(|_| !verdict::is_success(head.status)), text })
    }
}

fn connector(receiver: &Receiver) -> Result<Connector, Unusable> {
    let made = trust::connector(&receiver.url, receiver.timeout);
    made.map_err(|error| Unusable::Tls(Arc::clone(&receiver.name), error))
}

/// Opens a connection to a receiver, TLS included, and closes it again. Posts nothing.
pub async fn probe(receiver: &Receiver) -> Result<(), ProbeError> {
    let mut connector = connector(receiver)?;
    std::future::poll_fn(|cx| connector.poll_ready(cx)).await.map_err(ProbeError::Unreached)?;
    connector.call(receiver.url.clone()).await.map(drop).map_err(ProbeError::Unreached)
}

/// Read to its end, so that the connection can be used again; one that is too long is not worth it.
async fn text(body: Incoming) -> Bytes {
    let whole = Limited::new(body, LONGEST).collect().await;
    whole.map(http_body_util::Collected::to_bytes).unwrap_or_default()
}

fn is_of_tls(error: &legacy::Error) -> bool {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        // An I/O error hides what it holds from `source`.
        let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if error.is::<rustls::Error>() {
            return true;
        }
        next = if let Some(held) = held { Some(held) } else { error.source() };
    }
    false
}
