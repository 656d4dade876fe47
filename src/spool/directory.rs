//! What the spool's directory holds and how its files are named.
//!
//! ```text
//! LOCK                          held while a process uses the spool
//! id                            12 hex digits, made once
//! epoch                         the highest epoch given out, so that none is used twice even if its files are gone
//! numbers                       the last number given out in each of the last two epochs
//! <epoch>/<number>.seg          segments; a directory for each start of a process
//! <epoch>/<number>.unreadable   a segment that could not be read
//! quarantine/                   damaged bytes, <epoch>-<segment>-<offset>.bin
//! ack.<sink>                    what the sink has delivered
//! ```
//! Files that must be whole are written aside, synced and renamed.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Access, Disk, File, Lock};
use super::segment::{SegmentId, SpoolId};
use crate::event::Damage;

/// No more stretches than this are kept.
const MOST_QUARANTINED: usize = 1024;

/// The directory of a spool.
pub(super) struct Directory {
    pub(super) disk: Disk,
    root: PathBuf,
}

impl Directory {
    /// Makes it when absent, for its owner only: events name callers.
    pub(super) fn open(disk: Disk, root: &Path) -> io::Result<Self> {
        let absent = |path: &&Path| !path.as_os_str().is_empty() && disk.list(path).is_err();
        let made = root.ancestors().take_while(absent).count();
        disk.make_dir(root)?;
        for above in root.ancestors().skip(1).take(made) {
            // A new directory must not go with the power. Where its parent cannot be read there is nothing to be done.
            let _ = disk.sync_dir(if above.as_os_str().is_empty() { Path::new(".") } else { above });
        }
        Ok(Self { disk, root: root.to_owned() })
    }

    /// Takes the lock; `None` if another process holds it. Given up when the file is dropped, or the process dies.
    pub(super) fn lock(&self) -> io::Result<Option<Lock>> {
        self.disk.lock(&self.root.join("LOCK"))
    }

    /// The spool's id, if it has one.
    pub(super) fn id(&self) -> io::Result<Option<SpoolId>> {
        Ok(self.read_small("id")?.and_then(|text| SpoolId::parse(text.trim())))
    }

    /// Sets the spool's id.
    pub(super) fn set_id(&self, id: SpoolId) -> io::Result<()> {
        self.write_small("id", id.as_str())
    }

    /// The highest epoch noted; 0 if none is.
    pub(super) fn noted_epoch(&self) -> io::Result<u64> {
        Ok(self.read_small("epoch")?.and_then(|text| text.trim().parse().ok()).unwrap_or(0))
    }

    /// Notes an epoch as given out, then makes its directory.
    pub(super) fn begin_epoch(&self, epoch: u64) -> io::Result<()> {
        self.write_small("epoch", &epoch.to_string())?;
        self.disk.make_dir(&self.epoch(epoch))?;
        self.disk.sync_dir(&self.root)
    }

    /// Opens the file of the numbers given out to read it.
    pub(super) fn open_given(&self) -> io::Result<File> {
        self.disk.open(&self.root.join("numbers"), Access::Read)
    }

    /// Opens the file of the numbers given out, made when absent.
    pub(super) fn change_given(&self) -> io::Result<File> {
        self.disk.open(&self.root.join("numbers"), Access::Change)
    }

    /// The epochs that have a directory, in order.
    pub(super) fn epochs(&self) -> io::Result<Vec<u64>> {
        self.numbers(&self.root, "")
    }

    /// The segments of an epoch, in order.
    pub(super) fn segments(&self, epoch: u64) -> io::Result<Vec<SegmentId>> {
        let numbers = self.numbers(&self.epoch(epoch), ".seg")?;
        Ok(numbers.into_iter().map(|number| SegmentId { epoch, number }).collect())
    }

    /// The marks of all sinks that ever had one.
    pub(super) fn marks(&self) -> io::Result<Vec<PathBuf>> {
        let names = self.disk.list(&self.root)?.into_iter().filter(|name| name.starts_with("ack."));
        Ok(names.map(|name| self.root.join(name)).collect())
    }

    /// The file of a segment.
    pub(super) fn segment(&self, id: SegmentId) -> PathBuf {
        self.epoch(id.epoch).join(format!("{:08}.seg", id.number))
    }

    /// The file of a sink's mark. Characters that a file name should not have become `_`.
    pub(super) fn mark(&self, sink: &str) -> PathBuf {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        self.root.join(format!("ack.{}", sink.chars().map(plain).collect::<String>()))
    }

    /// Makes a segment's file; it must not exist.
    pub(super) fn create_segment(&self, id: SegmentId) -> io::Result<File> {
        self.disk.open(&self.segment(id), Access::Make)
    }

    /// Opens a segment's file to read it.
    pub(super) fn open_segment(&self, id: SegmentId) -> io::Result<File> {
        self.disk.open(&self.segment(id), Access::Read)
    }

    /// Cuts a segment's file off.
    pub(super) fn shorten_segment(&self, id: SegmentId, bytes: u64) -> io::Result<()> {
        self.disk.open(&self.segment(id), Access::Change)?.truncate(bytes)
    }

    /// Deletes a segment; one that is gone already is no error. Durable on return.
    pub(super) fn delete_segment(&self, id: SegmentId) -> io::Result<()> {
        match self.disk.unlink(&self.segment(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.sync_epoch(id.epoch)
    }

    /// Makes an epoch's new and deleted names durable.
    pub(super) fn sync_epoch(&self, epoch: u64) -> io::Result<()> {
        self.disk.sync_dir(&self.epoch(epoch))
    }

    /// Removes an epoch's directory if nothing is in it.
    pub(super) fn remove_epoch(&self, epoch: u64) {
        if self.disk.remove_dir(&self.epoch(epoch)).is_ok() {
            let _ = self.disk.sync_dir(&self.root);
        }
    }

    /// Moves a segment that cannot be read out of the log's way, keeping it for whoever wants to look.
    pub(super) fn set_aside(&self, id: SegmentId) -> io::Result<()> {
        let path = self.segment(id);
        self.disk.rename(&path, &path.with_extension("unreadable"))
    }

    /// Keeps damaged bytes for whoever wants to look; those of one stretch once.
    pub(super) fn quarantine(&self, epoch: u64, damage: Damage, bytes: &[u8]) -> io::Result<()> {
        let dir = self.root.join("quarantine");
        self.disk.make_dir(&dir)?;
        if self.disk.list(&dir)?.len() >= MOST_QUARANTINED {
            return Err(io::Error::other("the quarantine is full"));
        }
        let path = dir.join(format!("{epoch:08}-{:08}-{}.bin", damage.segment, damage.offset));
        let file = self.disk.open(&path, Access::Anew)?;
        file.write_at(bytes, 0)?;
        file.sync()?;
        self.disk.sync_dir(&dir)
    }

    fn epoch(&self, epoch: u64) -> PathBuf {
        self.root.join(format!("{epoch:08}"))
    }

    fn read_small(&self, name: &str) -> io::Result<Option<String>> {
        match self.disk.open(&self.root.join(name), Access::Read) {
            Ok(file) => Ok(String::from_utf8(file.read_all(64)?).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write_small(&self, name: &str, text: &str) -> io::Result<()> {
        let aside = self.root.join(format!("{name}.new"));
        let file = self.disk.open(&aside, Access::Anew)?;
        file.write_at(text.as_bytes(), 0)?;
        file.sync()?;
        self.disk.rename(&aside, &self.root.join(name))?;
        self.disk.sync_dir(&self.root)
    }

    /// The numbers that name entries of a directory, in order; other entries are none of ours.
    fn numbers(&self, path: &Path, suffix: &str) -> io::Result<Vec<u64>> {
        let number = |name: &String| name.strip_suffix(suffix).filter(|digits| digits.len() >= 8)?.parse::<u64>().ok();
        let mut found: Vec<u64> = self.disk.list(path)?.iter().filter_map(number).collect();
        found.sort_unstable();
        Ok(found)
    }
}
