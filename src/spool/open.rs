//! Takes a spool into use: lock, name, epoch, recovery, first segment.
//!
//! Everything that a start writes is new: an epoch never used before, in a directory of its own. So a start that is
//! cut short anywhere can simply be made again.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::thread::JoinHandle;

use tracing::{info, warn};

use super::acknowledged;
use super::directory::Directory;
use super::disk::{Disk, Lock};
use super::given::{self, Given};
use super::record::{self, Head, Kind, RECOVERED};
use super::recovery::{self, Found};
use super::repair;
use super::room::{LEAST_BYTES, LEAST_SEGMENTS};
use super::segment::{Segment, SegmentId, SpoolId};
use super::shared::{Grown, Parts, Shared};
use super::stats::Counters;
use super::sync::{self, Group};
use super::writer::{Beginning, Log};
use crate::config::{self, SyncMode};
use crate::event::Previous;
use crate::types::Timestamp;

/// A spool cannot be taken into use.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses it.
    #[error(
        "the spool in {0} is in use by another process: stop that one, or name another directory in events.spool.dir"
    )]
    Locked(PathBuf),
    /// `max_bytes` leaves no room to work.
    #[error("a spool needs at least {LEAST_BYTES} bytes, and is allowed {0}")]
    TooSmall(u64),
    /// A file or directory cannot be made, read or written.
    #[error("the spool in {dir} cannot be used ({source}): events.spool.dir must be writable and have room")]
    Io {
        /// The spool's directory.
        dir: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// A thread cannot be started.
    #[error("a thread of the spool cannot be started")]
    Thread(#[source] io::Error),
}

/// Everything but the threads.
pub(super) fn open(config: &config::Spool, disk: Disk) -> Result<Shared, OpenError> {
    if config.max_bytes < LEAST_SEGMENTS * disk.segment_bytes() as u64 {
        return Err(OpenError::TooSmall(config.max_bytes));
    }
    let failed = |source| OpenError::Io { dir: config.dir.clone(), source };
    let directory = Directory::open(disk, &config.dir).map_err(failed)?;
    let Some(lock) = directory.lock().map_err(failed)? else { return Err(OpenError::Locked(config.dir.clone())) };
    begin(config, directory, lock).map_err(failed)
}

/// Starts a thread with a name.
pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(OpenError::Thread)
}

fn begin(config: &config::Spool, directory: Directory, lock: Lock) -> io::Result<Shared> {
    let id = take_id(&directory)?;
    let epoch = next_epoch(&directory, id)?;
    let mut found = recovery::recover(&directory, id)?;
    for noted in given::load(&directory, id) {
        found.accounts.noted(&noted);
    }
    directory.begin_epoch(epoch)?;
    // Not all of it, so that a process with little to do stays small.
    let in_memory = directory.disk.segment_bytes() / 8;
    let active = Segment::create(&directory, id, SegmentId { epoch, number: 1 }, in_memory)?;
    active.mapped.prefault(in_memory);
    directory.sync_epoch(epoch)?;

    let Found { segments, ages, finals, mut open, damaged, mut accounts, .. } = found;
    if let Some(mark) = delivered(&directory, id)? {
        let spared = accounts.delivered(mark);
        open.retain(|(epoch, _), _| !spared.contains(epoch));
    }
    let (durable, previous) = (config.sync == SyncMode::Disk, accounts.previous());
    let most_bytes = config.max_bytes;
    let log = Log::new(Beginning { epoch, most_bytes, keep_rolled: true, active, segments, ages, finals });
    let (when_full, group) = (config.when_full, durable.then(Group::default));
    let shared = Shared::new(Parts { directory, lock, id, epoch, previous, when_full, group, log });
    Counters::add_many(&shared.counters.damaged, damaged);
    note_beginning(&shared);
    let recovers = !open.is_empty() && !durable;
    for ((epoch, number), begun) in open {
        interrupt(&shared, epoch, number, &begun.whole())?;
    }
    accounts.report(&shared, &BTreeSet::new());
    repair::know(&shared, accounts.places());
    // Also where power may be lost: what the last crash has left must not be worse off for having been recovered, and
    // the INTENTs are deleted before long.
    if shared.group.as_ref().is_some_and(|group| !group.round(&shared)) || recovers && !sync::sync_files(&shared) {
        warn!("what was recovered is not synced");
    }
    // Only now: what the numbers of earlier epochs tell stands in the log.
    let given = Given::begin(&shared.directory, id, epoch, previous)?;
    let mut log = shared.log();
    log.numbering.note_in(given);
    log.read_ahead(durable);
    drop(log);
    report(&shared, damaged);
    Ok(shared)
}

fn take_id(directory: &Directory) -> io::Result<SpoolId> {
    if let Some(id) = directory.id()? {
        return Ok(id);
    }
    let id = recovery::id_from_segments(directory)?.unwrap_or_else(SpoolId::random);
    directory.set_id(id)?;
    Ok(id)
}

/// Higher than any that was ever used here, as far as any trace is left.
fn next_epoch(directory: &Directory, id: SpoolId) -> io::Result<u64> {
    let used = directory.epochs()?.into_iter().max().unwrap_or(0);
    let marks = directory.marks()?;
    let marked = marks.iter().map(|path| acknowledged::place(&directory.disk, path, id).0.epoch).max().unwrap_or(0);
    Ok(directory.noted_epoch()?.max(used).max(marked) + 1)
}

/// Up to where every sink that ever had a mark has delivered; `None` without one.
fn delivered(directory: &Directory, id: SpoolId) -> io::Result<Option<(SegmentId, u64)>> {
    let marks = directory.marks()?;
    Ok(marks.iter().map(|path| acknowledged::place(&directory.disk, path, id)).min())
}

fn note_beginning(shared: &Shared) {
    let Previous { epoch, number, clean } = shared.previous.unwrap_or_default();
    let payload = [epoch, number, u64::from(clean)].map(u64::to_le_bytes).concat();
    shared.write(record::size(payload.len()), Grown::Otherwise, |log| {
        log.append(log.head(Kind::EpochOpen, 0), &[&payload]);
    });
}

/// Publishes an INTENT that nobody ends any more under its own number.
pub(super) fn interrupt(shared: &Shared, epoch: u64, number: u64, payload: &[u8]) -> io::Result<()> {
    let head = Head { kind: Kind::Final, flags: RECOVERED, epoch, number };
    let now = Timestamp::now().as_millis();
    let written = shared.write(record::size(payload.len()), Grown::ByEvent, |log| log.complete(head, &[payload], now));
    written.ok_or_else(|| io::Error::new(io::ErrorKind::StorageFull, "no room to recover interrupted requests"))
}

fn report(shared: &Shared, damaged: u64) {
    let recovered = shared.log().balance.recovered;
    info!(spool = shared.id.as_str(), epoch = shared.epoch, recovered, "spool opened");
    if damaged > 0 {
        warn!(damaged, "the spool holds damaged records, which were skipped");
    }
}
