//! The operations listener: `/livez`, `/readyz` and `/metrics`, on a port of its own.
//!
//! Live means that the process answers; it depends on nothing else, so that an outage elsewhere restarts nobody. Ready
//! means that a request could be admitted and its event recorded; a Kafka broker that is down does not change that, a
//! full spool does. No header changes an answer, and nothing secret is served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::metrics::Metrics;

const MOST_CONNECTIONS: usize = 64;
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// However slowly a client reads, its place is free again after this time: probes must find one.
const LONGEST_CONNECTION: Duration = Duration::from_secs(30);
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const EXPOSITION: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Says why the process is not ready, if it is not.
pub type Readiness = Arc<dyn Fn() -> Result<(), &'static str> + Send + Sync>;

/// A bound operations listener.
pub struct Ops {
    listener: TcpListener,
    metrics: Arc<Metrics>,
    readiness: Readiness,
}

impl std::fmt::Debug for Ops {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ops").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Ops {
    /// Binds the address; port 0 takes a free one.
    pub async fn bind(address: SocketAddr, metrics: Arc<Metrics>, readiness: Readiness) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, metrics, readiness })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until dropped, at most 64 connections at once.
    pub async fn run(self) {
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (metrics, readiness) = (Arc::clone(&self.metrics), Arc::clone(&self.readiness));
            connections.spawn(async move {
                // Too slow is the client's loss, and nothing to be told.
                drop(tokio::time::timeout(LONGEST_CONNECTION, serve(stream, &metrics, &readiness)).await);
                drop(place);
            });
        }
    }
}

async fn serve(stream: TcpStream, metrics: &Metrics, readiness: &Readiness) {
    let service = service_fn(|request: Request<Incoming>| async move {
        Ok::<_, std::convert::Infallible>(answer(request.method(), request.uri().path(), (metrics, readiness)))
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "operations connection ended early");
    }
}

fn answer(method: &Method, path: &str, state: (&Metrics, &Readiness)) -> Response<Full<Bytes>> {
    let (metrics, readiness) = state;
    if method != Method::GET && method != Method::HEAD {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/livez" => text(StatusCode::OK, "ok\n"),
        "/readyz" => match readiness() {
            Ok(()) => text(StatusCode::OK, "ok\n"),
            Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, reason),
        },
        "/metrics" => match metrics.render() {
            Ok(exposition) => reply(StatusCode::OK, EXPOSITION, exposition),
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "metrics could not be gathered\n"),
        },
        _ => text(StatusCode::NOT_FOUND, "served here: /livez, /readyz, /metrics\n"),
    }
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    reply(status, TEXT, body)
}

fn reply(status: StatusCode, kind: HeaderValue, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Method;

    use super::{Readiness, answer};
    use crate::metrics::Metrics;

    #[test]
    fn readiness_tells_the_truth_and_liveness_depends_on_nothing() {
        let metrics = Metrics::new().unwrap();
        let full: Readiness = Arc::new(|| Err("the spool is full\n"));
        assert_eq!(answer(&Method::GET, "/readyz", (&metrics, &full)).status(), 503);
        assert_eq!(answer(&Method::GET, "/livez", (&metrics, &full)).status(), 200);
        let ready: Readiness = Arc::new(|| Ok(()));
        assert_eq!(answer(&Method::GET, "/readyz", (&metrics, &ready)).status(), 200);
        assert_eq!(answer(&Method::POST, "/metrics", (&metrics, &ready)).status(), 405);
        assert_eq!(answer(&Method::GET, "/", (&metrics, &ready)).status(), 404);
    }
}
