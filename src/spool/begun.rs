//! What a request comes to if nothing more of it is recorded: an event in one record, and the numbers that have changed
//! in it since, in another.
//!
//! The event is the payload of an INTENT or a PROGRESS; the numbers are those of the last FURTHER that goes on from it,
//! and say by a checksum that they do: with a record in between damaged they would be another event's. They are put into
//! the event only when it is needed whole, which for nearly every request is never. How, `event::Snapshot` knows.

use std::borrow::Cow;

use super::record;
use crate::event::Snapshot;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Begun {
    payload: Vec<u8>,
    since: Option<Box<Since>>,
}

/// What has changed since.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Since {
    /// The payload's checksum.
    from: u32,
    snapshot: Snapshot,
}

impl Begun {
    pub(super) fn new(payload: Vec<u8>) -> Self {
        Self { payload, since: None }
    }

    /// The bytes that the record with the event takes.
    pub(super) fn bytes(&self) -> usize {
        record::size(self.payload.len())
    }

    /// Whether numbers have changed since.
    pub(super) fn has_gone_on(&self) -> bool {
        self.since.is_some()
    }

    /// Takes the numbers of now; the checksum of what they go on from.
    pub(super) fn go_on(&mut self, snapshot: &Snapshot) -> u32 {
        if let Some(since) = &mut self.since {
            since.snapshot.clone_from(snapshot);
            return since.from;
        }
        let from = crc32c::crc32c(&self.payload);
        self.since = Some(Box::new(Since { from, snapshot: snapshot.clone() }));
        from
    }

    /// Takes the numbers of a FURTHER that was found, if it goes on from this.
    pub(super) fn follow(&mut self, (from, snapshot): (u32, Snapshot)) {
        if from == crc32c::crc32c(&self.payload) {
            self.since = Some(Box::new(Since { from, snapshot }));
        }
    }

    /// The payload with these numbers, or as it is where they do not fit.
    pub(super) fn whole(&self) -> Cow<'_, [u8]> {
        self.applied().map_or(Cow::Borrowed(&self.payload), Cow::Owned)
    }

    fn applied(&self) -> Option<Vec<u8>> {
        let since = self.since.as_ref()?;
        let (_, event) = record::split_payload(&self.payload)?;
        let (key, _) = self.payload.split_at_checked(self.payload.len() - event.len())?;
        Some([key, &since.snapshot.apply(event)?].concat())
    }
}
