//! Takes usage events out of the spool and delivers each to where it belongs: Kafka, a file of JSON lines, receivers by HTTP.
//!
//! - No event is dropped: what cannot be delivered now waits in the spool; what can never be delivered goes to a dead-letter
//!   file, on disk before it counts as handled.
//! - The acknowledged mark moves over a contiguous prefix only, and only after delivery is confirmed.
//! - Memory is bounded: at most [`WINDOW_RECORDS`] records and [`WINDOW_BYTES`] bytes are out at a time, per sink.
//! - Delivery is at least once: a restart sends again what was out. Events carry deterministic ids, so that readers can
//!   drop the copies.
//!
//! Each sink has a thread of its own, so a hanging broker or pipe holds up neither requests nor the other sinks. What goes
//! between a worker and its sink is not async: librdkafka has its own threads, files block, and the HTTP sink drives its
//! calls while the worker waits for them.
//!
//! Read `worker.rs` first, then `kafka/producer.rs` and `http/mod.rs`.

mod backoff;
mod binary;
mod dead_letter;
mod feed;
mod file;
pub mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
mod lines;
mod plan;
mod spooled;
mod stats;
mod stop;
#[cfg(test)]
mod tests;
mod threads;
mod window;
mod worker;

use std::time::Duration;

pub use feed::{Feed, Record};
pub use plan::{MakeGiven, Plan, SinkError};
pub use stats::{Stats, Trouble};
pub use threads::{Counts, Ending, Sinks};
pub use window::{WINDOW_BYTES, WINDOW_RECORDS};

/// A destination. The worker offers it records and asks what became of them; it does neither from two threads.
pub trait Sink {
    /// Hands a record over without waiting. A sink that took a record settles its ticket exactly once, or restarts.
    fn offer(&mut self, offered: Offered<'_>) -> Offer;

    /// Works for at most about `wait` and appends what was settled meanwhile.
    fn settle(&mut self, wait: Duration, settled: &mut Vec<Settled>) -> Result<(), Restart>;
}

/// Names a record between the worker and one incarnation of its sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(usize);

/// A record on its way out. The worker keeps it until it is settled.
#[derive(Clone, Copy, Debug)]
pub struct Offered<'a> {
    /// To be named when it is settled.
    pub ticket: Ticket,
    /// The Kafka key.
    pub key: &'a [u8],
    /// The event as one line of JSON, without the line's end.
    pub event: &'a [u8],
}

/// What a sink says to an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It is the sink's to settle now.
    Taken,
    /// Not now: offer it again after the next settling.
    Full,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Which.
    pub ticket: Ticket,
    /// What.
    pub fate: Fate,
}

/// What becomes of a record that a sink took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The destination has it and says so.
    Delivered,
    /// Not delivered, but may be later: it is offered again, in order.
    Retry(Trouble),
    /// The destination will never take it.
    Rejected(Rejection),
    /// Nothing in it is for this destination.
    Skipped,
}

/// Why a destination will never take a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The kind of reason.
    pub trouble: Trouble,
    /// What the destination itself said: Kafka's error code, or the status of an HTTP answer.
    pub code: Option<i32>,
}

/// The sink cannot go on: make a new one and offer it everything that is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sink must be made anew: {}", .0.as_str())]
pub struct Restart(pub Trouble);
