//! Opens connections to one upstream: TCP without Nagle's delay, TLS where the URL says so, all within one time limit.
//!
//! A failure says at which of these it failed. Nothing is retried here: with several addresses the TCP connector
//! already tries them side by side. A connection that will speak HTTP/1 in clear text is watched (see `stream`).

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tower_service::Service;

use super::error::{BoxError, ConnectError, find};
use super::habit::Habit;
use super::stats::Counters;
use super::stream::Stream;

/// TCP keep-alive finds upstreams that vanished behind an idle or silent connection.
const TCP_KEEPALIVE: Duration = Duration::from_mins(1);

type Opened = MaybeHttpsStream<TokioIo<Stream>>;

#[derive(Clone, Debug)]
pub(super) struct Connector {
    dial: Dial,
    limit: Duration,
    counters: Arc<Counters>,
}

#[derive(Clone, Debug)]
enum Dial {
    Clear(Tcp),
    Tls(HttpsConnector<Tcp>),
}

/// What goes over a connection.
#[derive(Clone)]
pub(super) enum Speaks {
    /// HTTP/1 in clear text, on connections that are watched by what was learnt of the upstream.
    Http1(Arc<Habit>),
    /// HTTP/1 in clear text, on connections of one request each, which need no watching.
    Http1Once,
    /// HTTP/2 in clear text.
    Http2,
    /// TLS with this configuration, and what ALPN yields.
    Tls(Arc<ClientConfig>),
}

#[derive(Clone, Debug)]
struct Tcp {
    dial: HttpConnector,
    /// Whether connections are watched, and by what was learnt of the upstream.
    habit: Option<Arc<Habit>>,
}

impl Connector {
    /// Connects within `limit`.
    pub(super) fn new(speaks: Speaks, limit: Duration, counters: Arc<Counters>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(!matches!(speaks, Speaks::Tls(_)));
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        // Shared out over the addresses of a name, so that one silent address does not use up the whole time.
        tcp.set_connect_timeout(Some(limit));
        let tcp = |habit| Tcp { dial: tcp, habit };
        let dial = match speaks {
            Speaks::Http1(habit) => Dial::Clear(tcp(Some(habit))),
            Speaks::Http1Once | Speaks::Http2 => Dial::Clear(tcp(None)),
            Speaks::Tls(tls) => Dial::Tls(HttpsConnector::from((tcp(None), tls))),
        };
        Self { dial, limit, counters }
    }
}

impl Service<Uri> for Connector {
    type Response = Opened;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Opened, ConnectError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        let limit = self.limit;
        match &mut self.dial {
            Dial::Clear(tcp) => tcp.poll_ready(cx).map_err(|error| failed(error.into(), limit)),
            Dial::Tls(tls) => tls.poll_ready(cx).map_err(|error| failed(error, limit)),
        }
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (mut dial, limit, counters) = (self.dial.clone(), self.limit, Arc::clone(&self.counters));
        Box::pin(async move {
            let stream = tokio::time::timeout(limit, dial.stream(to)).await;
            let stream = stream.map_err(|_| ConnectError::TimedOut(limit))?.map_err(|error| failed(error, limit))?;
            Counters::add_one(&counters.connections_opened);
            Ok(stream)
        })
    }
}

impl Dial {
    async fn stream(&mut self, to: Uri) -> Result<Opened, BoxError> {
        match self {
            Self::Clear(tcp) => Ok(MaybeHttpsStream::Http(tcp.call(to).await?)),
            Self::Tls(tls) => tls.call(to).await,
        }
    }
}

impl Service<Uri> for Tcp {
    type Response = TokioIo<Stream>;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<Uri>::poll_ready(&mut self.dial, cx)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (dialled, habit) = (self.dial.call(to), self.habit.clone());
        Box::pin(async move { Ok(TokioIo::new(Stream::new(dialled.await?.into_inner(), habit))) })
    }
}

/// The TCP connector has an error type of its own; a plain `io::Error` comes from the handshake after it.
fn failed(error: BoxError, limit: Duration) -> ConnectError {
    let chain: &(dyn StdError + 'static) = &*error;
    if error.is::<io::Error>() {
        return ConnectError::Tls(error);
    }
    match find::<io::Error>(chain) {
        Some(cause) if cause.kind() == io::ErrorKind::TimedOut => ConnectError::TimedOut(limit),
        _ => ConnectError::Unreachable(error),
    }
}
