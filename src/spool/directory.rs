//! What the spool's directory holds and how its files are named.
//!
//! ```text
//! LOCK                          held while a process uses the spool
//! id                            12 hex digits, made once
//! epoch                         the highest epoch given out, so that none is used twice even if its files are gone
//! <epoch>/<number>.seg          segments; a directory for each start of a process
//! ack.<sink>                    what the sink has delivered
//! ```
//! Files that must be whole are written aside, synced and renamed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::segment::{SegmentId, SpoolId};

/// The directory of a spool.
pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    /// Makes it when absent, for its owner only: events name callers.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        Ok(Self { root: root.to_owned() })
    }

    /// Takes the lock; `None` if another process holds it. Given up when the file is dropped, or the process dies.
    pub(super) fn lock(&self) -> io::Result<Option<File>> {
        let file = options().create(true).truncate(false).open(self.root.join("LOCK"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
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
        DirBuilder::new().mode(0o700).create(self.epoch(epoch))?;
        sync_directory(&self.root)
    }

    /// The epochs that have a directory, in order.
    pub(super) fn epochs(&self) -> io::Result<Vec<u64>> {
        numbers(&self.root, "")
    }

    /// The segments of an epoch, in order.
    pub(super) fn segments(&self, epoch: u64) -> io::Result<Vec<SegmentId>> {
        let numbers = numbers(&self.epoch(epoch), ".seg")?;
        Ok(numbers.into_iter().map(|number| SegmentId { epoch, number }).collect())
    }

    /// The marks of all sinks that ever had one.
    pub(super) fn marks(&self) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ack.")) {
                paths.push(path);
            }
        }
        Ok(paths)
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
        options().create_new(true).open(self.segment(id))
    }

    /// Deletes a segment; one that is gone already is no error. Durable on return.
    pub(super) fn delete_segment(&self, id: SegmentId) -> io::Result<()> {
        match fs::remove_file(self.segment(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.sync_epoch(id.epoch)
    }

    /// Makes an epoch's new and deleted names durable.
    pub(super) fn sync_epoch(&self, epoch: u64) -> io::Result<()> {
        sync_directory(&self.epoch(epoch))
    }

    /// Removes an epoch's directory if nothing is in it.
    pub(super) fn remove_epoch(&self, epoch: u64) {
        if fs::remove_dir(self.epoch(epoch)).is_ok() {
            let _ = sync_directory(&self.root);
        }
    }

    /// Moves a segment that cannot be read out of the log's way, keeping it for whoever wants to look.
    pub(super) fn set_aside(&self, id: SegmentId) -> io::Result<()> {
        let path = self.segment(id);
        fs::rename(&path, path.with_extension("unreadable"))
    }

    fn epoch(&self, epoch: u64) -> PathBuf {
        self.root.join(format!("{epoch:08}"))
    }

    fn read_small(&self, name: &str) -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        match File::open(self.root.join(name)) {
            Ok(file) => file.take(64).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(String::from_utf8(bytes).ok())
    }

    fn write_small(&self, name: &str, text: &str) -> io::Result<()> {
        let aside = self.root.join(format!("{name}.new"));
        let mut file = options().create(true).truncate(true).open(&aside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&aside, self.root.join(name))?;
        sync_directory(&self.root)
    }
}

/// How the spool's own files are opened.
pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The numbers that name entries of a directory, in order; other entries are none of ours.
fn numbers(path: &Path, suffix: &str) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(suffix)).filter(|digits| digits.len() >= 8);
        found.extend(number.and_then(|digits| digits.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}
