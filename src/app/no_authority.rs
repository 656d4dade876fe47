//! In a build without the feature `control`: there is no control plane, and a configuration that wants one is refused.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Result, bail};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::config::Config;
use crate::guard::{Guard, KeySource};
use crate::meter::Meter;
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::sink::Plan;
use crate::spool::Spool;

/// What the control plane would answer with.
pub(super) type Answer = Full<Bytes>;

/// No one has one.
#[derive(Clone, Debug)]
pub(super) struct Authority(Infallible);

impl Authority {
    #[expect(clippy::unused_async, reason = "as with the feature")]
    pub(super) async fn open(config: &Config, _meter: &Arc<Meter>, _shutdown: &Shutdown) -> Result<Option<Self>> {
        if config.control.is_some() {
            bail!("'control' is configured, but this build has no control plane: build it with the feature `control`");
        }
        Ok(None)
    }

    pub(super) fn source(&self, _life: &str) -> Arc<dyn KeySource> {
        match self.0 {}
    }

    pub(super) fn plan(&self) -> Option<Plan> {
        match self.0 {}
    }

    pub(super) fn serves(_path: &str) -> bool {
        false
    }

    #[expect(clippy::unused_async, reason = "as with the feature")]
    pub(super) async fn answer(&self, _request: Request<Incoming>, _from: IpAddr) -> Response<Answer> {
        match self.0 {}
    }

    pub(super) fn is_ready(&self) -> bool {
        match self.0 {}
    }

    pub(super) fn observe(&self, _metrics: &Metrics, _spool: &Spool) -> Result<()> {
        match self.0 {}
    }

    pub(super) fn reload(&self, _config: &Config) {
        match self.0 {}
    }

    #[expect(clippy::unused_async, reason = "as with the feature")]
    pub(super) async fn follow(self, _guard: Arc<Guard>) {
        match self.0 {}
    }

    #[expect(clippy::unused_async, reason = "as with the feature")]
    pub(super) async fn close(&self) {
        match self.0 {}
    }
}
