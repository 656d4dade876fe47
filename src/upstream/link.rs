//! The connections to one upstream, and how many calls are on them.
//!
//! Over HTTP/2 the client puts all calls of one pool onto one connection, and servers commonly allow 100 streams on it:
//! the next call would wait unseen until another ends. So an upstream that may speak HTTP/2 has several pools
//! ("lanes"), and the next one is used only when those before it are full.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{Request, Response, StatusCode, Uri, Version};
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioTimer;
use tower_service::Service;

use super::body::Received;
use super::connect::{Connector, Speaks};
use super::error::{ConnectError, UpstreamsError};
use super::habit::Habit;
use super::loan::Homes;
use super::stats::Counters;
use super::tie::Tie;
use super::tls::{Offer, Roots};
use super::upload::Upload;
use crate::config;

pub(super) type HttpClient = Client<Connector, Upload>;

const LANES: usize = 16;
const CALLS_PER_LANE: usize = 64;
/// Shorter than what load balancers commonly allow, so that we close first and no call runs into their closing.
const POOL_IDLE: Duration = Duration::from_secs(30);
const POOL_MAX_IDLE: usize = 1024;
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// What connections depend on: when it is unchanged, a reload keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    http2: bool,
    connect: Duration,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) address: Address,
    pub(super) counters: Arc<Counters>,
    lanes: Vec<Arc<Lane>>,
    connector: Connector,
    habit: Arc<Habit>,
}

#[derive(Debug)]
struct Lane {
    client: HttpClient,
    /// Opens a connection for each call.
    unpooled: HttpClient,
    /// The same, in HTTP/1.1 always: only its connections can be taken over.
    upgrading: HttpClient,
    capacity: usize,
    calls: AtomicUsize,
}

/// One call under way; it is counted until dropped.
#[derive(Debug)]
pub(super) struct Flight {
    lane: Arc<Lane>,
    pub(super) counters: Arc<Counters>,
}

impl Address {
    pub(super) fn of(config: &config::Upstream) -> Result<Self, UpstreamsError> {
        let url: &Uri = &config.url;
        let (Some(scheme), Some(authority)) = (url.scheme(), url.authority()) else {
            return Err(UpstreamsError::Url(config.name.to_string()));
        };
        if (*scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) || authority.host().is_empty() {
            return Err(UpstreamsError::Url(config.name.to_string()));
        }
        if authority.as_str().contains('@') {
            return Err(UpstreamsError::UserInfo(config.name.to_string()));
        }
        let (http2, connect) = (config.http2, config.timeouts.connect);
        Ok(Self { scheme: scheme.clone(), authority: authority.clone(), http2, connect })
    }

    fn is_tls(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }
}

impl Link {
    pub(super) fn new(address: Address, counters: Arc<Counters>, roots: &Roots) -> Result<Self, UpstreamsError> {
        let offer = if address.http2 { Offer::Http2 } else { Offer::Both };
        let habit = Arc::<Habit>::default();
        let speaks = match (address.is_tls(), address.http2) {
            (true, _) => Speaks::Tls(roots.client_config(offer)?),
            (false, true) => Speaks::Http2,
            (false, false) => Speaks::Http1(Arc::clone(&habit)),
        };
        let alone = if address.is_tls() { Speaks::Tls(roots.client_config(Offer::Http1)?) } else { Speaks::Http1Once };
        let upgrading = Connector::new(alone, address.connect, Arc::clone(&counters));
        let upgrading = self::client(upgrading, false, 0);
        let connector = Connector::new(speaks, address.connect, Arc::clone(&counters));
        let (lanes, capacity) =
            if address.is_tls() || address.http2 { (LANES, CALLS_PER_LANE) } else { (1, usize::MAX) };
        let client = |idle| client(connector.clone(), address.http2, idle);
        let lane = || Lane {
            client: client(POOL_MAX_IDLE),
            unpooled: client(0),
            upgrading: upgrading.clone(),
            capacity,
            calls: AtomicUsize::new(0),
        };
        let lanes = std::iter::repeat_with(|| Arc::new(lane())).take(lanes).collect();
        Ok(Self { address, counters, lanes, connector, habit })
    }

    /// Opens a connection outside the pools, and closes it again.
    pub(super) async fn connect(&self) -> Result<(), ConnectError> {
        let Address { scheme, authority, .. } = &self.address;
        let to = Uri::builder().scheme(scheme.clone()).authority(authority.clone()).path_and_query("/").build();
        let to = to.map_err(|error| ConnectError::Unreachable(error.into()))?;
        self.connector.clone().call(to).await.map(drop)
    }

    /// Sends a request over a connection of the pool. One whose upstream is suspected to close after streams is given the
    /// means to leave the pool then. With the answer comes its connection, where that can be lent.
    pub(super) async fn request(
        &self,
        client: &HttpClient,
        mut request: Request<Upload>,
    ) -> Result<Response<Received>, legacy::Error> {
        let is_watched = !self.address.is_tls() && !self.address.http2;
        let suspected = (is_watched && self.habit.is_suspect()).then(|| capture_connection(&mut request));
        let mut response = client.request(request).await?;
        let tie = response.extensions_mut().remove::<Tie>();
        if let (Some(connection), Some(tie)) = (suspected, &tie) {
            tie.is_of(connection);
        }
        // Over HTTP/2 it is shared, and over one that is taken over no frames come.
        let alone = response.version() < Version::HTTP_2 && response.status() != StatusCode::SWITCHING_PROTOCOLS;
        let loan = tie.filter(|_| alone).and_then(|tie| tie.borrow());
        Ok(response.map(|frames| (frames, loan)))
    }

    /// Begins a call on the first lane with room, or on the emptiest when all are full.
    pub(super) fn take_off(&self) -> Option<Flight> {
        let free = self.lanes.iter().find(|lane| lane.enter());
        let lane = free.or_else(|| {
            let emptiest = self.lanes.iter().min_by_key(|lane| lane.calls.load(Ordering::Relaxed));
            emptiest.inspect(|lane| {
                lane.calls.fetch_add(1, Ordering::Relaxed);
            })
        })?;
        Counters::add_one(&self.counters.requests);
        Counters::add_one(&self.counters.in_flight);
        Some(Flight { lane: Arc::clone(lane), counters: Arc::clone(&self.counters) })
    }
}

impl Lane {
    fn enter(&self) -> bool {
        let entered = self.calls.fetch_add(1, Ordering::Relaxed) < self.capacity;
        if !entered {
            self.calls.fetch_sub(1, Ordering::Relaxed);
        }
        entered
    }
}

impl Flight {
    pub(super) fn client(&self) -> &HttpClient {
        &self.lane.client
    }

    /// A client whose connections can be taken over.
    pub(super) fn upgrading(&self) -> &HttpClient {
        &self.lane.upgrading
    }

    /// A client whose calls never meet a connection that was used before.
    pub(super) fn unpooled(&self) -> &HttpClient {
        &self.lane.unpooled
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.lane.calls.fetch_sub(1, Ordering::Relaxed);
        let in_flight: &AtomicU64 = &self.counters.in_flight;
        in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn client(connector: Connector, http2_only: bool, most_idle: usize) -> HttpClient {
    Client::builder(Homes)
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(most_idle)
        .http2_only(http2_only)
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        // Only requests of which no byte was written are given back by the connection and tried again on another.
        .retry_canceled_requests(true)
        .build(connector)
}
