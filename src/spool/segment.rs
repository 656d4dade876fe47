//! One file of the log: its header, and how it is made.
//!
//! A segment's blocks are allocated when it is made, so that a full disk shows there and never in an append, and so
//! that writing to its mapping cannot fail. It is written by one process only and never appended to by a later one.
//!
//! Zeros are written into it before it is mapped, because memory made by writes comes in large pages and memory made by
//! touching a mapping does not: of 3.3 µs that the kernel took for a request's share of a segment 0.7 were left. What
//! a delivered segment's file would save if it were used again is less than that, and is not taken: all that tells the
//! end of a log from its middle rests on nothing but zeros lying after it.

use std::io;
use std::sync::Arc;

use super::directory::Directory;
use super::disk::File;
use super::mapped::Mapped;
use super::record::Salt;
use crate::types::Timestamp;

/// The size of a segment. Small, because mapped pages count as resident and only whole segments are deleted.
pub(super) const SEGMENT_BYTES: usize = 4 * 1024 * 1024;
/// Bytes before the first record.
pub(super) const HEADER_BYTES: usize = 64;

const MAGIC: [u8; 8] = *b"TGSPOOL\n";
const VERSION: u32 = 1;

/// Names a spool for ever: 12 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpoolId([u8; 12]);

impl SpoolId {
    /// A new one.
    pub(super) fn random() -> Self {
        Self(std::array::from_fn(|_| fastrand::digit(16) as u8))
    }

    /// Reads 12 lower-case hex digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = <[u8; 12]>::try_from(text.as_bytes()).ok()?;
        let hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        bytes.iter().all(hex).then_some(Self(bytes))
    }

    /// As text.
    pub(super) fn as_str(&self) -> &str {
        // Hex digits are text by construction.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Binds the checksums of a segment.
    pub(super) fn salt(self, id: SegmentId) -> Salt {
        Salt::new(&self.0, id.epoch, id.number)
    }
}

/// A segment's place in the log; ordered as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentId {
    pub(super) epoch: u64,
    pub(super) number: u64,
}

/// The first bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) spool: SpoolId,
    pub(super) id: SegmentId,
    pub(super) created_ms: u64,
}

impl Header {
    /// `magic 8 | version 4 | spool 12 | epoch 8 | number 8 | created ms 8 | zeros 12 | crc32c 4`
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..24].copy_from_slice(&self.spool.0);
        bytes[24..32].copy_from_slice(&self.id.epoch.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.id.number.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.created_ms.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` if damaged or of a version that we don't know.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<HEADER_BYTES>()?;
        if crc32c::crc32c(&bytes[..60]).to_le_bytes() != bytes[60..] {
            return None;
        }
        let rest = bytes.strip_prefix(&MAGIC)?.strip_prefix(&VERSION.to_le_bytes())?;
        let (spool, rest) = rest.split_first_chunk::<12>()?;
        let (epoch, rest) = rest.split_first_chunk::<8>()?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let (created, _) = rest.split_first_chunk::<8>()?;
        let id = SegmentId { epoch: u64::from_le_bytes(*epoch), number: u64::from_le_bytes(*number) };
        let spool = SpoolId::parse(std::str::from_utf8(spool).ok()?)?;
        Some(Self { spool, id, created_ms: u64::from_le_bytes(*created) })
    }
}

/// A segment of this process, ready to be written.
pub(super) struct Segment {
    pub(super) id: SegmentId,
    pub(super) file: Arc<File>,
    pub(super) mapped: Mapped,
    pub(super) salt: Salt,
    /// Its size.
    pub(super) bytes: usize,
    /// Whether all its pages are present.
    pub(super) prefaulted: bool,
}

impl Segment {
    /// Makes one, the first bytes of it in memory. On failure nothing is left behind.
    pub(super) fn create(directory: &Directory, spool: SpoolId, id: SegmentId, in_memory: usize) -> io::Result<Self> {
        let file = directory.create_segment(id)?;
        let made = Self::fill(file, (directory.disk.segment_bytes(), in_memory), (spool, id));
        if made.is_err() {
            let _ = directory.disk.unlink(&directory.segment(id));
        }
        made
    }

    fn fill(file: File, (bytes, in_memory): (usize, usize), (spool, id): (SpoolId, SegmentId)) -> io::Result<Self> {
        file.preallocate(bytes)?;
        file.write_zeros(in_memory)?;
        let created_ms = Timestamp::now().as_millis();
        file.write_at(&Header { spool, id, created_ms }.encode(), 0)?;
        let mapped = Mapped::new(&file)?;
        Ok(Self { id, file: Arc::new(file), mapped, salt: spool.salt(id), bytes, prefaulted: false })
    }
}

#[cfg(test)]
mod tests {
    use super::{Header, SegmentId, SpoolId};

    #[test]
    fn a_header_round_trips_and_any_changed_byte_is_noticed() {
        let header =
            Header { spool: SpoolId::random(), id: SegmentId { epoch: 3, number: 41 }, created_ms: 1_795_255_200_250 };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Some(header));
        for at in 0..bytes.len() {
            let mut changed = bytes;
            changed[at] ^= 1;
            assert_eq!(Header::decode(&changed), None, "byte {at}");
        }
    }

    #[test]
    fn a_spool_id_is_twelve_hex_digits() {
        assert!(SpoolId::parse(SpoolId::random().as_str()).is_some());
        assert!(SpoolId::parse("0123456789aG").is_none());
        assert!(SpoolId::parse("0123").is_none());
    }
}
