//! Reads the log's events in order, from old segments and from the one being written alike.
//!
//! Reads the files, never the mapping, and only up to where the log says that records are whole; so it shares nothing
//! with the writer but two numbers. It skips damage, once that is looked into, and it never skips what it merely failed
//! to read.

use std::io;

use super::disk::File;
use super::position::Position;
use super::record::{self, ALIGNMENT, MAX_RECORD_BYTES, REWRITTEN, Salt};
use super::repair;
use super::segment::{HEADER_BYTES, SegmentId};
use super::segments::Extent;
use super::shared::Shared;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
const _: () = assert!(CHUNK >= 2 * MAX_RECORD_BYTES, "a chunk must hold any record");

/// An event, as read.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// What to acknowledge once it is delivered.
    pub position: Position,
    /// The Kafka key.
    pub key: String,
    /// The event, encoded.
    pub event: Vec<u8>,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("position", &self.position)
            .field("event_bytes", &self.event.len())
            .finish_non_exhaustive()
    }
}

/// A place in the log to read on from.
pub(super) struct Cursor {
    segment: SegmentId,
    salt: Option<Salt>,
    file: Option<File>,
    at: u64,
    /// Up to here the segment may be read, as far as is known.
    end: u64,
    buffer: Vec<u8>,
    /// The offset of the buffer's first byte.
    start: u64,
    ordinal: u64,
    in_damage: bool,
}

impl Cursor {
    /// Reads on after a position.
    pub(super) fn after(position: Position) -> Self {
        Self {
            segment: position.segment,
            salt: None,
            file: None,
            at: position.end.max(HEADER_BYTES as u64),
            end: 0,
            buffer: Vec::new(),
            start: 0,
            ordinal: position.ordinal,
            in_damage: false,
        }
    }

    /// The next event; `None` if there is none yet.
    pub(super) fn next(&mut self, shared: &Shared) -> io::Result<Option<Record>> {
        loop {
            if self.at >= self.end {
                // The lock's guard must be gone before any file is touched.
                let extent = shared.log().segments.extent(self.segment, self.at);
                let Some(extent) = extent else { return Ok(None) };
                self.turn_to(extent);
            }
            let Some(salt) = self.salt else { return Ok(None) };
            self.fill(shared)?;
            if let Some(record) = self.step(shared, salt)? {
                return Ok(Some(record));
            }
        }
    }

    fn turn_to(&mut self, extent: Extent) {
        if extent.id != self.segment {
            self.segment = extent.id;
            self.at = HEADER_BYTES as u64;
            self.in_damage = false;
            self.file = None;
            self.buffer.clear();
        }
        self.salt = Some(extent.salt);
        self.end = extent.end;
    }

    /// Makes sure that the buffer holds the whole record at `at`.
    fn fill(&mut self, shared: &Shared) -> io::Result<()> {
        let held = self.start + self.buffer.len() as u64;
        let enough = self.end.min(self.at + MAX_RECORD_BYTES as u64);
        if !self.buffer.is_empty() && self.at >= self.start && held >= enough {
            return Ok(());
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => shared.directory.open_segment(self.segment)?,
        };
        let bytes = (self.end - self.at).min(CHUNK as u64) as usize;
        // What it held is overwritten, and not zeroed before.
        self.buffer.resize(bytes, 0);
        let read = self.file.insert(file).read_at(&mut self.buffer, self.at);
        self.start = self.at;
        if read.is_err() {
            self.buffer.clear();
        }
        read
    }

    /// Takes one record, or steps over what is none, once it is known what that costs.
    fn step(&mut self, shared: &Shared, salt: Salt) -> io::Result<Option<Record>> {
        let bytes = self.buffer.get((self.at - self.start) as usize..).unwrap_or_default();
        let Some(found) = record::decode(bytes, salt) else {
            if !self.in_damage {
                repair::damaged(shared, (self.segment, self.at))?;
            }
            self.in_damage = true;
            self.at += ALIGNMENT as u64;
            return Ok(None);
        };
        self.in_damage = false;
        self.at += found.size() as u64;
        let copy = found.head.flags & REWRITTEN != 0 && self.segment.epoch == shared.epoch;
        let Some((key, event)) = found.event().filter(|_| !copy) else { return Ok(None) };
        self.ordinal += 1;
        let position = Position { segment: self.segment, end: self.at, ordinal: self.ordinal };
        Ok(Some(Record { position, key: String::from_utf8_lossy(key).into_owned(), event: event.to_vec() }))
    }
}
