//! A disk in memory that notes every operation, for tests.
//!
//! What it notes can be played back up to any operation, with everything after the last sync kept, lost or torn: see
//! `crash`. It can be told to fail. It holds one lock per file, which a test breaks to play a process that died.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::TryLockError;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Access;

/// Names an open or deleted file for ever.
pub(in crate::spool) type Inode = usize;

/// What is on a disk.
#[derive(Clone, Debug, Default)]
pub(in crate::spool) struct Image {
    pub(in crate::spool) dirs: BTreeSet<Arc<Path>>,
    pub(in crate::spool) files: BTreeMap<Arc<Path>, Inode>,
    pub(in crate::spool) contents: Vec<Arc<Vec<u8>>>,
}

/// One operation that changes a disk.
#[derive(Clone)]
pub(in crate::spool) enum Op {
    Write { inode: Inode, at: usize, bytes: Arc<[u8]> },
    Length { inode: Inode, bytes: usize },
    Sync { inode: Inode },
    Name(Change),
    SyncDir { dir: Arc<Path> },
}

impl std::fmt::Debug for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Write { inode, at, bytes } => write!(f, "write {inode} at {at}, {} bytes", bytes.len()),
            Self::Length { inode, bytes } => write!(f, "length {inode}, {bytes} bytes"),
            Self::Sync { inode } => write!(f, "sync {inode}"),
            Self::Name(change) => write!(f, "{change:?}"),
            Self::SyncDir { dir } => write!(f, "sync {dir:?}"),
        }
    }
}

/// A change of names; durable when the directory is synced that they are in.
#[derive(Clone, Debug)]
pub(in crate::spool) enum Change {
    Dir(Arc<Path>),
    File(Arc<Path>, Inode),
    Rename(Arc<Path>, Arc<Path>),
    Unlink(Arc<Path>),
    RemoveDir(Arc<Path>),
}

impl Change {
    pub(in crate::spool) fn path(&self) -> &Arc<Path> {
        match self {
            Self::Dir(path)
            | Self::File(path, _)
            | Self::Rename(path, _)
            | Self::Unlink(path)
            | Self::RemoveDir(path) => path,
        }
    }
}

/// Where a disk is to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::spool) enum Fault {
    /// No block is left: ENOSPC.
    Preallocate,
    /// EIO when a file is synced; what it held unsynced is lost to a later crash, as the kernel may do it.
    Sync,
}

#[derive(Default)]
struct State {
    image: Image,
    log: Vec<Op>,
    locked: BTreeSet<Inode>,
    /// How often each is yet to fail.
    faults: BTreeMap<Fault, u64>,
    syncs: BTreeMap<Inode, u64>,
}

/// See the module.
pub(in crate::spool) struct Recorder {
    segment_bytes: usize,
    state: Mutex<State>,
}

/// An open file of a [`Recorder`].
#[derive(Clone)]
pub(in crate::spool) struct Handle {
    recorder: Arc<Recorder>,
    inode: Inode,
}

impl Image {
    pub(in crate::spool) fn apply(&mut self, op: &Op) {
        match op {
            Op::Write { inode, at, bytes } => self.write(*inode, *at, bytes),
            Op::Length { inode, bytes } => self.resize(*inode, *bytes),
            Op::Name(change) => self.rename(change),
            Op::Sync { .. } | Op::SyncDir { .. } => {}
        }
    }

    pub(in crate::spool) fn write(&mut self, inode: Inode, at: usize, bytes: &[u8]) {
        let until = at + bytes.len();
        if self.content(inode).len() < until {
            self.resize(inode, until);
        }
        self.content(inode)[at..until].copy_from_slice(bytes);
    }

    /// `Vec::resize` takes a step per byte when it is not optimised.
    fn resize(&mut self, inode: Inode, bytes: usize) {
        let content = self.content(inode);
        let mut resized = vec![0; bytes];
        let kept = bytes.min(content.len());
        resized[..kept].copy_from_slice(&content[..kept]);
        *content = resized;
    }

    fn content(&mut self, inode: Inode) -> &mut Vec<u8> {
        if self.contents.len() <= inode {
            self.contents.resize_with(inode + 1, Arc::default);
        }
        Arc::make_mut(&mut self.contents[inode])
    }

    /// Names in a directory that was itself lost are lost too.
    pub(in crate::spool) fn prune(&mut self) {
        let dirs = self.dirs.clone();
        let reached = |path: &Path| path.ancestors().skip(1).all(|above| dirs.contains(above));
        self.dirs.retain(|path| reached(path));
        self.files.retain(|path, _| reached(path));
    }

    fn rename(&mut self, change: &Change) {
        match change {
            Change::Dir(path) => drop(self.dirs.insert(Arc::clone(path))),
            Change::File(path, inode) => {
                self.content(*inode);
                self.files.insert(Arc::clone(path), *inode);
            }
            Change::Rename(from, to) => {
                if let Some(inode) = self.files.remove(from) {
                    self.files.insert(Arc::clone(to), inode);
                }
            }
            Change::Unlink(path) => drop(self.files.remove(path)),
            Change::RemoveDir(path) => drop(self.dirs.remove(path)),
        }
    }
}

impl Recorder {
    /// An empty disk.
    pub(in crate::spool) fn new(segment_bytes: usize) -> Arc<Self> {
        let dirs = BTreeSet::from([Arc::from(Path::new("/"))]);
        Self::from_image(segment_bytes, Image { dirs, ..Image::default() })
    }

    /// A disk as a crash left it: all of it durable.
    pub(in crate::spool) fn from_image(segment_bytes: usize, image: Image) -> Arc<Self> {
        Arc::new(Self { segment_bytes, state: Mutex::new(State { image, ..State::default() }) })
    }

    pub(in crate::spool) fn segment_bytes(&self) -> usize {
        self.segment_bytes
    }

    /// What happened since the beginning.
    pub(in crate::spool) fn log(&self) -> Vec<Op> {
        self.state().log.clone()
    }

    /// How much happened since the beginning.
    pub(in crate::spool) fn now(&self) -> usize {
        self.state().log.len()
    }

    /// What every process sees.
    pub(in crate::spool) fn image(&self) -> Image {
        self.state().image.clone()
    }

    /// The process that held locks is no more.
    pub(in crate::spool) fn break_locks(&self) {
        self.state().locked.clear();
    }

    /// The next `times` of what this names will fail.
    pub(in crate::spool) fn fail(&self, fault: Fault, times: u64) {
        self.state().faults.insert(fault, times);
    }

    /// How often a file was synced, and was asked to be.
    pub(in crate::spool) fn most_syncs_after_failure(&self) -> u64 {
        self.state().syncs.values().copied().max().unwrap_or(0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(self: &Arc<Self>, path: &Path, access: Access) -> io::Result<Handle> {
        let mut state = self.state();
        let known = state.image.files.get(path).copied();
        let inode = match (known, access) {
            (Some(_), Access::Make) => return Err(ErrorKind::AlreadyExists.into()),
            (Some(inode), Access::Anew) => {
                state.act(Op::Length { inode, bytes: 0 });
                inode
            }
            (Some(inode), _) => inode,
            (None, Access::Read) => return Err(ErrorKind::NotFound.into()),
            (None, _) => {
                state.directory(path.parent())?;
                let inode = state.image.contents.len();
                state.image.contents.push(Arc::default());
                state.act(Op::Name(Change::File(path.into(), inode)));
                inode
            }
        };
        Ok(Handle { recorder: Arc::clone(self), inode })
    }

    pub(super) fn make_dir(&self, path: &Path) {
        let mut state = self.state();
        let absent: Vec<&Path> = path.ancestors().take_while(|path| !state.image.dirs.contains(*path)).collect();
        for path in absent.into_iter().rev() {
            state.act(Op::Name(Change::Dir(path.into())));
        }
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        state.directory(Some(path))?;
        let here = |found: &&Arc<Path>| found.parent() == Some(path);
        let paths = state.image.files.keys().chain(&state.image.dirs).filter(here);
        Ok(paths.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.file(from)?;
        state.act(Op::Name(Change::Rename(from.into(), to.into())));
        Ok(())
    }

    pub(super) fn unlink(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.file(path)?;
        state.act(Op::Name(Change::Unlink(path.into())));
        Ok(())
    }

    pub(super) fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let inside = |found: &Arc<Path>| found.parent() == Some(path);
        if state.image.files.keys().chain(&state.image.dirs).any(inside) {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        state.act(Op::Name(Change::RemoveDir(path.into())));
        Ok(())
    }

    pub(super) fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.directory(Some(path))?;
        state.act(Op::SyncDir { dir: path.into() });
        Ok(())
    }
}

impl State {
    fn act(&mut self, op: Op) {
        self.image.apply(&op);
        self.log.push(op);
    }

    fn directory(&self, path: Option<&Path>) -> io::Result<()> {
        let found = path.is_some_and(|path| self.image.dirs.contains(path));
        found.then_some(()).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn file(&self, path: &Path) -> io::Result<Inode> {
        self.image.files.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn fails(&mut self, fault: Fault) -> bool {
        let left = self.faults.entry(fault).or_default();
        let fails = *left > 0;
        *left = left.saturating_sub(1);
        fails
    }
}

impl Handle {
    pub(super) fn try_lock(&self) -> Result<(), TryLockError> {
        let taken = self.recorder.state().locked.insert(self.inode);
        taken.then_some(()).ok_or(TryLockError::WouldBlock)
    }

    pub(super) fn preallocate(&self, bytes: usize) -> io::Result<()> {
        let mut state = self.recorder.state();
        if state.fails(Fault::Preallocate) {
            return Err(ErrorKind::StorageFull.into());
        }
        state.act(Op::Length { inode: self.inode, bytes });
        Ok(())
    }

    pub(super) fn truncate(&self, bytes: u64) {
        self.recorder.state().act(Op::Length { inode: self.inode, bytes: bytes as usize });
    }

    pub(in crate::spool) fn write_at(&self, bytes: &[u8], at: u64) {
        self.recorder.state().act(Op::Write { inode: self.inode, at: at as usize, bytes: bytes.into() });
    }

    /// As a mapped file is appended to: everything but the first word, then that.
    pub(in crate::spool) fn append(&self, at: usize, head: &[u8], payload: &[&[u8]]) -> bool {
        let (first, rest) = head.split_at(size_of::<u64>());
        let rest = [&[rest], payload].concat().concat();
        let mut state = self.recorder.state();
        if state.image.contents[self.inode].len() < at + first.len() + rest.len() {
            return false;
        }
        state.act(Op::Write { inode: self.inode, at: at + first.len(), bytes: rest.into() });
        state.act(Op::Write { inode: self.inode, at, bytes: first.into() });
        true
    }

    pub(super) fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let state = self.recorder.state();
        let content = &state.image.contents[self.inode];
        let found = content.get(at as usize..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(found.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    pub(super) fn read_into(&self, buffer: &mut Vec<u8>, most: usize) {
        let state = self.recorder.state();
        let content = &state.image.contents[self.inode];
        buffer.extend_from_slice(&content[..content.len().min(most)]);
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        let mut state = self.recorder.state();
        let failed_before = state.syncs.get(&self.inode).copied();
        if let Some(times) = failed_before {
            state.syncs.insert(self.inode, times + 1);
        }
        if state.fails(Fault::Sync) {
            state.syncs.entry(self.inode).or_default();
            return Err(io::Error::other("EIO"));
        }
        state.act(Op::Sync { inode: self.inode });
        Ok(())
    }
}

impl Drop for super::Lock {
    fn drop(&mut self) {
        if let super::File::Recorded(handle) = &self.file {
            handle.recorder.state().locked.remove(&handle.inode);
        }
    }
}

/// The root that tests put their spools in.
pub(in crate::spool) fn root() -> PathBuf {
    PathBuf::from("/var/spool")
}
