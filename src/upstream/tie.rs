//! What ties an answer to the connection that it comes over; it travels with each answer.
//!
//! By it the connection can leave its pool, and whoever reads the answer can drive it. The connection itself knows when
//! it is to leave, the pool knows it under another handle, and only a request brings the two together. Either may come
//! first: a short answer is read whole before its head is known.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use hyper_util::client::legacy::connect::CaptureConnection;

use super::loan::{Home, Loan};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Tie(Arc<Ends>);

#[derive(Debug, Default)]
struct Ends {
    leave: Mutex<Leave>,
    /// Weak, since it owns the connection, which owns this.
    home: OnceLock<Weak<Home>>,
}

#[derive(Debug, Default)]
enum Leave {
    #[default]
    Stays,
    /// This is the pool's handle.
    May(CaptureConnection),
    /// It is to leave as soon as the pool's handle is known.
    Wants,
}

impl Tie {
    /// This is the pool's handle of the connection.
    pub(super) fn is_of(&self, connection: CaptureConnection) {
        let mut state = self.leave();
        match *state {
            Leave::Wants => leave(&connection),
            Leave::Stays | Leave::May(_) => *state = Leave::May(connection),
        }
    }

    /// The pool is to let go of the connection once its request is over.
    pub(super) fn leave_pool(&self) {
        if let Leave::May(connection) = std::mem::replace(&mut *self.leave(), Leave::Wants) {
            leave(&connection);
        }
    }

    /// The connection is being driven: notes by whom, and says whether that is known.
    pub(super) fn driven(&self) -> bool {
        Home::at_hand().is_some_and(|home| self.0.home.set(Arc::downgrade(&home)).is_ok())
    }

    /// The connection, to be driven by who reads the answer.
    pub(super) fn borrow(&self) -> Option<Loan> {
        Loan::of(self.0.home.get()?.upgrade()?)
    }

    fn leave(&self) -> MutexGuard<'_, Leave> {
        // Every change is a plain store.
        self.0.leave.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn leave(connection: &CaptureConnection) {
    if let Some(connected) = &*connection.connection_metadata() {
        connected.poison();
    }
}
