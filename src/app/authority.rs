//! The control plane's place in the process: what it is lent, what it lends, and where its requests come in.
//!
//! The store's keys are the guard's too, without HTTP in between; what any process revokes on the same database, the
//! guard's cache lets go of.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use http::{Request, Response};
use hyper::body::Incoming;

use super::ledger::Ledger;
use crate::config::{Config, GuardMode};
use crate::control::store::{Loan, Store, StoreError};
use crate::control::{Body, Control, Links, NotRecorded, Report, Revoked};
use crate::guard::{Before, FetchError, Fetching, Granted, Guard, KeySource, Question, Returning, Verdict};
use crate::meter::Meter;
use crate::metrics::Metrics;
use crate::metrics::observed::{Family, Kind, Observed, Sample};
use crate::shutdown::Shutdown;
use crate::sink::Plan;
use crate::spool::Spool;
use crate::types::{Digest, KeyRecord, Limits, Returned, Timestamp, Used};

/// What the control plane answers with.
pub(super) type Answer = Body;

/// The control plane of this process.
#[derive(Clone, Debug)]
pub(super) struct Authority(Arc<Control>, Arc<Ledger>);

impl Authority {
    /// Opens the configured control plane, if there is one.
    pub(super) async fn open(config: &Config, meter: &Arc<Meter>, shutdown: &Shutdown) -> Result<Option<Self>> {
        let Some(control) = &config.control else { return Ok(None) };
        let links = Links {
            report: report_to(meter),
            organization_headers: config.guard.organization_headers.clone(),
            limits: config.limits,
            max_request_bytes: config.proxy.max_request_bytes,
            shutdown: shutdown.clone(),
        };
        let opened = Control::open(control, records(config), links).await;
        let control = opened.context("the control plane's database cannot be used")?;
        tracing::info!(database = control.store().name(), "control plane open");
        if control_is_mute(config) {
            tracing::warn!("no guard_secret is set: only deployments listed in the store may ask the guard API");
        }
        let ledger = Ledger::of(config).context("the ledger's thread cannot be started")?;
        Ok(Some(Self(control, Arc::new(ledger))))
    }

    /// The ledger's sink, where it reads the spool.
    pub(super) fn plan(&self) -> Option<Plan> {
        self.1.plan()
    }

    /// Its keys, for the guard of this life of the process.
    pub(super) fn source(&self, life: &str) -> Arc<dyn KeySource> {
        Arc::new(StoreKeys { store: self.0.store().clone(), holder: life.to_owned() })
    }

    /// Whether a request for this path is its to answer.
    pub(super) fn serves(path: &str) -> bool {
        Control::serves(path)
    }

    /// Answers a request.
    pub(super) async fn answer(&self, request: Request<Incoming>, from: IpAddr) -> Response<Answer> {
        self.0.answer(request, from).await
    }

    /// Whether its database answers.
    pub(super) fn is_ready(&self) -> bool {
        self.0.is_ready()
    }

    /// Takes the keys file's new records.
    pub(super) fn reload(&self, config: &Config) {
        self.0.reload(records(config));
    }

    /// Lets the guard know what is revoked. Runs until aborted.
    pub(super) async fn follow(self, guard: Arc<Guard>) {
        let tell = |revoked: &Revoked| match revoked {
            Revoked::All => guard.forget(|_| true),
            Revoked::Keys(keys) if keys.is_empty() => {}
            Revoked::Keys(keys) => {
                let keys: HashSet<_> = keys.iter().copied().collect();
                guard.forget(|record| keys.contains(&record.key));
            }
        };
        self.0.follow(tell).await;
    }

    /// Brings its counts to `/metrics`.
    pub(super) fn observe(&self, metrics: &Metrics, spool: &Spool) -> Result<()> {
        const ANSWERS: Family = ("tollgate_guard_api_answers_total", "Answers of the guard API.", Kind::Counter);
        const REPORTED: Family =
            ("tollgate_guard_api_reported_total", "Usage events that callers reported.", Kind::Counter);
        const STREAMS: Family = ("tollgate_guard_api_revocation_streams", "Open streams of revocations.", Kind::Gauge);
        self.1.observe(metrics, spool)?;
        let control = Arc::downgrade(&self.0);
        let observed = Observed::new(&[(ANSWERS, Some("result")), (REPORTED, None), (STREAMS, None)], move || {
            let Some(control) = control.upgrade() else { return Vec::new() };
            let stats = control.stats();
            let refused = stats.refused.saturating_sub(stats.wrong_secrets + stats.throttled + stats.failures);
            let answers = [
                ("allowed", stats.allowed),
                ("refused", refused),
                ("wrong_secret", stats.wrong_secrets),
                ("throttled", stats.throttled),
                ("failed", stats.failures),
            ];
            let answers = answers.into_iter().map(|(result, count)| Sample {
                family: 0,
                label: Some(("result", result.to_owned())),
                value: count as f64,
            });
            let plain = [(1, stats.reported), (2, stats.streams)];
            let plain = plain.map(|(family, count)| Sample { family, label: None, value: count as f64 });
            answers.chain(plain).collect()
        })?;
        Ok(metrics.observe(observed)?)
    }

    /// Stops the ledger's reader and closes the database's connections.
    pub(super) async fn close(&self) {
        let ledger = Arc::clone(&self.1);
        drop(tokio::task::spawn_blocking(move || ledger.stop()).await);
        self.0.store().close().await;
    }
}

/// The records of the keys file.
fn records(config: &Config) -> &[KeyRecord] {
    match &config.guard.mode {
        GuardMode::Keys { records, .. } => records,
        GuardMode::Open | GuardMode::Remote(_) => &[],
    }
}

fn control_is_mute(config: &Config) -> bool {
    config.control.as_ref().is_some_and(|control| control.guard_secret.is_none())
}

/// Reported usage goes where all usage goes.
fn report_to(meter: &Arc<Meter>) -> Report {
    let meter = Arc::clone(meter);
    Arc::new(move |data, time| {
        let recorded = meter.report(data, time);
        Box::pin(async move {
            recorded.map_err(|_| NotRecorded)?.await;
            Ok(())
        })
    })
}

/// The store as a source of keys.
#[derive(Debug)]
struct StoreKeys {
    store: Store,
    /// This process, to which slices of budgets are lent as to any other.
    holder: String,
}

impl StoreKeys {
    /// How long a slice is lent. The record itself is let go of when it changes.
    const LENT_FOR_MS: u64 = 60_000;

    async fn find(&self, key: &Digest, used: Option<Used>) -> Result<Verdict, StoreError> {
        let Some(found) = self.store.find(key).await? else { return Ok(Verdict::unknown()) };
        let Some(budget) = found.record.budget else { return Ok(Verdict::record(found.record)) };
        let now = Timestamp::now();
        let until = Timestamp::from_millis(now.as_millis() + Self::LENT_FOR_MS);
        let loan = Loan { key: &found.record.id, holder: &self.holder, used, now, until };
        let slice = Some(self.store.lend(&loan, &budget).await?);
        let (organization_limits, ttl, by_model) = (Limits::default(), None, false);
        let record = found.record;
        Ok(Verdict::Granted(Arc::new(Granted { record, organization_limits, slice, ttl, by_model })))
    }
}

impl KeySource for StoreKeys {
    fn fetch<'a>(&'a self, asked: &'a Question<'_>, before: Before) -> Fetching<'a> {
        Box::pin(async move {
            let found = self.find(&asked.credential().digest(), before.used).await;
            found.map_err(|error| FetchError::Unreachable(Arc::new(error)))
        })
    }

    fn give_back(&self, returned: Vec<Returned>) -> Returning<'_> {
        Box::pin(async move {
            for one in returned {
                if let Err(error) = self.store.give_back(&one.key_id, (&self.holder, one.used)).await {
                    tracing::warn!(%error, "a slice of a budget could not be given back: it ends by time");
                }
            }
        })
    }
}
