//! What becomes of a connection that leaves HTTP: whoever answers an upgrade says what runs on it from then on.
//!
//! It runs in the connection's own task. So the connection keeps its place among the open ones, draining waits for it,
//! and it ends with the listener at the latest. Nothing runs unless the connection really was upgraded or ended.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

type Successor = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection's successor. Requests that ask for an upgrade carry it among their extensions.
#[derive(Clone, Default)]
pub struct Takeover(Arc<Mutex<Option<Successor>>>);

impl Takeover {
    /// Runs this once the connection has left HTTP. One that was given before is dropped.
    pub fn by(&self, successor: impl Future<Output = ()> + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(successor));
    }

    /// Runs to its end what took the connection over, if anything did.
    pub(super) async fn run(&self) {
        let successor = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(successor) = successor {
            successor.await;
        }
    }
}

impl fmt::Debug for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Takeover")
    }
}
