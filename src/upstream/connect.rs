//! Opens connections to one upstream: TCP without Nagle's delay, TLS where the URL says so, all within one time limit.
//!
//! A failure says at which of these it failed. Nothing is retried here: with several addresses the TCP connector
//! already tries them side by side.

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
use tokio::net::TcpStream;
use tower_service::Service;

use super::error::{BoxError, ConnectError, find};
use super::stats::Counters;

/// TCP keep-alive finds upstreams that vanished behind an idle or silent connection.
const TCP_KEEPALIVE: Duration = Duration::from_mins(1);

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

#[derive(Clone, Debug)]
pub(super) struct Connector {
    dial: Dial,
    limit: Duration,
    counters: Arc<Counters>,
}

#[derive(Clone, Debug)]
enum Dial {
    Clear(HttpConnector),
    Tls(HttpsConnector<HttpConnector>),
}

impl Connector {
    /// Connects within `limit`, with TLS when a configuration for it is given.
    pub(super) fn new(tls: Option<Arc<ClientConfig>>, limit: Duration, counters: Arc<Counters>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(tls.is_none());
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        // Shared out over the addresses of a name, so that one silent address does not use up the whole time.
        tcp.set_connect_timeout(Some(limit));
        let dial = match tls {
            Some(tls) => Dial::Tls(HttpsConnector::from((tcp, tls))),
            None => Dial::Clear(tcp),
        };
        Self { dial, limit, counters }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

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
    async fn stream(&mut self, to: Uri) -> Result<Stream, BoxError> {
        match self {
            Self::Clear(tcp) => Ok(MaybeHttpsStream::Http(tcp.call(to).await?)),
            Self::Tls(tls) => tls.call(to).await,
        }
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
