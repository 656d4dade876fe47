//! The control plane's store, as the commands that read and change it find it.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::End;
use crate::config::{self, Database, Sources};
use crate::control::store::{By, Store, StoreError};

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
