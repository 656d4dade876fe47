//! The requests that are under way to one receiver, and the runtime that they live on.
//!
//! They make progress only while somebody waits for them, so nothing here runs beside the sink's thread.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

use super::client::{Client, Heard, Post, PostError};
use crate::sink::Ticket;

/// So many turns let a connection notice that the other side has closed it.
const TURNS: usize = 4;

pub(super) struct Calls {
    /// Always there but while it is dropped.
    runtime: Option<Runtime>,
    client: Arc<Client>,
    under_way: JoinSet<Ended>,
}

/// A request that is over.
#[derive(Debug)]
pub(super) struct Ended {
    /// The events that were in it.
    pub(super) tickets: Vec<Ticket>,
    /// What the receiver said.
    pub(super) said: Result<Heard, PostError>,
}

impl Calls {
    pub(super) fn new(client: Client) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime: Some(runtime), client: Arc::new(client), under_way: JoinSet::new() })
    }

    /// How many there are.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Begins a request with these events in it.
    pub(super) fn begin(&mut self, tickets: Vec<Ticket>, post: Post) {
        let Some(runtime) = &self.runtime else { return };
        if self.under_way.is_empty() {
            // A connection that was closed while nobody looked must not be used.
            runtime.block_on(turns());
        }
        let client = Arc::clone(&self.client);
        let call = async move { Ended { tickets, said: client.post(post).await } };
        self.under_way.spawn_on(call, runtime.handle());
    }

    /// Waits for at most this long until one is over; all that are.
    ///
    /// # Errors
    /// When one has panicked: which, nobody can say.
    pub(super) fn ended(&mut self, wait: Duration) -> Result<Vec<Ended>, JoinError> {
        let Some(runtime) = &self.runtime else { return Ok(Vec::new()) };
        runtime.block_on(over(&mut self.under_way, wait))
    }
}

async fn over(under_way: &mut JoinSet<Ended>, wait: Duration) -> Result<Vec<Ended>, JoinError> {
    turns().await;
    let mut ended = Vec::new();
    if under_way.is_empty() {
        sleep(wait).await;
    } else if let Ok(Some(first)) = timeout(wait, under_way.join_next()).await {
        ended.push(first?);
    }
    while let Some(more) = under_way.try_join_next() {
        ended.push(more?);
    }
    Ok(ended)
}

async fn turns() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.under_way.abort_all();
        // A name that is being looked up cannot be given up, and nobody should wait for it.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("under_way", &self.under_way.len()).finish_non_exhaustive()
    }
}
