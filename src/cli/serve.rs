//! `tollgate serve`, `tollgate proxy` and `tollgate control`: run until SIGTERM or SIGINT.

use anyhow::Context;

use super::{End, settings::Settings};
use crate::app::{App, Role};
use crate::{config, shutdown, telemetry};

pub(super) fn run(role: Role, settings: &Settings) -> anyhow::Result<End> {
    let sources = settings.sources();
    let loaded = match config::load(&sources) {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprintln!("{problems}");
            return Ok(End::Wrong);
        }
    };
    telemetry::init(&loaded.config.log)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let mut signals = shutdown::Signals::listen().context("signals cannot be listened to")?;
        let app = App::start_as(role, loaded, sources).await?;
        tracing::info!(proxy = %app.address(), ops = %app.ops_address(), "ready");
        signals.next().await;
        tracing::info!("shutting down: running streams may finish; a second signal cuts them");
        app.stop_unless(signals.next()).await
    })?;
    Ok(End::Done)
}
