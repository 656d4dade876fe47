//! Reads what earlier processes left.
//!
//! Looks for INTENTs without a FINAL: their requests were cut short with the process. Their payload is an event already
//! and is published as it is, or as its last PROGRESS says, with the numbers of the last FURTHER after that, once: a FINAL
//! stands after every copy of its INTENT, wherever that is, so one pass in log order finds what is still open, however
//! often recovery itself was cut short. Damage is counted and skipped and never stops a start. Earlier files are not
//! written; only the zeros after their last record are cut off, so that a process that restarts again and again does not
//! fill the disk with empty segments.

use std::collections::{BTreeMap, HashMap};
use std::io;

use foldhash::fast::FixedState;
use tracing::warn;

use super::accounts::Accounts;
use super::ages::Ages;
use super::begun::Begun;
use super::directory::Directory;
use super::record::{Kind, REWRITTEN};
use super::scan::Scan;
use super::segment::{HEADER_BYTES, Header, SegmentId, SpoolId};
use super::segments::{Info, Segments};
use crate::event::Snapshot;

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) segments: Segments,
    pub(super) ages: Ages,
    /// Number of events.
    pub(super) finals: u64,
    /// What INTENTs without a FINAL come to, by epoch and number.
    pub(super) open: BTreeMap<(u64, u64), Begun>,
    /// The epoch of the process that is looking, whose copies are no events; 0 for none.
    own: u64,
    /// Damaged stretches.
    pub(super) damaged: u64,
    /// Which numbers are accounted for.
    pub(super) accounts: Accounts,
}

/// What a segment holds of a request that it does not end.
#[derive(Default)]
struct Left<'a> {
    /// The payload of the last INTENT or PROGRESS; none where that is in an earlier segment.
    payload: Option<&'a [u8]>,
    /// The last FURTHER after it: what it goes on from, and with which numbers.
    further: Option<(u32, Snapshot)>,
}

impl Left<'_> {
    /// What goes on from another event is ignored: a damaged one stood between.
    fn follow(&mut self, further: (u32, Snapshot)) {
        if self.further.as_ref().is_none_or(|(from, _)| *from == further.0) {
            self.further = Some(further);
        }
    }
}

/// Reads all segments, oldest first.
pub(super) fn recover(directory: &Directory, spool: SpoolId) -> io::Result<Found> {
    let (mut found, mut bytes) = (Found::default(), Vec::new());
    for epoch in directory.epochs()? {
        for id in directory.segments(epoch)? {
            found.take(directory, (spool, id), &mut bytes);
        }
        // Succeeds only if nothing is left in it.
        directory.remove_epoch(epoch);
    }
    Ok(found)
}

/// Reads the segments of a running process once more, in which nothing is deleted meanwhile. Sets nothing aside.
pub(super) fn look_again(directory: &Directory, (spool, own): (SpoolId, u64), segments: &[Info]) -> io::Result<Found> {
    let (mut found, mut bytes) = (Found { own, ..Found::default() }, Vec::new());
    for info in segments {
        directory.open_segment(info.id)?.read_into(&mut bytes, info.end as usize)?;
        if let Some(info) = found.look(spool, info.id, &bytes) {
            found.segments.push(info);
        }
    }
    Ok(found)
}

/// The id in the first readable segment, for a spool whose `id` file is lost.
pub(super) fn id_from_segments(directory: &Directory) -> io::Result<Option<SpoolId>> {
    for epoch in directory.epochs()? {
        for id in directory.segments(epoch)? {
            let bytes = directory.open_segment(id).and_then(|file| file.read_all(HEADER_BYTES));
            let header = bytes.ok().and_then(|bytes| Header::decode(&bytes));
            if let Some(header) = header {
                return Ok(Some(header.spool));
            }
        }
    }
    Ok(None)
}

impl Found {
    fn take(&mut self, directory: &Directory, (spool, id): (SpoolId, SegmentId), bytes: &mut Vec<u8>) {
        let file = directory.open_segment(id);
        if let Err(error) = file.and_then(|file| file.read_into(bytes, directory.disk.segment_bytes())) {
            return self.set_aside(directory, id, &error);
        }
        if let Some(mut info) = self.look(spool, id, bytes) {
            info.bytes = shorten(directory, &info, bytes.len() as u64);
            self.segments.push(info);
        } else if let Err(error) = directory.delete_segment(id) {
            warn!(%error, epoch = id.epoch, segment = id.number, "a segment without records could not be deleted");
        }
    }

    fn set_aside(&mut self, directory: &Directory, id: SegmentId, error: &io::Error) {
        self.damaged += 1;
        self.accounts.unreadable(id);
        warn!(%error, epoch = id.epoch, segment = id.number, "a segment of the spool cannot be read and is set aside");
        let _ = directory.set_aside(id);
    }

    /// Takes a segment in; `None` if it was prepared and never used.
    fn look(&mut self, spool: SpoolId, id: SegmentId, bytes: &[u8]) -> Option<Info> {
        let header = Header::decode(bytes).filter(|header| header.id == id);
        // Without its header a segment is read as what its name says.
        let salt = header.map_or(spool, |header| header.spool).salt(id);
        let created_ms = header.map_or(0, |header| header.created_ms);
        let mut scan = Scan::new(bytes, salt, HEADER_BYTES);
        let (before, mut last_final) = (self.finals, None);
        // Nearly every request ends in the segment that it began in: nothing is copied for those.
        let mut begun = HashMap::<_, Left<'_>, FixedState>::default();
        for (record, end) in scan.by_ref() {
            let key = (record.head.epoch, record.head.number);
            self.accounts.record(id, &record);
            let copy = record.head.flags & REWRITTEN != 0 && id.epoch == self.own;
            if !copy && record.event().is_some() {
                self.finals += 1;
                last_final = Some(end as u64);
            }
            match record.head.kind {
                Kind::Intent | Kind::Progress => {
                    begun.insert(key, Left { payload: Some(record.payload), further: None });
                }
                Kind::Further => {
                    // What another version wrote is ignored.
                    if let Some(further) = record.further() {
                        begun.entry(key).or_default().follow(further);
                    }
                }
                Kind::LossReport | Kind::Final => {
                    begun.remove(&key);
                    self.open.remove(&key);
                }
                Kind::EpochOpen | Kind::EpochClose | Kind::Follows | Kind::Unknown => {}
            }
        }
        for (key, left) in begun {
            self.keep(key, left);
        }
        let used = scan.used() as u64;
        self.accounts.begins(id);
        if used == HEADER_BYTES as u64 {
            return None;
        }
        if header.is_none() {
            self.accounts.without_header(id, bytes);
        }
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

    /// Takes in what a segment leaves open.
    fn keep(&mut self, key: (u64, u64), left: Left<'_>) {
        if let Some(payload) = left.payload {
            self.open.insert(key, Begun::new(payload.to_vec()));
        }
        if let (Some(further), Some(begun)) = (left.further, self.open.get_mut(&key)) {
            begun.follow(further);
        }
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
