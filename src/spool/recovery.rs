//! Reads what earlier processes left.
//!
//! Looks for INTENTs without a FINAL: their requests were cut short with the process. Their payload is an event already
//! and is published as it is, or as its last PROGRESS says, once: a FINAL stands after every copy of its INTENT, wherever that is, so one pass in log
//! order finds what is still open, however often recovery itself was cut short. Damage is counted and skipped and
//! never stops a start. Earlier files are not written; only the zeros after their last record are cut off, so that a
//! process that restarts again and again does not fill the disk with empty segments.

use std::collections::BTreeMap;
use std::io;

use tracing::warn;

use super::ages::Ages;
use super::directory::Directory;
use super::loss::Accounts;
use super::record::Kind;
use super::scan::Scan;
use super::segment::{HEADER_BYTES, Header, SegmentId, SpoolId};
use super::segments::{Info, Segments};

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) segments: Segments,
    pub(super) ages: Ages,
    /// Number of events.
    pub(super) finals: u64,
    /// Payloads of INTENTs without a FINAL, by epoch and number.
    pub(super) open: BTreeMap<(u64, u64), Box<[u8]>>,
    /// The highest epoch and number of a record.
    pub(super) last: (u64, u64),
    /// Damaged stretches.
    pub(super) damaged: u64,
    /// Which numbers are accounted for.
    pub(super) accounts: Accounts,
}

/// Reads all segments, oldest first.
pub(super) fn recover(directory: &Directory, spool: SpoolId) -> io::Result<Found> {
    let mut found = Found::default();
    for epoch in directory.epochs()? {
        for id in directory.segments(epoch)? {
            found.take(directory, spool, id);
        }
        // Succeeds only if nothing is left in it.
        directory.remove_epoch(epoch);
    }
    Ok(found)
}

/// The id in the first readable segment, for a spool whose `id` file is lost.
pub(super) fn id_from_segments(directory: &Directory) -> io::Result<Option<SpoolId>> {
    for epoch in directory.epochs()? {
        for id in directory.segments(epoch)? {
            let header = read(directory, id).ok().and_then(|bytes| Header::decode(&bytes));
            if let Some(header) = header {
                return Ok(Some(header.spool));
            }
        }
    }
    Ok(None)
}

impl Found {
    fn take(&mut self, directory: &Directory, spool: SpoolId, id: SegmentId) {
        let taken = read(directory, id).and_then(|bytes| match self.look(spool, id, &bytes) {
            Some(mut info) => {
                info.bytes = shorten(directory, &info, bytes.len() as u64);
                self.segments.push(info);
                Ok(())
            }
            None => directory.delete_segment(id),
        });
        if let Err(error) = taken {
            self.damaged += 1;
            warn!(%error, epoch = id.epoch, segment = id.number, "a segment of the spool cannot be used and is set aside");
            let _ = directory.set_aside(id);
        }
    }

    /// Takes a segment in; `None` if it was prepared and never used.
    fn look(&mut self, spool: SpoolId, id: SegmentId, bytes: &[u8]) -> Option<Info> {
        let header = Header::decode(bytes).filter(|header| header.id == id);
        // Without its header a segment is read as what its name says.
        let salt = header.map_or(spool, |header| header.spool).salt(id);
        let created_ms = header.map_or(0, |header| header.created_ms);
        let mut scan = Scan::new(bytes, salt, HEADER_BYTES);
        let (before, mut last_final) = (self.finals, None);
        for (record, end) in scan.by_ref() {
            let key = (record.head.epoch, record.head.number);
            self.last = self.last.max(key);
            self.accounts.record(id, &record);
            if record.event().is_some() {
                self.finals += 1;
                last_final = Some(end as u64);
            }
            match record.head.kind {
                Kind::Intent | Kind::Progress => drop(self.open.insert(key, record.payload.into())),
                Kind::LossReport | Kind::Final => drop(self.open.remove(&key)),
                Kind::EpochOpen | Kind::EpochClose | Kind::Unknown => {}
            }
        }
        let used = scan.used() as u64;
        if used == HEADER_BYTES as u64 {
            return None;
        }
        self.accounts.begins(id);
        for stretch in scan.stretches() {
            self.accounts.damaged(id, bytes, stretch);
        }
        self.damaged += scan.damaged() + u64::from(header.is_none());
        if self.finals > before {
            self.ages.note(before + 1, created_ms);
        }
        let finals = self.finals - before;
        Some(Info { id, salt, bytes: used, end: used, readable: used, last_final, finals, open: 0 })
    }
}

/// A segment's bytes.
pub(super) fn read(directory: &Directory, id: SegmentId) -> io::Result<Vec<u8>> {
    directory.open_segment(id)?.read_all(directory.disk.segment_bytes())
}

/// Cuts the zeros after the last record off; the file's length. They only cost room, so a failure changes nothing.
fn shorten(directory: &Directory, info: &Info, length: u64) -> u64 {
    if length <= info.end {
        return length;
    }
    if directory.shorten_segment(info.id, info.end).is_ok() { info.end } else { length }
}
