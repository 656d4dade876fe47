//! Takes a changed configuration into use while requests run: keys, limits, prices, upstreams, certificates.
//!
//! On SIGHUP, or when a file that was read has changed. The new configuration is checked whole before anything is
//! swapped: a bad one is refused, said so in the log, and the old one stays in every part. Addresses, the spool, the
//! sinks and the store through which limits are shared are not taken anew; that needs a restart.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::front::Front;
use crate::config::{self, Loaded, Sources, Watcher};
use crate::listener::{Certificates, TlsReload};
use crate::metrics::Metrics;

/// How often watched files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What a reload works on.
#[derive(Debug)]
pub(super) struct Reload {
    pub(super) sources: Sources,
    pub(super) front: Front,
    pub(super) tls: Option<TlsReload>,
    pub(super) metrics: Arc<Metrics>,
}

impl Reload {
    /// Runs until aborted.
    pub(super) async fn run(self, mut watcher: Watcher) {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else {
            tracing::error!("SIGHUP cannot be listened to; changes need a restart");
            return;
        };
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = hangup.recv() => {}
                _ = look.tick() => if !watcher.changed() { continue },
            }
            // Reading files and checking many keys takes a while: not on a thread that serves requests.
            let sources = self.sources.clone();
            let Ok(loaded) = tokio::task::spawn_blocking(move || config::load(&sources)).await else { continue };
            let taken = match loaded {
                Ok(loaded) => {
                    watcher.follow(&loaded.watched);
                    self.take(loaded)
                }
                Err(problems) => {
                    watcher.follow(problems.watched());
                    Err(anyhow::anyhow!("{problems}"))
                }
            };
            self.tell(&taken);
        }
    }

    fn tell(&self, taken: &anyhow::Result<()>) {
        match taken {
            Ok(()) => tracing::info!("configuration reloaded: keys, limits, prices, upstreams, certificates"),
            Err(why) => tracing::error!("the changed configuration is refused whole and the old one stays:\n{why:#}"),
        }
        self.metrics.reloaded(if taken.is_ok() { "applied" } else { "refused" });
    }

    /// Swaps everything that can be swapped; what can fail goes first, so that a failure changes nothing.
    fn take(&self, loaded: Loaded) -> anyhow::Result<()> {
        let Loaded { config, warnings, .. } = loaded;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        let certificates = self.tls.as_ref().zip(config.proxy.tls.as_ref());
        let certificates =
            certificates.map(|(tls, files)| anyhow::Ok((tls, Certificates::read(files)?))).transpose()?;
        let Front { proxy, authority, .. } = &self.front;
        proxy.upstreams.reload(&config.upstreams)?;
        proxy.guard.price(&config.prices);
        proxy.guard.reload(&config.guard, &config.limits);
        proxy.meter.reload(&config);
        if let Some(authority) = authority {
            authority.reload(&config);
        }
        if let Some((tls, certificates)) = certificates {
            tls.take(certificates);
        }
        Ok(())
    }
}
