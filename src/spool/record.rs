//! One record of the log as bytes: framing and checksum, nothing else. Pure; neither reads nor writes a file.
//!
//! ```text
//! marker 2 | length of the payload 4 | kind 1 | flags 1 | epoch 8 | number 8 | crc32c 4 | payload | zeros up to 8
//! ```
//! Integers are little-endian. The first 8 bytes are what publishes a record. The checksum covers all but the marker
//! and is salted with spool, epoch and segment, so that a block left over from another file never reads as a record.
//! The marker begins with a byte that no UTF-8 text holds, so that no event can look like a record.

use crate::event::{self, Damage, Previous, Snapshot};

/// Bytes before the payload.
pub(super) const HEAD_BYTES: usize = 28;
/// Longer Kafka keys are cut.
pub(super) const MAX_KEY_BYTES: usize = 256;
/// The longest payload: the key's length, the key, the event.
pub(super) const MAX_PAYLOAD_BYTES: usize = 2 + MAX_KEY_BYTES + event::MAX_BYTES;
/// What stands before the snapshot in a FURTHER's payload.
pub(super) const FURTHER_PREFIX: usize = 4;
/// The longest record.
pub(super) const MAX_RECORD_BYTES: usize = size(MAX_PAYLOAD_BYTES);
/// Records begin at multiples of this.
pub(super) const ALIGNMENT: usize = 8;
/// Flag: a copy of an INTENT whose segment was to be deleted.
pub(super) const CARRIED: u8 = 1;
/// Flag: written by recovery for an earlier process.
pub(super) const RECOVERED: u8 = 2;
/// Flag: a copy of a record whose segment could not be synced. Its own process delivers the original.
pub(super) const REWRITTEN: u8 = 4;

/// What stands before the key in a LOSS_REPORT's payload.
const LOSS_PREFIX: usize = 24;
const MARKER: [u8; 2] = [0xF5, 0xA7];

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of a later version: skipped.
    Unknown = 0,
    /// A process began; its payload is the last epoch before it that gave out numbers, that one's last number, and 1 if
    /// it ended in order.
    EpochOpen = 1,
    /// A request was admitted; its payload is the event to publish if nothing else follows.
    Intent = 2,
    /// A request ended; its payload is its event.
    Final = 3,
    /// Numbers were given out and have no event; the record's own is the first, 0 if none is known. The payload is the
    /// damaged segment, the offset in it, the last number, and a loss event as in a FINAL.
    LossReport = 4,
    /// A process ended in order; the number is the last one given out.
    EpochClose = 5,
    /// A request goes on; its payload takes the place of its INTENT's.
    Progress = 6,
    /// A segment follows another of the same process; up to the number, the first record or the report of each stands
    /// before.
    Follows = 7,
    /// A request goes on, and nothing of its event has changed but numbers; the payload is the checksum of the payload of
    /// the INTENT or PROGRESS that they belong to, and a snapshot of them. Versions that do not know it fall back to that.
    Further = 8,
}

impl Kind {
    fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::EpochOpen,
            2 => Self::Intent,
            3 => Self::Final,
            4 => Self::LossReport,
            5 => Self::EpochClose,
            6 => Self::Progress,
            7 => Self::Follows,
            8 => Self::Further,
            _ => Self::Unknown,
        }
    }
}

/// What stands before the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) epoch: u64,
    pub(super) number: u64,
}

/// A whole record, as found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) head: Head,
    pub(super) payload: &'a [u8],
}

impl Found<'_> {
    /// Bytes that it takes in the log.
    pub(super) fn size(&self) -> usize {
        size(self.payload.len())
    }

    /// Key and event, if sinks are to have it.
    pub(super) fn event(&self) -> Option<(&[u8], &[u8])> {
        match self.head.kind {
            Kind::Final => split_payload(self.payload),
            Kind::LossReport => split_payload(self.payload.get(LOSS_PREFIX..)?),
            _ => None,
        }
    }

    /// What an EPOCH_OPEN says of the epoch before it; those of old versions don't say how it ended.
    pub(super) fn previous(&self) -> Option<Previous> {
        let word = |at: usize| self.payload.get(at..)?.first_chunk::<8>().map(|word| u64::from_le_bytes(*word));
        Some(Previous { epoch: word(0)?, number: word(8)?, clean: word(16) == Some(1) })
    }

    /// What a FURTHER goes on from, by its checksum, and with which numbers.
    pub(super) fn further(&self) -> Option<(u32, Snapshot)> {
        let (from, snapshot) = self.payload.split_first_chunk::<FURTHER_PREFIX>()?;
        Some((u32::from_le_bytes(*from), Snapshot::decode(snapshot)?))
    }

    /// What a LOSS_REPORT that is an event is about: where the damage is (its length is not said), and the last number.
    pub(super) fn loss(&self) -> Option<(Damage, u64)> {
        let (words, _) = self.payload.split_at_checked(LOSS_PREFIX)?;
        let word = |at: usize| words.get(at..)?.first_chunk::<8>().map(|word| u64::from_le_bytes(*word));
        Some((Damage { segment: word(0)?, offset: word(8)?, bytes: 0 }, word(16)?))
    }
}

/// Binds checksums to one segment of one spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Salt(u32);

impl Salt {
    pub(super) fn new(spool: &[u8], epoch: u64, segment: u64) -> Self {
        let crc = crc32c::crc32c(spool);
        let crc = crc32c::crc32c_append(crc, &epoch.to_le_bytes());
        Self(crc32c::crc32c_append(crc, &segment.to_le_bytes()))
    }
}

/// Bytes that a record with such a payload takes in the log.
pub(super) const fn size(payload_bytes: usize) -> usize {
    (HEAD_BYTES + payload_bytes).next_multiple_of(ALIGNMENT)
}

/// The bytes before the payload, which may come in parts so that nobody needs to join them.
pub(super) fn encode(salt: Salt, head: Head, payload: &[&[u8]]) -> [u8; HEAD_BYTES] {
    let length = payload.iter().map(|part| part.len()).sum::<usize>() as u32;
    let mut bytes = [0; HEAD_BYTES];
    bytes[..2].copy_from_slice(&MARKER);
    bytes[2..6].copy_from_slice(&length.to_le_bytes());
    bytes[6] = head.kind as u8;
    bytes[7] = head.flags;
    bytes[8..16].copy_from_slice(&head.epoch.to_le_bytes());
    bytes[16..24].copy_from_slice(&head.number.to_le_bytes());
    let crc = crc32c::crc32c_append(salt.0, &bytes[2..24]);
    let crc = payload.iter().fold(crc, |crc, part| crc32c::crc32c_append(crc, part));
    bytes[24..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The record that begins with the first byte, if a whole and undamaged one does.
pub(super) fn decode(bytes: &[u8], salt: Salt) -> Option<Found<'_>> {
    let rest = bytes.strip_prefix(&MARKER)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (&[kind, flags], rest) = rest.split_first_chunk::<2>()?;
    let (epoch, rest) = rest.split_first_chunk::<8>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_PAYLOAD_BYTES {
        return None;
    }
    let payload = rest.get(..length)?;
    let found = crc32c::crc32c_append(salt.0, bytes.get(2..24)?);
    if crc32c::crc32c_append(found, payload) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (epoch, number) = (u64::from_le_bytes(*epoch), u64::from_le_bytes(*number));
    Some(Found { head: Head { kind: Kind::from_byte(kind), flags, epoch, number }, payload })
}

/// A key as it is kept: cut at a character if it is too long.
pub(super) fn clamp_key(key: &str) -> &str {
    key.get(..key.floor_char_boundary(MAX_KEY_BYTES)).unwrap_or(key)
}

/// The length that stands before the (clamped) key.
pub(super) fn key_length(key: &str) -> [u8; 2] {
    (key.len() as u16).to_le_bytes()
}

/// Takes the payload of an INTENT or FINAL apart: key and event.
pub(super) fn split_payload(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = payload.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
}

/// For the fuzz target: whatever these bytes are, they are a record or none, and one keeps within its bytes.
#[cfg(fuzzing)]
pub fn fuzz(bytes: &[u8]) {
    let salt = Salt::new(b"fuzz", 1, 1);
    let head = Head { kind: Kind::Final, flags: 0, epoch: 1, number: 1 };
    let whole = [encode(salt, head, &[bytes]).as_slice(), bytes].concat();
    for bytes in [bytes, &whole] {
        if let Some(found) = decode(bytes, salt) {
            assert!(found.size() <= bytes.len().next_multiple_of(ALIGNMENT));
            assert!(found.event().is_none_or(|(key, event)| key.len() + event.len() < bytes.len()));
            found.loss();
            found.further();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{Head, Kind, MARKER, MAX_KEY_BYTES, Salt, clamp_key, decode, encode, key_length, size, split_payload};

    fn whole(salt: Salt, head: Head, payload: &[u8]) -> Vec<u8> {
        let mut bytes = encode(salt, head, &[payload]).to_vec();
        bytes.extend_from_slice(payload);
        bytes.resize(size(payload.len()), 0);
        bytes
    }

    fn head() -> Head {
        Head { kind: Kind::Final, flags: 0, epoch: 3, number: 41 }
    }

    proptest! {
        #[test]
        fn any_payload_round_trips(payload: Vec<u8>, epoch: u64, number: u64, flags: u8) {
            let salt = Salt::new(b"0123456789ab", 7, 2);
            let head = Head { kind: Kind::Intent, flags, epoch, number };
            let bytes = whole(salt, head, &payload);
            let found = decode(&bytes, salt).unwrap();
            assert_eq!((found.head, found.payload, found.size()), (head, payload.as_slice(), bytes.len()));
        }

        #[test]
        fn a_changed_byte_never_gives_another_record(payload: Vec<u8>, place: proptest::sample::Index, change in 1u8..) {
            let salt = Salt::new(b"0123456789ab", 7, 2);
            let mut bytes = whole(salt, head(), &payload);
            let at = place.index(bytes.len());
            bytes[at] ^= change;
            if let Some(found) = decode(&bytes, salt) {
                assert_eq!((found.head, found.payload), (head(), payload.as_slice()), "only padding may change");
            }
        }

        #[test]
        fn any_bytes_decode_without_a_panic(bytes: Vec<u8>, as_record: bool, length: u32) {
            let mut bytes = bytes;
            if as_record {
                bytes.splice(..0, MARKER.into_iter().chain(length.to_le_bytes()));
            }
            let salt = Salt::new(b"0123456789ab", 7, 2);
            if let Some(found) = decode(&bytes, salt) {
                assert_eq!(whole(salt, found.head, found.payload)[..found.size()], bytes[..found.size()]);
            }
            let _ = split_payload(&bytes);
        }

        #[test]
        fn a_record_cut_off_anywhere_is_none(payload: Vec<u8>, place: proptest::sample::Index) {
            let salt = Salt::new(b"0123456789ab", 7, 2);
            let whole = [encode(salt, head(), &[&payload]).as_slice(), &payload].concat();
            assert!(decode(&whole, salt).is_some());
            let left = place.index(whole.len());
            assert_eq!(decode(&whole[..left], salt), None);
            let mut zeroed = whole.clone();
            zeroed[left..].fill(0);
            assert_eq!(decode(&zeroed, salt).is_some(), zeroed == whole, "as a torn write leaves it");
        }

        #[test]
        fn arbitrary_bytes_are_not_a_record(mut bytes: Vec<u8>, epoch in any::<u64>()) {
            bytes.splice(..0, [MARKER[0], MARKER[1], 3, 0, 0, 0]);
            assert_eq!(decode(&bytes, Salt::new(b"0123456789ab", epoch, 1)), None);
        }
    }

    #[test]
    fn a_record_of_another_segment_is_not_ours() {
        let bytes = whole(Salt::new(b"0123456789ab", 7, 2), head(), b"payload");
        assert!(decode(&bytes, Salt::new(b"0123456789ab", 7, 2)).is_some());
        assert_eq!(decode(&bytes, Salt::new(b"0123456789ab", 7, 3)), None);
        assert_eq!(decode(&bytes, Salt::new(b"0123456789ab", 8, 2)), None);
        assert_eq!(decode(&bytes, Salt::new(b"0123456789ac", 7, 2)), None);
    }

    #[test]
    fn a_key_is_cut_at_a_character_and_found_again() {
        assert_eq!(clamp_key("org_acme"), "org_acme");
        let long = "é".repeat(MAX_KEY_BYTES);
        let key = clamp_key(&long);
        assert_eq!(key.len(), MAX_KEY_BYTES);
        let payload = [&key_length(key), key.as_bytes(), b"{}"].concat();
        assert_eq!(split_payload(&payload), Some((key.as_bytes(), b"{}".as_slice())));
        assert_eq!(split_payload(&[9, 0, 1]), None);
    }
}
