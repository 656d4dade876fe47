//! Whether an upstream closes its connections after streamed answers without saying so.
//!
//! Learnt from what it does, since nothing announces it: llama.cpp sends the last chunk, closes a moment later, and
//! throws away whatever it still receives. A request sent in that moment is lost, and nothing tells it from one that was
//! read and acted upon, so it could not be sent again. How long the moment is depends on how busy the upstream's machine
//! is. So as long as an upstream is suspected, a connection is not used again after such an answer: it is left open,
//! one at a time, to see whether the upstream closes it. No request waits for that. At the start every upstream is
//! suspected; the first connection that it keeps clears it.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use tokio::net::TcpStream;

/// An upstream that closes does so within this time after the last byte, however busy it is.
pub(super) const SETTLING: Duration = Duration::from_secs(1);

/// So many connections must be kept to outweigh one that was closed. An upstream that restarts closes some, too.
const DOUBT: u32 = 16;

#[derive(Debug)]
pub(super) struct Habit {
    doubt: AtomicU32,
    /// Whether a connection is being looked at.
    looking: AtomicBool,
}

impl Default for Habit {
    fn default() -> Self {
        Self { doubt: AtomicU32::new(1), looking: AtomicBool::new(false) }
    }
}

impl Habit {
    pub(super) fn is_suspect(&self) -> bool {
        self.doubt.load(Relaxed) > 0
    }

    /// A connection was closed soon after a streamed answer.
    pub(super) fn closed(&self) {
        self.doubt.store(DOUBT, Relaxed);
    }

    /// A connection stayed open after a streamed answer.
    fn kept(&self) {
        // An error says that there was no doubt left to take away.
        let _ = self.doubt.fetch_update(Relaxed, Relaxed, |doubt| doubt.checked_sub(1));
    }

    /// Keeps a connection open whose last answer was streamed, and sees whether the upstream closes it, unless another is
    /// being looked at. Says whether it does.
    pub(super) fn watch(self: &Arc<Self>, connection: &TcpStream) -> bool {
        if self.looking.swap(true, Relaxed) {
            return false;
        }
        let Ok(connection) = duplicate(connection) else {
            self.looking.store(false, Relaxed);
            return false;
        };
        let habit = Arc::clone(self);
        tokio::spawn(async move {
            match tokio::time::timeout(SETTLING, connection.peek(&mut [0; 1])).await {
                Err(_) => habit.kept(),
                Ok(Ok(0) | Err(_)) => habit.closed(),
                // Nobody asked for more, so this says nothing.
                Ok(Ok(_)) => {}
            }
            habit.looking.store(false, Relaxed);
        });
        true
    }
}

/// The same connection, which stays open when the first of the two is closed.
fn duplicate(connection: &TcpStream) -> io::Result<TcpStream> {
    TcpStream::from_std(connection.as_fd().try_clone_to_owned()?.into())
}

#[cfg(test)]
mod tests {
    use super::{DOUBT, Habit};

    #[test]
    fn a_new_upstream_is_suspected_until_it_keeps_one_connection_and_a_closing_one_for_longer() {
        let habit = Habit::default();
        assert!(habit.is_suspect());
        habit.kept();
        habit.kept();
        assert!(!habit.is_suspect());
        habit.closed();
        for _ in 0..DOUBT {
            assert!(habit.is_suspect());
            habit.kept();
        }
        assert!(!habit.is_suspect());
    }
}
