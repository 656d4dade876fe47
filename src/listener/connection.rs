//! One connection from accept to close: TLS if set, then HTTP until the client leaves, a clock runs out or the process
//! drains.
//!
//! Draining is graceful: an HTTP/1.1 connection closes after the answer under way, HTTP/2 says GOAWAY and finishes its
//! streams. Cutting is not: the connection is dropped where it stands.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::UPGRADE;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::activity::{Activity, Cause, Patience, Verdict};
use super::alarm::{Alarm, Call};
use super::body::Outgoing;
use super::limit::Seat;
use super::settings;
use super::socket::Socket;
use super::stats::Counts;
use super::streams::Streams;
use super::takeover::Takeover;
use super::tls::TlsReload;
use crate::boxed;
use crate::shutdown::Shutdown;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address as the socket tells it.
    pub address: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// A connection just accepted, with its place among the open ones.
pub(super) struct Arrival {
    pub(super) stream: TcpStream,
    pub(super) address: SocketAddr,
    pub(super) seat: Seat,
}

/// What every connection of a listener shares.
pub(super) struct Reception<S> {
    pub(super) service: S,
    pub(super) tls: Option<TlsReload>,
    pub(super) patience: Patience,
    pub(super) counts: Counts,
    pub(super) shutdown: Shutdown,
}

impl<S, F, B> Reception<S>
where
    S: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Serves a connection to its end.
    pub(super) async fn serve(self: Arc<Self>, arrival: Arrival) {
        let Arrival { stream, address, seat: _seat } = arrival;
        let activity = Activity::new(self.patience, self.shutdown.guard());
        let socket = Socket::new(stream, Arc::clone(&activity));
        let Some(tls) = &self.tls else {
            return self.drive(socket, Peer { address, tls: false }, &activity).await;
        };
        // Kept apart: the room that TLS takes would be that of every connection.
        boxed::pinned(|| self.secure(tls, (socket, address), activity)).await;
    }

    /// Agrees on TLS, then drives the connection.
    async fn secure(&self, tls: &TlsReload, (socket, address): (Socket, SocketAddr), activity: Arc<Activity>) {
        let handshake = TlsAcceptor::from(tls.current()).accept(socket);
        match timeout(self.patience.header, handshake).await {
            Ok(Ok(stream)) => {
                activity.secured(stream.get_ref().1.alpn_protocol());
                self.drive(stream, Peer { address, tls: true }, &activity).await;
            }
            Ok(Err(error)) => {
                self.counts.tls_failure();
                debug!(peer = %address, %error, "TLS handshake failed");
            }
            Err(_) => {
                self.counts.tls_failure();
                debug!(peer = %address, "TLS handshake took too long");
            }
        }
    }

    async fn drive<I>(&self, io: I, peer: Peer, activity: &Arc<Activity>)
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (streams, _owner) = Streams::new(self.counts.clone());
        let builder = settings::builder(streams);
        let takeover = Takeover::default();
        let service = service_fn(|mut request: Request<Incoming>| {
            if request.headers().contains_key(UPGRADE) {
                #[expect(clippy::disallowed_methods, reason = "a request is all that hyper hands to a service")]
                request.extensions_mut().insert(takeover.clone());
            }
            let flight = activity.begin(request.version());
            // Some kilobytes, which the connection would otherwise carry about as long as it lives.
            let answer = boxed::pinned(|| (self.service)(request, peer));
            async move { Ok::<_, Infallible>(answer.await.map(|body| Outgoing::new(body, flight))) }
        });
        let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(io), service));
        let mut draining = pin!(self.shutdown.draining());
        let mut look = pin!(sleep_until(Instant::now()));
        let mut alarm = Alarm::new(activity, draining.as_mut(), look.as_mut());
        let mut closing = false;
        loop {
            tokio::select! {
                biased;
                end = connection.as_mut() => {
                    self.ended(end, peer);
                    return takeover.run().await;
                }
                call = poll_fn(|cx| alarm.poll(cx)) => match (call, activity.verdict(Instant::now())) {
                    (Call::Draining, _) if closing => continue,
                    (Call::Draining, _) => {}
                    (Call::Look, Verdict::LookAt(next)) => {
                        alarm.look_at(next);
                        continue;
                    }
                    (Call::Look, Verdict::Over(Cause::Idle)) if !closing => self.counts.cut(Cause::Idle),
                    (Call::Look, Verdict::Over(cause)) => return self.cut(cause, peer),
                },
            }
            closing = true;
            activity.close();
            connection.as_mut().graceful_shutdown();
        }
    }
}

impl<S> Reception<S> {
    fn ended(&self, end: Result<(), Box<dyn Error + Send + Sync>>, peer: Peer) {
        let Err(error) = end else { return };
        if is_protocol_error(error.as_ref()) {
            self.counts.protocol_error();
        }
        debug!(peer = %peer.address, %error, "connection ended early");
    }

    fn cut(&self, cause: Cause, peer: Peer) {
        // Idleness was counted when the connection was first asked to close.
        if cause != Cause::Idle {
            self.counts.cut(cause);
        }
        debug!(peer = %peer.address, ?cause, "connection cut");
    }
}

/// Whether the client sent what HTTP does not allow, rather than left or was let down by our side.
fn is_protocol_error(error: &(dyn Error + 'static)) -> bool {
    let Some(error) = error.downcast_ref::<hyper::Error>() else { return false };
    if error.is_parse() {
        return true;
    }
    if error.is_user() {
        return false;
    }
    let mut source = error.source();
    let has_source = source.is_some();
    while let Some(cause) = source {
        if cause.is::<std::io::Error>() {
            return false;
        }
        source = cause.source();
    }
    has_source
}
