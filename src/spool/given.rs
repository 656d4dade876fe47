//! The number given out last, where the death of the process leaves it.
//!
//! The log says which numbers have a record; this says which there are. So the next start knows of each number that was
//! given out and has none: a request let in without room, a tail that was damaged, records that the loss of power took.
//! One word in mapped memory is stored for each number: not durable on its own, and never needed to read the log.
//!
//! Epochs take turns with two slots, so that the one before is known until all that it tells is in the log:
//! `magic 8 | epoch 8 | previous epoch 8 | previous number 8 | ended in order 8 | crc32c 4 | zeros 4 | word 8 | zeros 8`

use std::io;

use super::directory::Directory;
use super::mapped::Mapped;
use super::segment::SpoolId;
use crate::event::Previous;

const SLOT_BYTES: usize = 64;
const WORD_AT: usize = 48;
const MAGIC: [u8; 8] = *b"TGGIVEN\n";
/// A number takes this many bits of its word; the others check it.
const NUMBER_BITS: u32 = 48;

/// What an epoch has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Noted {
    pub(super) epoch: u64,
    /// The last number given out.
    pub(super) number: u64,
    pub(super) previous: Option<Previous>,
}

/// This epoch's word.
pub(super) struct Given {
    mapped: Mapped,
    at: usize,
}

/// What the last epochs have left; nothing where it is damaged.
pub(super) fn load(directory: &Directory, spool: SpoolId) -> Vec<Noted> {
    let bytes = directory.open_given().and_then(|file| file.read_all(2 * SLOT_BYTES)).unwrap_or_default();
    bytes.chunks_exact(SLOT_BYTES).filter_map(|slot| decode(spool, slot)).collect()
}

impl Given {
    /// Begins this epoch's slot. What the slot held before must be in the log.
    pub(super) fn begin(
        directory: &Directory,
        spool: SpoolId,
        epoch: u64,
        previous: Option<Previous>,
    ) -> io::Result<Self> {
        let file = directory.change_given()?;
        file.preallocate(2 * SLOT_BYTES)?;
        let at = (epoch % 2) as usize * SLOT_BYTES;
        let mapped = Mapped::new(&file)?;
        // The old word must not be taken for the new epoch's.
        file.write_at(&word(0), (at + WORD_AT) as u64)?;
        file.write_at(&encode(spool, epoch, previous), at as u64)?;
        Ok(Self { mapped, at })
    }

    /// This number is given out.
    pub(super) fn set(&mut self, number: u64) {
        self.mapped.store(self.at + WORD_AT, word(number));
    }
}

fn encode(spool: SpoolId, epoch: u64, previous: Option<Previous>) -> [u8; WORD_AT] {
    let mut slot = [0; WORD_AT];
    let Previous { epoch: before, number, clean } = previous.unwrap_or_default();
    let words = [epoch, before, number, u64::from(clean)].map(u64::to_le_bytes);
    slot[..8].copy_from_slice(&MAGIC);
    slot[8..40].copy_from_slice(words.as_flattened());
    let crc = checksum(spool, &slot[..40]).to_le_bytes();
    slot[40..44].copy_from_slice(&crc);
    slot
}

fn decode(spool: SpoolId, slot: &[u8]) -> Option<Noted> {
    let crc = u32::from_le_bytes(*slot.get(40..)?.first_chunk()?);
    let read = |at: usize| Some(u64::from_le_bytes(*slot.get(at..)?.first_chunk()?));
    if !slot.starts_with(&MAGIC) || checksum(spool, slot.get(..40)?) != crc {
        return None;
    }
    let found = slot.get(WORD_AT..)?.first_chunk::<8>()?;
    let number = u64::from_le_bytes(*found) & ((1 << NUMBER_BITS) - 1);
    let previous = Previous { epoch: read(16)?, number: read(24)?, clean: read(32)? == 1 };
    let previous = Some(previous).filter(|previous| previous.number > 0);
    (word(number) == *found).then_some(Noted { epoch: read(8)?, number, previous })
}

fn word(number: u64) -> [u8; 8] {
    let check = crc32c::crc32c(&number.to_le_bytes()) & 0xFFFF;
    (number | u64::from(check) << NUMBER_BITS).to_le_bytes()
}

fn checksum(spool: SpoolId, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(spool.as_str().as_bytes()), bytes)
}

#[cfg(test)]
mod tests {
    use super::{Given, Noted, Previous, SpoolId, load};
    use crate::spool::directory::Directory;
    use crate::spool::disk::Disk;

    #[test]
    fn the_last_two_epochs_are_known_and_a_damaged_slot_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let (directory, spool) = (Directory::open(Disk::Real, dir.path()).unwrap(), SpoolId::random());
        assert_eq!(load(&directory, spool), []);
        Given::begin(&directory, spool, 1, None).unwrap().set(41);
        let previous = Some(Previous { epoch: 1, number: 41, clean: true });
        Given::begin(&directory, spool, 2, previous).unwrap();
        let two = Noted { epoch: 2, number: 0, previous };
        let one = Noted { epoch: 1, number: 41, previous: None };
        assert_eq!(load(&directory, spool), [two, one]);
        assert_eq!(load(&directory, SpoolId::random()), []);

        let bytes = std::fs::read(dir.path().join("numbers")).unwrap();
        for bit in 64 * 8..(64 + 44) * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(dir.path().join("numbers"), &flipped).unwrap();
            assert_eq!(load(&directory, spool), [two], "bit {bit}");
        }
        for bit in (64 + 48) * 8..(64 + 56) * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(dir.path().join("numbers"), &flipped).unwrap();
            assert_eq!(load(&directory, spool), [two], "bit {bit} of the word");
        }
        std::fs::write(dir.path().join("numbers"), &bytes).unwrap();
        Given::begin(&directory, spool, 3, None).unwrap().set(7);
        assert_eq!(load(&directory, spool), [two, Noted { epoch: 3, number: 7, previous: None }]);
    }
}
