//! The composition root: from a checked configuration to a running process, and back down in order.
//!
//! The only module that knows every other. Going up, what records comes before what admits; going down, the listener
//! closes first, streams finish within their time, then the meter, the sinks and last the spool, so that every request
//! that was admitted is recorded.

mod answer;
#[cfg_attr(not(feature = "control"), path = "app/no_authority.rs")]
mod authority;
mod front;
#[cfg(feature = "control")]
mod ledger;
mod observe;
mod reload;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinHandle;

use crate::config::{Config, Loaded, Sources, Watcher};
use crate::guard::{Guard, Kept};
use crate::listener::{Listener, Peer};
use crate::meter::Meter;
use crate::metrics::Metrics;
use crate::ops::{Ops, Readiness};
use crate::proxy::Proxy;
use crate::shutdown::{Shutdown, Trigger};
use crate::sink::{self, Sinks};
use crate::spool::Spool;
use crate::upstream::Upstreams;
use authority::Authority;
use front::Front;

/// How long the sinks may go on delivering after the last request; what is left waits in the spool.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(5);
/// How long streams may take to tell their clients that they are cut.
const ANNOUNCING: Duration = Duration::from_millis(250);
/// How long exchanges may take to seal once their connections are gone.
const SEALING_PATIENCE: Duration = Duration::from_secs(5);

/// Which parts of a process run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The proxy, and the control plane where one is configured.
    Serve,
    /// The proxy only.
    Proxy,
    /// The control plane only.
    Control,
}

/// A running process.
#[derive(Debug)]
pub struct App {
    address: SocketAddr,
    ops_address: SocketAddr,
    trigger: Trigger,
    serving: JoinHandle<()>,
    background: Vec<JoinHandle<()>>,
    meter: Arc<Meter>,
    metrics: Arc<Metrics>,
    sinks: Sinks,
    spool: Spool,
    authority: Option<Authority>,
    budgets: (Arc<Guard>, Arc<Kept>),
    drain_timeout: Duration,
}

impl App {
    /// Starts everything. When this returns, requests are served.
    pub async fn start(loaded: Loaded, sources: Sources) -> Result<Self> {
        Self::start_as(Role::Serve, loaded, sources).await
    }

    /// Starts the parts that this role has.
    pub async fn start_as(role: Role, loaded: Loaded, sources: Sources) -> Result<Self> {
        let Loaded { config, watched, .. } = loaded;
        // Before anything else: a change from now on is noticed, however long the start takes.
        let watcher = Watcher::new(&watched);
        let metrics = Metrics::new().context("metrics could not be set up")?;
        let (trigger, shutdown) = Shutdown::new();
        let spool = Spool::open(&config.events.spool)?;
        let meter =
            Meter::new(&config, spool.clone(), Arc::clone(&metrics)).context("counting threads did not start")?;
        let authority = authority(role, &config, (&meter, &shutdown)).await?;
        let sinks = sinks(&config, &spool, authority.as_ref().and_then(Authority::plan))?;
        let life = format!("{}-{}", spool.id(), spool.epoch());
        let source = authority.as_ref().map(|authority| authority.source(&life));
        let guard = Guard::beside((source, &life), &config.guard, &config.limits);
        let guard = Arc::new(guard.sharing(config.shared_limits.as_ref()));
        guard.price(&config.prices);
        let kept = Arc::new(guard.recall(&config.events.spool.dir)?);
        let proxy = Arc::new(Proxy {
            guard: Arc::clone(&guard),
            upstreams: Arc::new(Upstreams::new(&config.upstreams)?),
            meter: Arc::clone(&meter),
            max_request_bytes: config.proxy.max_request_bytes,
        });
        let listener = Listener::bind(&config.proxy).await?;
        let address = listener.local_addr();
        observe::all(&metrics, (&proxy, &spool, &sinks), &listener)?;
        authority.as_ref().map_or(Ok(()), |authority| authority.observe(&metrics, &spool))?;
        let readiness = readiness((&spool, &guard), &shutdown, authority.clone());
        let ops = Ops::bind(config.ops.address, Arc::clone(&metrics), readiness)
            .await
            .with_context(|| format!("cannot listen on {}: choose another with --ops-listen", config.ops.address))?;
        let ops_address = ops.local_addr()?;
        let (tls, front) = (listener.tls(), Front { proxy, authority: authority.clone(), role });
        let reload = reload::Reload { sources, front: front.clone(), tls, metrics: Arc::clone(&metrics) };
        let mut background = vec![tokio::spawn(ops.run()), tokio::spawn(reload.run(watcher))];
        let follower = authority.clone().map(|authority| authority.follow(Arc::clone(&front.proxy.guard)));
        background.extend(follower.map(tokio::spawn));
        background.push(tokio::spawn(Arc::clone(&guard).keep_up(Arc::clone(&kept))));
        let (following, sharing) = (Arc::clone(&guard), Arc::clone(&guard));
        background.push(tokio::spawn(async move { following.follow().await }));
        background.push(tokio::spawn(async move { sharing.share_limits().await }));
        guard.joined().await;
        let answer = move |request, peer: Peer| front.clone().answer(request, peer.address.ip());
        let serving = tokio::spawn(listener.run(answer, shutdown));
        let drain_timeout = config.proxy.drain_timeout;
        Ok(Self {
            address,
            ops_address,
            trigger,
            serving,
            background,
            meter,
            metrics,
            sinks,
            spool,
            authority,
            budgets: (guard, kept),
            drain_timeout,
        })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where `/metrics` is.
    pub fn ops_address(&self) -> SocketAddr {
        self.ops_address
    }

    /// The process's metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Ends in order: no new connections, streams to their end or the deadline, then everything recorded is delivered
    /// as far as its sinks take it, and the spool is closed.
    pub async fn stop(self) -> Result<()> {
        self.stop_unless(std::future::pending()).await
    }

    /// As [`App::stop`], but streams that still run are cut as soon as `hurry` resolves.
    pub async fn stop_unless(self, hurry: impl Future<Output = ()>) -> Result<()> {
        let Self {
            trigger, serving, background, meter, metrics, sinks, spool, authority, budgets, drain_timeout, ..
        } = self;
        trigger.drain();
        let cut = tokio::select! {
            cut = trigger.gone(drain_timeout) => cut,
            () = hurry => trigger.held(),
        };
        if cut > 0 {
            meter.interrupt();
            tracing::warn!(cut, "connections are cut at the end of the drain time");
            trigger.gone(ANNOUNCING).await;
        }
        trigger.end();
        serving.await.context("the listener had panicked")?;
        for task in background {
            task.abort();
            // Aborted, not failed; what it held of the spool is let go when it is gone.
            drop(task.await);
        }
        if !sealed(&metrics, SEALING_PATIENCE).await {
            meter.end_drains();
            sealed(&metrics, SEALING_PATIENCE).await;
        }
        // Only now is it known what was spent.
        let (guard, kept) = budgets;
        guard.give_back().await;
        if let Some(authority) = authority {
            authority.close().await;
        }
        tokio::task::spawn_blocking(move || {
            if let Err(error) = guard.keep(&kept) {
                tracing::error!(%error, "a restart forgets what keys have spent");
            }
            meter.stop();
            for (sink, ending) in sinks.stop(DELIVERY_PATIENCE) {
                tracing::info!(%sink, ?ending, "sink stopped");
            }
            spool.close();
        })
        .await
        .context("the spool could not be closed")
    }
}

/// What delivers: the sinks that read from the spool, the ledger's among them.
fn sinks(config: &Config, spool: &Spool, ledger: Option<sink::Plan>) -> Result<Sinks> {
    let plans: Vec<_> = sink::Plan::all(&config.events)?.into_iter().chain(ledger).collect();
    let names: Vec<_> = plans.iter().map(sink::Plan::name).collect();
    let readers = spool.readers(names.iter().map(AsRef::as_ref));
    Ok(Sinks::start(plans.into_iter().zip(readers).collect(), &config.events.spool)?)
}

/// The control plane, where this role has one.
async fn authority(
    role: Role,
    config: &Config,
    (meter, shutdown): (&Arc<Meter>, &Shutdown),
) -> Result<Option<Authority>> {
    match role {
        Role::Proxy => Ok(None),
        Role::Serve => Authority::open(config, meter, shutdown).await,
        Role::Control => {
            let opened = Authority::open(config, meter, shutdown).await?;
            let fix = "no control plane is configured: add 'control: {}', or set GUARD_SECRET_KEY";
            opened.context(fix).map(Some)
        }
    }
}

fn readiness(parts: (&Spool, &Arc<Guard>), shutdown: &Shutdown, authority: Option<Authority>) -> Readiness {
    let (spool, guard, shutdown) = (parts.0.clone(), Arc::clone(parts.1), shutdown.clone());
    Arc::new(move || {
        if shutdown.is_draining() {
            return Err("shutting down\n");
        }
        if authority.as_ref().is_some_and(|authority| !authority.is_ready()) {
            return Err("the control plane's database does not answer\n");
        }
        if !guard.can_limit() {
            return Err("the store of limits does not answer\n");
        }
        if spool.has_room() { Ok(()) } else { Err("the spool is full: usage cannot be recorded\n") }
    })
}

/// Waits until every exchange has sealed itself: answers that are read on after their client left, for the most part.
/// Whether they all have.
async fn sealed(metrics: &Metrics, patience: Duration) -> bool {
    let deadline = tokio::time::Instant::now() + patience;
    while metrics.in_flight.get() > 0 && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    metrics.in_flight.get() == 0
}
