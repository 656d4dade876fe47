//! A connection's way out of its pool, which travels with each answer.
//!
//! The connection itself knows when it is to leave, the pool knows it under another handle, and only a request brings the
//! two together. Either may come first: a short answer is read whole before its head is known.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper_util::client::legacy::connect::CaptureConnection;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Leave(Arc<Mutex<State>>);

#[derive(Debug, Default)]
enum State {
    #[default]
    Stays,
    /// This is the pool's handle.
    May(CaptureConnection),
    /// It is to leave as soon as the pool's handle is known.
    Wants,
}

impl Leave {
    /// This is the pool's handle of it.
    pub(super) fn is_of(&self, connection: CaptureConnection) {
        let mut state = self.lock();
        match *state {
            State::Wants => leave(&connection),
            State::Stays | State::May(_) => *state = State::May(connection),
        }
    }

    /// The pool is to let go of it once its request is over.
    pub(super) fn pool(&self) {
        if let State::May(connection) = std::mem::replace(&mut *self.lock(), State::Wants) {
            leave(&connection);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is a plain store.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn leave(connection: &CaptureConnection) {
    if let Some(connected) = &*connection.connection_metadata() {
        connected.poison();
    }
}
