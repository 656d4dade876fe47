//! Where records come from: a reader of the spool, or a script in tests.

use std::fmt;
use std::time::Duration;

/// One usage event, as read from the spool.
#[derive(Clone, PartialEq, Eq)]
pub struct Record<P> {
    /// Its place in the spool.
    pub position: P,
    /// The Kafka key: the organization, else the key id.
    pub key: Vec<u8>,
    /// The event as one line of JSON, without the line's end.
    pub event: Vec<u8>,
}

/// An event may hold content that must reach no log.
impl<P: fmt::Debug> fmt::Debug for Record<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("position", &self.position)
            .field("bytes", &self.event.len())
            .finish_non_exhaustive()
    }
}

/// An ordered source of records with a mark up to which they are done with.
pub trait Feed: Send {
    /// A place in the source; grows with each record.
    type Position: Copy + Ord + fmt::Debug + Send;

    /// The next record in order, waiting for one up to this long.
    fn next(&mut self, wait: Duration) -> Option<Record<Self::Position>>;

    /// Everything up to and including this position is done with.
    fn acknowledge(&mut self, position: Self::Position);

    /// Goes back to the first record after the acknowledged mark.
    fn rewind(&mut self);

    /// Makes the acknowledged mark durable.
    fn flush(&mut self);
}
