//! Brings what modules count themselves to `/metrics`.
//!
//! The proxy's parts hold the metrics, so the metrics hold the proxy weakly: a circle would keep the spool locked.

use std::sync::Arc;

use anyhow::Result;

use crate::listener::Listener;
use crate::metrics::Metrics;
use crate::metrics::observed::{Family, Kind, Observed, Sample};
use crate::proxy::Proxy;
use crate::sink::Sinks;
use crate::spool::Spool;

const COUNTER: Kind = Kind::Counter;
const GAUGE: Kind = Kind::Gauge;

/// Registers every module's counts.
pub(super) fn all(metrics: &Metrics, parts: (&Arc<Proxy>, &Spool, &Sinks), listener: &Listener) -> Result<()> {
    let (proxy, spool, sinks) = parts;
    metrics.observe(of_guard(proxy)?)?;
    metrics.observe(of_authority(proxy)?)?;
    metrics.observe(of_limit_store(proxy)?)?;
    metrics.observe(of_events(spool)?)?;
    metrics.observe(of_spool(spool)?)?;
    metrics.observe(of_sinks(sinks)?)?;
    metrics.observe(of_listener(listener)?)?;
    metrics.observe(of_meter(proxy)?)?;
    metrics.observe(of_upstreams(proxy)?)?;
    Ok(())
}

/// A value without a label.
fn plain(family: usize, value: u64) -> Sample {
    Sample { family, label: None, value: value as f64 }
}

fn labelled(family: usize, label: (&'static str, &str), value: u64) -> Sample {
    Sample { family, label: Some((label.0, label.1.to_owned())), value: value as f64 }
}

fn of_guard(proxy: &Arc<Proxy>) -> Result<Observed, prometheus::Error> {
    const LOOKUPS: Family = ("tollgate_key_cache_lookups_total", "Key lookups by how they were answered.", COUNTER);
    const FETCHES: Family = ("tollgate_key_fetches_total", "Keys asked of their source.", COUNTER);
    const FAILED: Family = ("tollgate_key_fetch_errors_total", "Fetches that the source did not answer.", COUNTER);
    const EVICTED: Family =
        ("tollgate_key_cache_evictions_total", "Entries put out of the key cache for room.", COUNTER);
    const CACHED: Family = ("tollgate_key_cache_entries", "Entries in the key cache.", GAUGE);
    const SCOPES: Family = ("tollgate_limit_scopes", "Keys and organizations whose use is being limited.", GAUGE);
    const SHARED: Family =
        ("tollgate_limit_shared_scope_total", "Requests limited together because there were too many scopes.", COUNTER);
    let families = [
        (LOOKUPS, Some("result")),
        (FETCHES, None),
        (FAILED, None),
        (EVICTED, None),
        (CACHED, Some("kind")),
        (SCOPES, None),
        (SHARED, None),
    ];
    let proxy = Arc::downgrade(proxy);
    Observed::new(&families, move || {
        let Some(proxy) = proxy.upgrade() else { return Vec::new() };
        let stats = proxy.guard.stats();
        vec![
            labelled(0, ("result", "hit"), stats.hits),
            labelled(0, ("result", "negative_hit"), stats.negative_hits),
            labelled(0, ("result", "stale"), stats.stale),
            labelled(0, ("result", "miss"), stats.misses),
            plain(1, stats.fetches),
            plain(2, stats.fetch_errors),
            plain(3, stats.evictions),
            labelled(4, ("kind", "known"), stats.cached_keys),
            labelled(4, ("kind", "unknown"), stats.cached_unknown),
            plain(5, stats.limit_scopes),
            plain(6, stats.shared_scope_uses),
        ]
    })
}

/// Nothing where limits are this process's own.
fn of_limit_store(proxy: &Arc<Proxy>) -> Result<Observed, prometheus::Error> {
    const UP: Family = ("tollgate_limit_store_up", "1 while the store through which limits are shared answers.", GAUGE);
    const TRIPS: Family = ("tollgate_limit_store_round_trips_total", "Round trips to the store of limits.", COUNTER);
    const LOSSES: Family = ("tollgate_limit_store_losses_total", "Times that the store of limits was lost.", COUNTER);
    const DECISIONS: Family = (
        "tollgate_limit_store_decisions_total",
        "Shared limits by how they were decided: by the store, by what was held ahead, or while it was away.",
        COUNTER,
    );
    let families = [(UP, None), (TRIPS, None), (LOSSES, None), (DECISIONS, Some("by"))];
    let proxy = Arc::downgrade(proxy);
    Observed::new(&families, move || {
        let Some(store) = proxy.upgrade().and_then(|proxy| proxy.guard.stats().store) else { return Vec::new() };
        vec![
            plain(0, store.up),
            plain(1, store.round_trips),
            plain(2, store.losses),
            labelled(3, ("by", "store"), store.asked),
            labelled(3, ("by", "ahead"), store.ahead),
            labelled(3, ("by", "away"), store.away),
        ]
    })
}

/// What became of the numbers given out; the README says which of these add up.
fn of_events(spool: &Spool) -> Result<Observed, prometheus::Error> {
    const EVENTS: Family = ("tollgate_events_total", "Usage events by how far they have come.", COUNTER);
    const RECOVERED: Family = (
        "tollgate_spool_recovered_total",
        "Events that an earlier process left unfinished and this one recovered.",
        COUNTER,
    );
    const LOSSES: Family = ("tollgate_spool_loss_events_total", "Events that tell of missing usage events.", COUNTER);
    const NUMBERS: Family = ("tollgate_spool_numbers_total", "Event numbers given out.", COUNTER);
    const PENDING: Family =
        ("tollgate_spool_pending_events", "Events in the spool that not every sink has delivered.", GAUGE);
    const INHERITED: Family =
        ("tollgate_spool_inherited_events", "Events that earlier processes left undelivered.", GAUGE);
    const SPOILED: Family = (
        "tollgate_spool_spoiled_events_total",
        "Events that damage to the spool took before they were delivered.",
        COUNTER,
    );
    let rest = [RECOVERED, LOSSES, NUMBERS, PENDING, INHERITED, SPOILED].map(|family| (family, None));
    let families: Vec<_> = std::iter::once((EVENTS, Some("state"))).chain(rest).collect();
    let spool = spool.clone();
    Observed::new(&families, move || {
        let stats = spool.stats();
        vec![
            labelled(0, ("state", "committed"), stats.committed),
            labelled(0, ("state", "delivered"), stats.delivered),
            labelled(0, ("state", "dropped"), stats.dropped),
            plain(1, stats.recovered),
            plain(2, stats.losses),
            plain(3, stats.given_out),
            plain(4, stats.pending),
            plain(5, stats.inherited),
            plain(6, stats.spoiled),
        ]
    })
}

/// How the remote authority and the budgets fare.
fn of_authority(proxy: &Arc<Proxy>) -> Result<Observed, prometheus::Error> {
    const STALENESS: Family = (
        "tollgate_guard_staleness_seconds",
        "How long the remote authority has given no sign; absent without one.",
        GAUGE,
    );
    const FOLLOWING: Family =
        ("tollgate_guard_revocation_stream", "1 while the remote authority's revocations are followed.", GAUGE);
    const BREAKS: Family =
        ("tollgate_guard_revocation_stream_breaks_total", "Times that the stream of revocations broke off.", COUNTER);
    const REVOKED: Family = ("tollgate_guard_revocations_total", "Keys that the remote authority revoked.", COUNTER);
    const PURSES: Family = ("tollgate_budget_keys", "Keys whose spending is held against a budget.", GAUGE);
    const UNPRICED: Family =
        ("tollgate_budget_unpriced_total", "Requests with a budget whose model has no price.", COUNTER);
    let families = [STALENESS, FOLLOWING, BREAKS, REVOKED, PURSES, UNPRICED].map(|family| (family, None));
    let proxy = Arc::downgrade(proxy);
    Observed::new(&families, move || {
        let Some(proxy) = proxy.upgrade() else { return Vec::new() };
        let stats = proxy.guard.stats();
        let silence = stats.silence_ms.map(|silence| Sample { family: 0, label: None, value: silence as f64 / 1e3 });
        let counts = [stats.following, stats.stream_breaks, stats.revoked, stats.purses, stats.unpriced];
        let counts = counts.into_iter().enumerate().map(|(at, count)| plain(at + 1, count));
        silence.into_iter().chain(counts).collect()
    })
}

/// How the log itself fares.
fn of_spool(spool: &Spool) -> Result<Observed, prometheus::Error> {
    const BYTES: Family = ("tollgate_spool_bytes", "Bytes that the spool takes on disk.", GAUGE);
    const OLDEST: Family = (
        "tollgate_spool_oldest_event_timestamp_seconds",
        "When the oldest event was made that is not delivered; 0 when there is none.",
        GAUGE,
    );
    const OPEN: Family = ("tollgate_spool_open_tickets", "Requests whose event is begun and not finished.", GAUGE);
    const DAMAGED: Family = ("tollgate_spool_damaged_total", "Damaged places found in the spool.", COUNTER);
    const SYNC: Family =
        ("tollgate_spool_sync_failures_total", "Groups of records that could not be made durable.", COUNTER);
    const POISONED: Family =
        ("tollgate_spool_poisoned_segments_total", "Segments that could not be synced and were written anew.", COUNTER);
    const SKIPPED: Family =
        ("tollgate_spool_progress_skipped_total", "Snapshots of running answers left out for want of room.", COUNTER);
    let families = [BYTES, OLDEST, OPEN, DAMAGED, SYNC, POISONED, SKIPPED].map(|family| (family, None));
    let spool = spool.clone();
    Observed::new(&families, move || {
        let stats = spool.stats();
        let oldest = stats.oldest_undelivered.map_or(0.0, |oldest| oldest.as_millis() as f64 / 1e3);
        vec![
            plain(0, stats.bytes),
            Sample { family: 1, label: None, value: oldest },
            plain(2, stats.open),
            plain(3, stats.damaged),
            plain(4, stats.sync_failures),
            plain(5, stats.poisoned),
            plain(6, stats.progress_skipped),
        ]
    })
}

fn of_sinks(sinks: &Sinks) -> Result<Observed, prometheus::Error> {
    const DELIVERED: Family = ("tollgate_sink_delivered_total", "Events that a sink has delivered.", COUNTER);
    const REJECTED: Family = (
        "tollgate_sink_dead_letters_total",
        "Events that a sink's destination will never take, kept in the dead-letter file.",
        COUNTER,
    );
    const RETRIES: Family =
        ("tollgate_sink_retries_total", "Times that an event was offered to a destination again.", COUNTER);
    const RESTARTS: Family = ("tollgate_sink_restarts_total", "Times that a sink was made anew.", COUNTER);
    const IN_FLIGHT: Family =
        ("tollgate_sink_in_flight_events", "Events read from the spool and not yet acknowledged.", GAUGE);
    const CONNECTED: Family =
        ("tollgate_sink_connected", "1 when the destination is reachable as far as is known.", GAUGE);
    const KAFKA_RETRIES: Family =
        ("tollgate_kafka_client_retries", "Messages that the running Kafka client sent again.", GAUGE);
    const KAFKA_TIMEOUTS: Family =
        ("tollgate_kafka_client_timeouts", "Requests of the running Kafka client that timed out.", GAUGE);
    const SKIPPED: Family = (
        "tollgate_sink_skipped_total",
        "Events that were not for a sink's destination, such as losses for one that takes usage only.",
        COUNTER,
    );
    const LABEL: Option<&str> = Some("sink");
    let families = [
        (DELIVERED, LABEL),
        (REJECTED, LABEL),
        (RETRIES, LABEL),
        (RESTARTS, LABEL),
        (IN_FLIGHT, LABEL),
        (CONNECTED, LABEL),
        (KAFKA_RETRIES, None),
        (KAFKA_TIMEOUTS, None),
        (SKIPPED, LABEL),
    ];
    let counts = sinks.counts();
    Observed::new(&families, move || {
        let mut samples = Vec::new();
        for stats in counts.stats() {
            let counts = [stats.delivered, stats.rejected, stats.retries, stats.restarts, stats.in_flight];
            samples
                .extend(counts.into_iter().enumerate().map(|(at, count)| labelled(at, ("sink", &stats.sink), count)));
            samples.extend(stats.connected.map(|up| labelled(5, ("sink", &stats.sink), u64::from(up))));
            samples.push(labelled(8, ("sink", &stats.sink), stats.skipped));
            if &*stats.sink == "kafka" {
                samples.extend([plain(6, stats.client_retries), plain(7, stats.client_timeouts)]);
            }
        }
        samples
    })
}

fn of_listener(listener: &Listener) -> Result<Observed, prometheus::Error> {
    const ACCEPTED: Family = ("tollgate_connections_total", "Connections accepted.", COUNTER);
    const OPEN: Family = ("tollgate_open_connections", "Connections open now.", GAUGE);
    const ENDED: Family =
        ("tollgate_connection_events_total", "What happened to connections besides ending well.", COUNTER);
    let counts = listener.counts();
    Observed::new(&[(ACCEPTED, None), (OPEN, None), (ENDED, Some("event"))], move || {
        let stats = counts.stats();
        let events = [
            ("at_limit", stats.at_limit),
            ("accept_error", stats.accept_errors),
            ("tls_failure", stats.tls_failures),
            ("header_timeout", stats.header_timeouts),
            ("idle_closed", stats.idle_closed),
            ("stalled", stats.stalled),
            ("protocol_error", stats.protocol_errors),
            ("panic", stats.panics),
        ];
        let events = events.into_iter().map(|(event, count)| labelled(2, ("event", event), count));
        [plain(0, stats.accepted), plain(1, stats.open)].into_iter().chain(events).collect()
    })
}

fn of_meter(proxy: &Arc<Proxy>) -> Result<Observed, prometheus::Error> {
    const SKIPPED: Family =
        ("tollgate_counts_skipped_total", "Answers whose tokens were estimated because counting was overrun.", COUNTER);
    const DRAINS: Family = (
        "tollgate_drains_refused_total",
        "Answers cut although they should have been read on after their client had left: too many were.",
        COUNTER,
    );
    const REMEMBERED: Family =
        ("tollgate_usage_refusals_remembered", "Upstreams and models not asked for usage, as they refused it.", GAUGE);
    const FORGOTTEN: Family = (
        "tollgate_usage_refusals_forgotten_total",
        "Times that refusals to be asked for usage were forgotten for room.",
        COUNTER,
    );
    const PANICS: Family =
        ("tollgate_meter_panics_total", "Answers not read to their end because a dialect had a defect.", COUNTER);
    let families = [SKIPPED, DRAINS, REMEMBERED, FORGOTTEN, PANICS].map(|family| (family, None));
    let proxy = Arc::downgrade(proxy);
    Observed::new(&families, move || {
        let Some(proxy) = proxy.upgrade() else { return Vec::new() };
        let (meter, memory) = (&proxy.meter, proxy.meter.memory());
        let (skipped, drains, panics) = (meter.counts_skipped(), meter.drains_refused(), meter.panics());
        let counts = [skipped, drains, memory.remembered(), memory.forgotten(), panics];
        counts.into_iter().enumerate().map(|(at, count)| plain(at, count)).collect()
    })
}

fn of_upstreams(proxy: &Arc<Proxy>) -> Result<Observed, prometheus::Error> {
    const CONNECTIONS: Family = ("tollgate_upstream_connections_total", "Connections opened to an upstream.", COUNTER);
    const IN_FLIGHT: Family =
        ("tollgate_upstream_in_flight_requests", "Calls to an upstream whose answer has not ended.", GAUGE);
    const FAILURES: Family =
        ("tollgate_upstream_failures_total", "Calls that an upstream or the way to it failed.", COUNTER);
    const RESENT: Family = (
        "tollgate_upstream_resent_total",
        "Calls sent once more because the upstream had closed the connection without reading them.",
        COUNTER,
    );
    const LABEL: Option<&str> = Some("upstream");
    let proxy = Arc::downgrade(proxy);
    Observed::new(&[(CONNECTIONS, LABEL), (IN_FLIGHT, LABEL), (FAILURES, LABEL), (RESENT, LABEL)], move || {
        let Some(proxy) = proxy.upgrade() else { return Vec::new() };
        let stats = proxy.upstreams.stats().upstreams;
        let samples = stats.iter().flat_map(|stats| {
            let failures = stats.connect_failed + stats.connect_timeouts + stats.tls_failed + stats.first_byte_timeouts;
            let failures = failures + stats.idle_timeouts + stats.resets + stats.invalid_answers;
            let counts = [stats.connections_opened, stats.in_flight, failures, stats.resent];
            counts.into_iter().enumerate().map(|(at, count)| labelled(at, ("upstream", &stats.name), count))
        });
        samples.collect()
    })
}
