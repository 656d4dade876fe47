//! Reads a spool from outside, also that of a running process: takes no lock, writes nothing, promises no order in time.
//!
//! For an audit. What a running process deletes meanwhile was delivered, and what it writes meanwhile may be left out.

use std::io;
use std::path::Path;

use super::directory::Directory;
use super::disk::Disk;
use super::given;
use super::record::{self, CARRIED, Kind};
use super::recovery;
use super::scan::Scan;
use super::segment::{HEADER_BYTES, Header, SegmentId, SpoolId};

/// A record of the log, as a survey tells it.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// An epoch's first segment is still there, so every number of the epoch is in the log.
    WholeEpoch {
        /// The epoch.
        epoch: u64,
    },
    /// A request was admitted.
    Intent {
        /// The epoch.
        epoch: u64,
        /// The number.
        number: u64,
        /// A copy: the first one's segment was deleted.
        carried: bool,
    },
    /// A request ended.
    Event {
        /// The event, encoded.
        event: &'a [u8],
    },
    /// Numbers have no event, and the process said so.
    Lost {
        /// The epoch.
        epoch: u64,
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// Every number of the epoch after this one is in the log.
    From {
        /// The epoch.
        epoch: u64,
        /// The last number before.
        number: u64,
    },
    /// The epoch gave out no number after this one.
    End {
        /// The epoch.
        epoch: u64,
        /// Its last number.
        number: u64,
        /// Whether its process ended in order.
        clean: bool,
    },
}

/// What was surveyed.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// The spool's id; empty if it has none yet.
    pub spool: String,
    /// Segments read.
    pub segments: u64,
    /// Damaged stretches, unreadable segments included.
    pub damaged: u64,
}

/// Tells every record in the order of the log, as it stood at one moment. The directory must be there.
///
/// A running process deletes what it has delivered. When that happened in the middle, what was told does not belong
/// together, and the error is [`io::ErrorKind::Interrupted`]: forget it and ask again.
pub fn survey(dir: &Path, mut tell: impl FnMut(&str, Seen<'_>)) -> io::Result<Survey> {
    std::fs::read_dir(dir)?;
    let directory = Directory::open(Disk::Real, dir)?;
    let spool = match directory.id()? {
        Some(id) => Some(id),
        None => recovery::id_from_segments(&directory)?,
    };
    let Some(spool) = spool else { return Ok(Survey::default()) };
    let mut survey = Survey { spool: spool.as_str().to_owned(), ..Survey::default() };
    let epochs = directory.epochs()?;
    // The newest one's may still grow.
    for noted in given::load(&directory, spool).iter().filter(|noted| epochs.last().is_some_and(|e| noted.epoch < *e)) {
        tell(spool.as_str(), Seen::End { epoch: noted.epoch, number: noted.number, clean: false });
    }
    for epoch in epochs {
        let mut ids = segments(&directory, epoch)?;
        let end = last_record(&directory, spool, &mut ids)?;
        let last = ids.last().copied();
        for id in ids {
            let Some(mut bytes) = read(&directory, id)? else {
                if survey.segments == 0 {
                    continue;
                }
                return Err(io::ErrorKind::Interrupted.into());
            };
            if Some(id) == last {
                bytes.truncate(end);
            }
            survey.segments += 1;
            survey.damaged += look(&bytes, (spool, id), &mut tell);
        }
    }
    Ok(survey)
}

/// An epoch whose directory was deleted just now has none.
fn segments(directory: &Directory, epoch: u64) -> io::Result<Vec<SegmentId>> {
    match directory.segments(epoch) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        found => found,
    }
}

/// Drops the segments that nothing is written in yet; the offset after the last record of what is then the last one.
///
/// Records become whole in the order of the log. Reading takes time, so a reading may hold a record and lack one before
/// it; but when the last record was there, so were all before it, and whoever reads them after that finds them.
fn last_record(directory: &Directory, spool: SpoolId, ids: &mut Vec<SegmentId>) -> io::Result<usize> {
    while let Some(&id) = ids.last() {
        let bytes = read(directory, id)?.unwrap_or_default();
        let salt = Header::decode(&bytes).map_or(spool, |header| header.spool).salt(id);
        if let Some((_, end)) = Scan::new(&bytes, salt, HEADER_BYTES).last() {
            return Ok(end);
        }
        // Without a record, but not empty: damaged to the end.
        if ids.len() == 1 || bytes.iter().skip(HEADER_BYTES).any(|byte| *byte != 0) {
            return Ok(bytes.len());
        }
        ids.pop();
    }
    Ok(0)
}

/// A segment's bytes; `None` if it is gone.
fn read(directory: &Directory, id: SegmentId) -> io::Result<Option<Vec<u8>>> {
    match recovery::read(directory, id) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Tells the records of one segment; the damaged stretches in it.
fn look(bytes: &[u8], place: (SpoolId, SegmentId), tell: &mut impl FnMut(&str, Seen<'_>)) -> u64 {
    let (spool, id) = place;
    let header = Header::decode(bytes).filter(|header| header.id == id);
    let spool = header.map_or(spool, |header| header.spool);
    let mut scan = Scan::new(bytes, spool.salt(id), HEADER_BYTES);
    if id.number == 1 {
        tell(spool.as_str(), Seen::WholeEpoch { epoch: id.epoch });
    }
    for (found, _) in scan.by_ref() {
        let (epoch, number) = (found.head.epoch, found.head.number);
        let carried = found.head.flags & CARRIED != 0;
        match found.head.kind {
            Kind::Intent => tell(spool.as_str(), Seen::Intent { epoch, number, carried }),
            Kind::LossReport => {
                let last = found.loss().map_or(number, |(_, last)| last);
                tell(spool.as_str(), Seen::Lost { epoch, first: number, last });
            }
            Kind::Follows => tell(spool.as_str(), Seen::From { epoch, number }),
            Kind::EpochClose => tell(spool.as_str(), Seen::End { epoch, number, clean: true }),
            Kind::Final => {
                if let Some((_, event)) = record::split_payload(found.payload) {
                    tell(spool.as_str(), Seen::Event { event });
                }
            }
            Kind::Progress | Kind::Further | Kind::EpochOpen | Kind::Unknown => {}
        }
    }
    // One that is just being made has no header yet, and no record.
    scan.damaged() + u64::from(header.is_none() && scan.used() > HEADER_BYTES)
}

#[cfg(test)]
mod tests {
    use super::{Seen, survey};
    use crate::config::{self, SyncMode, WhenFull};
    use crate::spool::{Spool, loss};

    #[test]
    fn a_running_spool_is_surveyed_without_its_lock() {
        let dir = tempfile::tempdir().unwrap();
        let config = config::Spool {
            dir: dir.path().join("spool"),
            max_bytes: 1 << 26,
            when_full: WhenFull::Reject,
            sync: SyncMode::Process,
        };
        assert!(survey(&config.dir, |_, _| ()).is_err(), "nothing is made where there is nothing");
        let spool = Spool::open(&config).unwrap();
        let open = spool.begin_raw("k", b"{}").unwrap();
        assert!(spool.settle_raw("k", b"{\"n\":2}").is_ready());
        spool.0.shared.log().drop_next();
        loss::tell_when_due(&spool.0.shared);
        let mut told = Vec::new();
        let found = survey(&config.dir, |id, seen| told.push(format!("{id} {}", tell(seen)))).unwrap();
        let id = spool.id();
        drop(open);
        assert_eq!(told, ["whole 1", "intent 1 1", "event 7", "lost 1 3-3"].map(|text| format!("{id} {text}")));
        assert_eq!((found.spool.as_str(), found.segments >= 1, found.damaged), (id, true, 0));
    }

    fn tell(seen: Seen<'_>) -> String {
        match seen {
            Seen::WholeEpoch { epoch } => format!("whole {epoch}"),
            Seen::Intent { epoch, number, .. } => format!("intent {epoch} {number}"),
            Seen::Event { event } => format!("event {}", event.len()),
            Seen::Lost { epoch, first, last } => format!("lost {epoch} {first}-{last}"),
            Seen::From { epoch, number } => format!("from {epoch} {number}"),
            Seen::End { epoch, number, clean } => format!("end {epoch} {number} {clean}"),
        }
    }
}
