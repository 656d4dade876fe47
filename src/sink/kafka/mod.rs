//! Kafka: an idempotent producer that never gives up, on librdkafka.
//!
//! What librdkafka can retry in order, it retries for ever; what it hands back is sorted by `classify`: offered again, or
//! dead-lettered, or the producer is made anew. Start-up waits for no broker.

mod check;
mod classify;
mod config;
mod context;
mod group;
mod message;
mod producer;
mod topic;

pub use check::{Finding, Level, check};
pub use config::{SettingsError, validate};
pub use group::{Group, Lag, Received, Start};
pub(super) use producer::KafkaSink;
pub use topic::{ReadError, Topic};
