//! What the file holds already of the events that a killed process will deliver again.
//!
//! The sink's mark follows the lines by a second or two, so after a kill the spool hands out once more what stands at the
//! file's end, in the same order. The file itself is the better mark: an event that is there, to the last byte, is not
//! written twice. Only the file's end is looked at, and only until the first event that is not there. This saves
//! duplicates and is no promise of none: a file that was rotated has another end, and a backlog may go on before it.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

/// So much of the file's end is looked at: more than is written between two marks.
const TAIL_BYTES: u64 = 8 << 20;

/// The lines at a file's end.
#[derive(Debug)]
pub(super) struct Replay {
    tail: Vec<u8>,
    lines: HashMap<u64, Range<usize>>,
    hasher: RandomState,
}

impl Replay {
    /// Reads the end of a file; without one, or where it cannot be read, there are no lines.
    pub(super) fn of(path: Option<&Path>) -> Self {
        let tail = path.and_then(|path| tail(path).ok()).unwrap_or_default();
        let mut replay = Self { tail: Vec::new(), lines: HashMap::new(), hasher: RandomState::new() };
        let mut at = 0;
        // The last line counts only if it is whole; the first, if it is not, is like no event.
        for line in tail.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n")) {
            replay.lines.insert(replay.hasher.hash_one(line), at..at + line.len());
            at += line.len() + 1;
        }
        replay.tail = tail;
        replay
    }

    /// Whether this event is there already.
    pub(super) fn holds(&mut self, event: &[u8]) -> bool {
        if self.lines.is_empty() {
            return false;
        }
        let known = self.lines.get(&self.hasher.hash_one(event)).and_then(|range| self.tail.get(range.clone()));
        if known == Some(event) {
            return true;
        }
        self.lines = HashMap::new();
        self.tail = Vec::new();
        false
    }
}

fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Ok(Vec::new());
    }
    file.seek(SeekFrom::Start(about.len().saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::Replay;

    #[test]
    fn whole_lines_are_known_until_something_new_comes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("usage.jsonl");
        std::fs::write(&path, "a\nb\nc\ntorn").unwrap();
        let mut replay = Replay::of(Some(&path));
        assert!(replay.holds(b"b") && replay.holds(b"c"));
        assert!(!replay.holds(b"torn"));
        assert!(!replay.holds(b"a"), "and then nothing is kept");
        assert!(replay.tail.is_empty());
        assert!(!Replay::of(None).holds(b"a") && !Replay::of(Some(dir.path())).holds(b"a"));
    }
}
