//! Where clients connect: HTTP/1.1 and HTTP/2 on one port, with or without TLS, within bounds of number and time.
//!
//! It hands each request to a service and sends the service's answer, frame by frame. It refuses no request itself:
//! what a request may look like is checked by `hygiene`, which the service calls, so that every refusal is rendered in
//! one place. Nothing here reads a body.
//! One task accepts, one task runs each connection, and `run` owns them all: when it returns, none is left.

mod activity;
mod alarm;
mod bell;
mod body;
mod connection;
pub mod hygiene;
mod limit;
mod settings;
mod socket;
mod stats;
mod streams;
mod takeover;
#[cfg(test)]
mod tests;
mod tls;

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use self::activity::Patience;
use self::connection::{Arrival, Reception};
use self::limit::Seats;
use self::streams::count_panic;
use crate::config;
use crate::shutdown::Shutdown;

pub use self::connection::Peer;
pub use self::stats::{Counts, Stats};
pub use self::takeover::Takeover;
pub use self::tls::{Certificates, TlsError, TlsReload};

/// How long accepting rests when the system has no file descriptor or memory for another connection.
const REST: Duration = Duration::from_millis(500);

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address} ({source}); {}", remedy(.source))]
    Bind {
        /// The configured address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The certificate cannot be served.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A bound listener. Clients may connect from now on; they are served once it runs.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    local: SocketAddr,
    tls: Option<TlsReload>,
    seats: Seats,
    patience: Patience,
    counts: Counts,
}

impl Listener {
    /// Reads the certificate if there is one, then takes the address.
    pub async fn bind(config: &config::Proxy) -> Result<Self, ListenError> {
        let tls = config.tls.as_ref().map(TlsReload::open).transpose()?;
        let address = config.listen.address;
        let failed = |source| ListenError::Bind { address, source };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let local = socket.local_addr().map_err(failed)?;
        let counts = Counts::default();
        let seats = Seats::new(config.max_connections, counts.clone());
        let patience = Patience { header: config.header_timeout, idle: config.idle_timeout };
        Ok(Self { socket, local, tls, seats, patience, counts })
    }

    /// The address as bound: with the real port where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Swaps the certificate, also while the listener runs. `None` without TLS.
    pub fn tls(&self) -> Option<TlsReload> {
        self.tls.clone()
    }

    /// Reads the counts, also while the listener runs.
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// The counts now.
    pub fn stats(&self) -> Stats {
        self.counts.stats()
    }

    /// Serves until `shutdown` drains, then lets running answers finish, and aborts those that still run when it ends.
    /// Returns when no connection is left.
    ///
    /// A service's future is dropped when its client leaves. Its panic ends that connection (HTTP/2: that stream) only.
    pub async fn run<S, F, B>(self, service: S, shutdown: Shutdown)
    where
        S: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let counts = self.counts.clone();
        let reception = Arc::new(Reception {
            service,
            tls: self.tls.clone(),
            patience: self.patience,
            counts: counts.clone(),
            shutdown: shutdown.clone(),
        });
        let mut connections = JoinSet::new();
        let mut draining = pin!(shutdown.draining());
        loop {
            tokio::select! {
                biased;
                () = draining.as_mut() => break,
                Some(over) = connections.join_next() => count_panic(&over, &counts),
                arrival = self.arrival() => {
                    connections.spawn(Arc::clone(&reception).serve(arrival));
                }
            }
        }
        // The address is free from here on, so new connections are refused while old ones finish.
        drop(self);
        finish(connections, &shutdown, &counts).await;
    }

    /// The next connection, once there is a place for it. Can be cancelled at any point without losing one.
    async fn arrival(&self) -> Arrival {
        loop {
            let place = self.seats.free().await;
            match self.socket.accept().await {
                Ok((stream, address)) => {
                    hurry(&stream);
                    return Arrival { stream, address, seat: self.seats.seat(place) };
                }
                Err(error) if is_of_one_connection(&error) => debug!(%error, "a client left before it was accepted"),
                Err(error) => {
                    self.counts.accept_error();
                    warn!(%error, rest = ?REST, "cannot accept connections at the moment; raise the limit of open files if this goes on");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}

/// Waits for what runs, and aborts it when the time for that is over.
async fn finish(mut connections: JoinSet<()>, shutdown: &Shutdown, counts: &Counts) {
    let mut ended = pin!(shutdown.ended());
    loop {
        tokio::select! {
            over = connections.join_next() => match over {
                Some(over) => count_panic(&over, counts),
                None => return,
            },
            () = ended.as_mut() => break,
        }
    }
    while connections.try_join_next().is_some() {}
    if connections.is_empty() {
        return;
    }
    warn!(connections = connections.len(), "connections were cut: the time for draining is over");
    connections.shutdown().await;
}

/// Sends small frames at once: waiting to fill a packet costs the first token 40 ms.
fn hurry(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "TCP_NODELAY could not be set");
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "stop what listens there, or set proxy.listen to another port",
        io::ErrorKind::PermissionDenied => "set proxy.listen to a port above 1023, or grant CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrNotAvailable => "set proxy.listen to an address of this machine",
        _ => "check proxy.listen",
    }
}
