//! Tollgate stands in front of any LLM endpoint, checks who calls, holds callers to limits, meters the answer as it
//! streams through untouched, and publishes exactly one usage event per request.
//!
//! Read `proxy.rs` first: it tells the life of one request. Then follow the data:
//! `listener` → `proxy` → `guard` → `upstream` → `meter` → `event` → `spool` → `sink`.
//! Imports run one way only; `tests/it/shape.rs` holds the table.

pub mod app;
pub mod audit;
pub mod boxed;
pub mod cli;
pub mod config;
#[cfg(feature = "control")]
pub mod control;
pub mod dialect;
pub mod event;
pub mod guard;
pub mod header;
pub mod listener;
pub mod meter;
pub mod metrics;
pub mod ops;
pub mod proxy;
pub mod reject;
pub mod shutdown;
pub mod sink;
pub mod spool;
pub mod telemetry;
pub mod trust;
pub mod types;
pub mod upstream;
