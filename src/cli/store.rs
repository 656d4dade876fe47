//! The control plane's store, as the commands that read and change it find it.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::End;
use super::table::Column;
use crate::config::{self, Database, Sources};
use crate::control::store::{By, Listed, Page, Payer, Store, StoreError};
use crate::types::{Limits, NanoUsd};

/// Which store.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The configuration file, whose control.database is meant [default: tollgate.yaml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The database itself: sqlite://PATH or postgres://…
    #[arg(long, global = true, value_name = "URL", conflicts_with = "config")]
    database: Option<String>,
}

/// Limits; those that are not given are lifted.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct LimitOptions {
    /// Requests in a minute
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<u32>,
    /// Tokens in a minute, input and output
    #[arg(long, value_name = "N")]
    tokens_per_minute: Option<u64>,
    /// Requests in flight
    #[arg(long, value_name = "N")]
    concurrent_requests: Option<u32>,
}

/// What is paid.
#[derive(Debug, Args)]
pub(super) struct Payment {
    /// Dollars, such as 12.50
    usd: f64,
    /// What for
    #[arg(long, default_value = "")]
    note: String,
}

impl LimitOptions {
    /// The limits that are named.
    pub(super) fn limits(self) -> Limits {
        let Self { requests_per_minute, tokens_per_minute, concurrent_requests } = self;
        Limits { requests_per_minute, tokens_per_minute, concurrent_requests }
    }
}

/// Limits as columns of a table.
pub(super) const LIMIT_COLUMNS: [Column; 3] =
    [Column::Number("requests_per_minute"), Column::Number("tokens_per_minute"), Column::Number("concurrent_requests")];

/// A row's cells under [`LIMIT_COLUMNS`], empty where there is no limit.
pub(super) fn limit_cells(limits: &Limits) -> [String; 3] {
    let Limits { requests_per_minute, tokens_per_minute, concurrent_requests } = *limits;
    [requests_per_minute.map(u64::from), tokens_per_minute, concurrent_requests.map(u64::from)]
        .map(|limit| limit.map_or_else(String::new, |limit| limit.to_string()))
}

/// The store that is meant, and who makes changes; `None` when no control plane is configured.
pub(super) fn meant(place: &Place) -> Result<Option<(Database, By)>> {
    let process = Sources::from_process(place.config.clone(), Vec::new());
    let user = process.environment.iter().find(|(name, _)| name == "USER").map_or("unknown", |(_, user)| user);
    let by = By::new(&format!("cli:{user}"));
    if let Some(url) = &place.database {
        let database = config::check_database(url).map_err(|problems| anyhow::anyhow!("{problems}"))?;
        return Ok(Some((database, by)));
    }
    match config::load(&process) {
        Ok(loaded) => Ok(loaded.config.control.map(|control| (control.database, by))),
        Err(problems) if place.config.is_some() => anyhow::bail!("{problems}"),
        Err(_) => Ok(None),
    }
}

/// Acts on the store that is meant, or says how to name one.
pub(super) fn on(place: &Place, act: impl AsyncFnOnce(Store, By) -> Result<End>) -> Result<End> {
    let Some((database, by)) = meant(place)? else {
        eprintln!(
            "tollgate: no control plane is configured here. Name its database: --database sqlite://data/tollgate.db"
        );
        return Ok(End::Wrong);
    };
    with(&database, async |store| act(store, by).await)
}

/// Acts on this store.
pub(super) fn with(database: &Database, act: impl AsyncFnOnce(Store) -> Result<End>) -> Result<End> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let store = Store::open(database).await?;
        let end = act(store.clone()).await;
        store.close().await;
        end
    })
}

/// The whole of a list that comes in pages.
pub(super) async fn whole<T>(mut ask: impl AsyncFnMut(Page) -> Result<Listed<T>, StoreError>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    loop {
        let listed = ask(Page { limit: 1000, offset: all.len() as u64 }).await?;
        let is_last = listed.items.is_empty();
        all.extend(listed.items);
        if is_last || all.len() as u64 >= listed.total {
            return Ok(all);
        }
    }
}

/// Pays into a balance, and prints what it is then.
pub(super) async fn pay(store: &Store, by: &By, (payer, payment): (&Payer, &Payment)) -> Result<End> {
    let Some(amount) = NanoUsd::from_usd(payment.usd).filter(|amount| amount.0 > 0) else {
        eprintln!("tollgate: {} is not an amount of dollars above 0", payment.usd);
        return Ok(End::Wrong);
    };
    match store.pay(by, payer, (amount, &payment.note)).await {
        Ok(balance) => {
            println!("{}", balance.dollars());
            Ok(End::Done)
        }
        Err(error) => refused(error),
    }
}

/// What the caller can mend is a wrong use; the rest is a failure.
pub(super) fn refused(error: StoreError) -> Result<End> {
    match error {
        StoreError::NotFound(_) | StoreError::Exists(_) | StoreError::Invalid(_) => {
            eprintln!("tollgate: {error}");
            Ok(End::Wrong)
        }
        other => Err(other.into()),
    }
}
