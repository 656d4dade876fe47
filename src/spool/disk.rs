//! The file layer: every way in which the spool touches a disk, and nothing else.
//!
//! Outside tests there is one disk, so that a call is the system call and no more. Tests put a recording disk in its
//! place, which keeps everything in memory, can be cut off after any operation, and can be told to fail. The size of a
//! segment belongs to the disk, so that tests can have small ones. Nothing here knows what the bytes mean.

#[cfg(test)]
pub(super) mod recorded;

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::segment::SEGMENT_BYTES;

/// Zeros are written so many bytes at once.
const PIECE: usize = 256 * 1024;

/// Where the spool's files are.
#[derive(Clone)]
pub(super) enum Disk {
    /// The file system.
    Real,
    /// Memory, for tests.
    #[cfg(test)]
    Recorded(std::sync::Arc<recorded::Recorder>),
}

/// An open file.
pub(super) enum File {
    /// Of the file system.
    Real(fs::File),
    /// Of a recording disk.
    #[cfg(test)]
    Recorded(recorded::Handle),
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// To be read; it must exist.
    Read,
    /// To be changed; made when absent.
    Change,
    /// To be written from its beginning; made, or emptied.
    Anew,
    /// To be made; it must not exist.
    Make,
}

/// Held for as long as the directory is in use; given up when dropped, or when the process dies.
pub(super) struct Lock {
    #[cfg_attr(not(test), expect(dead_code, reason = "the open file is the lock"))]
    file: File,
}

impl Disk {
    /// The size of every segment made on this disk.
    pub(super) fn segment_bytes(&self) -> usize {
        match self {
            Self::Real => SEGMENT_BYTES,
            #[cfg(test)]
            Self::Recorded(recorder) => recorder.segment_bytes(),
        }
    }

    /// Opens a file.
    pub(super) fn open(&self, path: &Path, access: Access) -> io::Result<File> {
        match self {
            Self::Real => options(access).open(path).map(File::Real),
            #[cfg(test)]
            Self::Recorded(recorder) => recorder.open(path, access).map(File::Recorded),
        }
    }

    /// Makes a directory and those above it, for their owner only; one that exists is fine.
    pub(super) fn make_dir(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::Real => DirBuilder::new().recursive(true).mode(0o700).create(path),
            #[cfg(test)]
            Self::Recorded(recorder) => {
                recorder.make_dir(path);
                Ok(())
            }
        }
    }

    /// The names in a directory, in no order. Names that are no text are none of ours.
    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        match self {
            Self::Real => {
                let names = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
                names.filter_map(Result::transpose).collect()
            }
            #[cfg(test)]
            Self::Recorded(recorder) => recorder.list(path),
        }
    }

    /// Gives a file another name in the same directory, in one step; what had that name is gone.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self {
            Self::Real => fs::rename(from, to),
            #[cfg(test)]
            Self::Recorded(recorder) => recorder.rename(from, to),
        }
    }

    /// Deletes a file.
    pub(super) fn unlink(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::Real => fs::remove_file(path),
            #[cfg(test)]
            Self::Recorded(recorder) => recorder.unlink(path),
        }
    }

    /// Deletes a directory if nothing is in it.
    pub(super) fn remove_dir(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::Real => fs::remove_dir(path),
            #[cfg(test)]
            Self::Recorded(recorder) => recorder.remove_dir(path),
        }
    }

    /// Makes the names in a directory durable.
    pub(super) fn sync_dir(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::Real => fs::File::open(path)?.sync_all(),
            #[cfg(test)]
            Self::Recorded(recorder) => recorder.sync_dir(path),
        }
    }

    /// Takes a lock; `None` if another process holds it.
    pub(super) fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let file = self.open(path, Access::Change)?;
        let locked = match &file {
            File::Real(file) => file.try_lock(),
            #[cfg(test)]
            File::Recorded(handle) => handle.try_lock(),
        };
        match locked {
            Ok(()) => Ok(Some(Lock { file })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

impl File {
    /// Allocates every block, as zeros, so that no later write to them can fail.
    pub(super) fn preallocate(&self, bytes: usize) -> io::Result<()> {
        match self {
            Self::Real(file) => match fallocate(file, FallocateFlags::empty(), 0, bytes as u64) {
                // Where the file system cannot allocate, zeros are written.
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => self.write_zeros(bytes),
                done => Ok(done?),
            },
            #[cfg(test)]
            Self::Recorded(handle) => handle.preallocate(bytes),
        }
    }

    /// Puts zeros into the file's memory, as far as `bytes`, in pieces so large that the kernel can keep each in a few
    /// large pages. What is mapped afterwards is present, written and given up at a fraction of what it costs when each
    /// small page is made by touching it.
    pub(super) fn write_zeros(&self, bytes: usize) -> io::Result<()> {
        let zeros = vec![0; bytes.min(PIECE)];
        let mut pieces = (0..bytes).step_by(PIECE).map(|at| (at, PIECE.min(bytes - at)));
        pieces.try_for_each(|(at, length)| self.write_at(zeros.get(..length).unwrap_or_default(), at as u64))
    }

    /// Writes all bytes at an offset.
    pub(super) fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        match self {
            Self::Real(file) => file.write_all_at(bytes, at),
            #[cfg(test)]
            Self::Recorded(handle) => {
                handle.write_at(bytes, at);
                Ok(())
            }
        }
    }

    /// Fills the buffer from an offset.
    pub(super) fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Self::Real(file) => file.read_exact_at(buffer, at),
            #[cfg(test)]
            Self::Recorded(handle) => handle.read_at(buffer, at),
        }
    }

    /// Reads from the beginning, at most so many bytes.
    pub(super) fn read_all(&self, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_into(&mut bytes, most)?;
        Ok(bytes)
    }

    /// As [`Self::read_all`], in place of what the buffer holds: for who reads many files.
    pub(super) fn read_into(&self, buffer: &mut Vec<u8>, most: usize) -> io::Result<()> {
        buffer.clear();
        buffer.reserve(most);
        match self {
            Self::Real(file) => drop(file.take(most as u64).read_to_end(buffer)?),
            #[cfg(test)]
            Self::Recorded(handle) => handle.read_into(buffer, most),
        }
        Ok(())
    }

    /// Cuts the file off.
    pub(super) fn truncate(&self, bytes: u64) -> io::Result<()> {
        match self {
            Self::Real(file) => file.set_len(bytes),
            #[cfg(test)]
            Self::Recorded(handle) => {
                handle.truncate(bytes);
                Ok(())
            }
        }
    }

    /// Makes the content durable, its length included.
    pub(super) fn sync(&self) -> io::Result<()> {
        match self {
            Self::Real(file) => file.sync_data(),
            #[cfg(test)]
            Self::Recorded(handle) => handle.sync(),
        }
    }
}

fn options(access: Access) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(access != Access::Read).mode(0o600);
    match access {
        Access::Read => {}
        Access::Change => drop(options.create(true)),
        Access::Anew => drop(options.create(true).truncate(true)),
        Access::Make => drop(options.create_new(true)),
    }
    options
}
