//! Notices that a watched file has changed, by asking the file system now and then.
//!
//! It looks through symlinks, because Kubernetes updates mounted files by swapping one, and asks instead of subscribing,
//! because notifications fail silently on many mounted file systems. A change that keeps time, length and inode goes
//! unnoticed.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files and how they looked when last asked.
#[derive(Debug)]
pub struct Watcher {
    files: Vec<(PathBuf, Option<Stamp>)>,
}

/// How a file looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    length: u64,
    inode: u64,
}

impl Watcher {
    /// Watches these files as they are now.
    pub fn new(files: &[PathBuf]) -> Self {
        Self { files: files.iter().map(|path| (path.clone(), stamp(path))).collect() }
    }

    /// Whether a file has changed, come or gone since it was last asked. Blocks for one `stat` per file.
    pub fn changed(&mut self) -> bool {
        let mut changed = false;
        for (path, last) in &mut self.files {
            let now = stamp(path);
            changed |= now != *last;
            *last = now;
        }
        changed
    }

    /// Watches these files from now on. One that was watched before keeps its last look, so no change falls between.
    pub fn follow(&mut self, files: &[PathBuf]) {
        let last = |path: &PathBuf| self.files.iter().find(|(known, _)| known == path).map(|(_, stamp)| *stamp);
        let files = files.iter().map(|path| (path.clone(), last(path).unwrap_or_else(|| stamp(path)))).collect();
        self.files = files;
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = std::fs::metadata(path).ok()?;
    Some(Stamp { modified: (meta.mtime(), meta.mtime_nsec()), length: meta.len(), inode: meta.ino() })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::Watcher;

    #[test]
    fn a_change_is_noticed_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        fs::write(&file, "one").unwrap();
        let mut watcher = Watcher::new(std::slice::from_ref(&file));
        assert!(!watcher.changed());
        fs::write(&file, "three").unwrap();
        assert!(watcher.changed());
        assert!(!watcher.changed());
        fs::remove_file(&file).unwrap();
        assert!(watcher.changed());
    }

    #[test]
    fn a_swapped_symlink_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        for version in ["v1", "v2"] {
            fs::create_dir(dir.path().join(version)).unwrap();
            fs::write(dir.path().join(version).join("keys.yaml"), "[]").unwrap();
        }
        let (data, next) = (dir.path().join("data"), dir.path().join("next"));
        symlink("v1", &data).unwrap();
        let mut watcher = Watcher::new(&[data.join("keys.yaml")]);
        assert!(!watcher.changed());
        symlink("v2", &next).unwrap();
        fs::rename(&next, &data).unwrap();
        assert!(watcher.changed());
    }

    #[test]
    fn following_other_files_loses_no_change() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&a, "one").unwrap();
        let mut watcher = Watcher::new(std::slice::from_ref(&a));
        fs::write(&a, "three").unwrap();
        watcher.follow(&[a, b.clone()]);
        assert!(watcher.changed());
        fs::write(&b, "new").unwrap();
        assert!(watcher.changed());
    }
}
