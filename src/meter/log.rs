//! One line per request in the log.

use tracing::info;

use crate::event::UsageEvent;

/// Logs a request that ended.
pub(super) fn request(event: &UsageEvent) {
    let data = &event.data;
    if !tracing::enabled!(target: "tollgate::request", tracing::Level::INFO) {
        return;
    }
    info!(
        target: "tollgate::request",
        request_id = %data.request_id,
        key = data.key_id.as_deref().unwrap_or("-"),
        org = data.org_id.as_deref().unwrap_or("-"),
        upstream = data.upstream.as_deref().unwrap_or("-"),
        outcome = data.outcome.as_str(),
        error = data.error.as_deref().unwrap_or("-"),
        "{}",
        event.summary(),
    );
}
