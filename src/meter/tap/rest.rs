//! When the spool is told how far an answer has come: not before what it tells of has left, so that no token waits for
//! it, the first one least of all.

use std::task::Context;

use crate::meter::flow::Flow;
use crate::meter::progress::Owed;

/// Where the note to the spool stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Rest {
    /// There is nothing to note.
    #[default]
    Noted,
    /// What is to be noted was handed to the connection, which sends it once it has asked for more in vain.
    Passed(Owed),
    /// The connection has asked for more in vain: when it asks again, it has sent what it had.
    Sent,
}

impl Rest {
    /// A chunk has passed, and this is to be noted of it.
    pub(super) fn passed(&mut self, owed: Option<Owed>) {
        if let (Self::Noted, Some(owed)) = (*self, owed) {
            *self = Self::Passed(owed);
        }
    }

    /// There is nothing to pass on at the moment: the time to note.
    pub(super) fn now(&mut self, cx: &mut Context<'_>, flow: &mut Flow) {
        match self {
            Self::Noted => {}
            Self::Passed(owed) => {
                // The first content is noted at once. Later the connection may ask in its own time: most do so as soon
                // as they have sent, and each time that a task is woken for costs more than the note.
                if *owed == Owed::First {
                    cx.waker().wake_by_ref();
                }
                *self = Self::Sent;
            }
            Self::Sent => {
                *self = Self::Noted;
                if let Some(draft) = flow.exchange.draft() {
                    draft.note_progress();
                }
            }
        }
    }
}
