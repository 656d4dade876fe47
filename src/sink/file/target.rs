//! Where lines are written: a path that may be rotated away, or standard output.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::sink::lines;

/// A path, or standard output, with the file behind it once it is open.
#[derive(Debug)]
pub(super) struct Target {
    /// `None` is standard output.
    path: Option<PathBuf>,
    file: Option<File>,
    /// Of the open file: which one it is.
    identity: (u64, u64),
    regular: bool,
}

/// Whether a file was open already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    Before,
    Now,
}

impl Target {
    pub(super) fn new(path: &Path) -> Self {
        let path = (path != Path::new("-")).then(|| path.to_owned());
        Self { path, file: None, identity: (0, 0), regular: false }
    }

    /// The path; `None` of standard output.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Opens the file unless it is open.
    pub(super) fn open(&mut self) -> io::Result<Opened> {
        if self.file.is_some() {
            return Ok(Opened::Before);
        }
        let file = match &self.path {
            Some(path) => lines::open(path)?,
            // A handle of our own: the standard one buffers by line and hides how much of a batch was written.
            None => File::from(io::stdout().as_fd().try_clone_to_owned()?),
        };
        let metadata = file.metadata()?;
        self.identity = (metadata.dev(), metadata.ino());
        self.regular = self.path.is_some() && metadata.is_file();
        self.file = Some(file);
        Ok(Opened::Now)
    }

    pub(super) fn close(&mut self) {
        self.file = None;
    }

    /// Whether the path leads to another file than the one that is open, or to none.
    pub(super) fn is_rotated(&self) -> bool {
        let (Some(path), Some(_)) = (&self.path, &self.file) else { return false };
        fs::metadata(path).map_or(true, |named| (named.dev(), named.ino()) != self.identity)
    }

    /// One write; how much of it was taken.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_mut().ok_or(io::ErrorKind::NotConnected)?.write(bytes)
    }

    /// Pipes and terminals have no disk to reach.
    pub(super) fn needs_sync(&self) -> bool {
        self.regular
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        match &self.file {
            Some(file) if self.regular => file.sync_data(),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => path.display().fmt(f),
            None => f.write_str("standard output"),
        }
    }
}
