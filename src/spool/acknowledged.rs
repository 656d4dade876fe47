//! A sink's mark on disk: up to where it has delivered.
//!
//! Two slots are written in turn, so that a torn write costs the newer mark and never both; the result is then a
//! repeated delivery, never a skipped one. A mark is durable when `write` returns. It is bound to the spool by its
//! checksum: the mark of another spool counts as none.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Access, Disk, File};
use super::position::Position;
use super::segment::{SegmentId, SpoolId};

const SLOT_BYTES: usize = 64;
const MAGIC: [u8; 8] = *b"TGMARK1\n";

/// The mark of one sink.
pub(super) struct Mark {
    disk: Disk,
    path: PathBuf,
    spool: SpoolId,
    generation: u64,
    file: Option<File>,
}

impl Mark {
    /// Reads a mark; without a readable one the position is the beginning.
    pub(super) fn load(disk: &Disk, path: PathBuf, spool: SpoolId) -> (Self, Position) {
        let (generation, position) = newest(disk, &path, spool).unwrap_or_default();
        (Self { disk: disk.clone(), path, spool, generation, file: None }, position)
    }

    /// Makes a position durable as the sink's mark.
    pub(super) fn write(&mut self, position: Position) -> io::Result<()> {
        let generation = self.generation + 1;
        let slot = encode(self.spool, generation, position);
        let file = self.open()?;
        file.write_at(&slot, (generation % 2) * SLOT_BYTES as u64)?;
        file.sync()?;
        self.generation = generation;
        Ok(())
    }

    fn open(&mut self) -> io::Result<&File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.create()?,
        };
        Ok(self.file.insert(file))
    }

    fn create(&self) -> io::Result<File> {
        let file = self.disk.open(&self.path, Access::Change)?;
        self.path.parent().map_or(Ok(()), |above| self.disk.sync_dir(above))?;
        Ok(file)
    }
}

/// The place that a mark names, whatever sink it is of; the beginning if it cannot be read. Its epoch was given out.
pub(super) fn place(disk: &Disk, path: &Path, spool: SpoolId) -> (SegmentId, u64) {
    newest(disk, path, spool).map(|(_, position)| position.place()).unwrap_or_default()
}

fn newest(disk: &Disk, path: &Path, spool: SpoolId) -> Option<(u64, Position)> {
    let file = disk.open(path, Access::Read).ok()?;
    let read = |slot: u64| {
        let mut bytes = [0; SLOT_BYTES];
        file.read_at(&mut bytes, slot * SLOT_BYTES as u64).ok()?;
        decode(spool, &bytes)
    };
    [read(0), read(1)].into_iter().flatten().max_by_key(|(generation, _)| *generation)
}

/// `magic 8 | generation 8 | epoch 8 | segment 8 | end 8 | zeros 20 | crc32c 4`
fn encode(spool: SpoolId, generation: u64, position: Position) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..8].copy_from_slice(&MAGIC);
    slot[8..16].copy_from_slice(&generation.to_le_bytes());
    slot[16..24].copy_from_slice(&position.segment.epoch.to_le_bytes());
    slot[24..32].copy_from_slice(&position.segment.number.to_le_bytes());
    slot[32..40].copy_from_slice(&position.end.to_le_bytes());
    let crc = checksum(spool, &slot);
    slot[60..].copy_from_slice(&crc);
    slot
}

fn decode(spool: SpoolId, slot: &[u8; SLOT_BYTES]) -> Option<(u64, Position)> {
    if checksum(spool, slot) != slot[60..] {
        return None;
    }
    let rest = slot.strip_prefix(&MAGIC)?;
    let (generation, rest) = rest.split_first_chunk::<8>()?;
    let (epoch, rest) = rest.split_first_chunk::<8>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (end, _) = rest.split_first_chunk::<8>()?;
    let segment = SegmentId { epoch: u64::from_le_bytes(*epoch), number: u64::from_le_bytes(*number) };
    let position = Position { segment, end: u64::from_le_bytes(*end), ordinal: 0 };
    Some((u64::from_le_bytes(*generation), position))
}

fn checksum(spool: SpoolId, slot: &[u8; SLOT_BYTES]) -> [u8; 4] {
    crc32c::crc32c_append(crc32c::crc32c(spool.as_str().as_bytes()), &slot[..60]).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Disk, Mark, Position, SegmentId, SpoolId};

    fn position(number: u64) -> Position {
        Position { segment: SegmentId { epoch: 1, number }, end: 640, ordinal: 0 }
    }

    #[test]
    fn the_newest_mark_is_read_and_a_torn_one_falls_back_to_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let (path, spool) = (dir.path().join("ack.kafka"), SpoolId::random());
        let (mut mark, start) = Mark::load(&Disk::Real, path.clone(), spool);
        assert_eq!(start, Position::default());
        mark.write(position(1)).unwrap();
        mark.write(position(2)).unwrap();
        assert_eq!(Mark::load(&Disk::Real, path.clone(), spool).1, position(2));

        let mut bytes = fs::read(&path).unwrap();
        bytes[40] ^= 1; // generation 2 lies in the first slot
        fs::write(&path, &bytes).unwrap();
        let (mut mark, found) = Mark::load(&Disk::Real, path.clone(), spool);
        assert_eq!(found, position(1));
        mark.write(position(3)).unwrap();
        assert_eq!(Mark::load(&Disk::Real, path, spool).1, position(3));
    }

    #[test]
    fn a_mark_of_another_spool_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ack.kafka");
        Mark::load(&Disk::Real, path.clone(), SpoolId::random()).0.write(position(1)).unwrap();
        assert_eq!(Mark::load(&Disk::Real, path, SpoolId::random()).1, Position::default());
    }
}
