//! Walks over the records of a segment that may be damaged.
//!
//! Stops at nothing: after a bad record it goes on at the next place where a record begins and its checksum holds.
//! Zeros up to the end are the unused rest of a segment; anything else between records is counted as damage, once per
//! stretch.

use std::ops::Range;

use super::record::{self, ALIGNMENT, Found, Salt};

/// The records of a segment, in order.
pub(super) struct Scan<'a> {
    bytes: &'a [u8],
    salt: Salt,
    at: usize,
    used: usize,
    damaged: Vec<Range<usize>>,
}

impl<'a> Scan<'a> {
    /// Begins at `from`, a multiple of 8.
    pub(super) fn new(bytes: &'a [u8], salt: Salt, from: usize) -> Self {
        Self { bytes, salt, at: from, used: from, damaged: Vec::new() }
    }

    /// Number of damaged stretches passed so far.
    pub(super) fn damaged(&self) -> u64 {
        self.damaged.len() as u64
    }

    /// The damaged stretches passed so far.
    pub(super) fn stretches(&self) -> &[Range<usize>] {
        &self.damaged
    }

    /// After the last record: the end of what is not zero, rounded up to the alignment.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// The next record past a stretch that is none.
    fn resynchronise(&mut self) -> Option<Found<'a>> {
        let from = self.at;
        loop {
            self.at += zeros(self.rest()) / ALIGNMENT * ALIGNMENT;
            if self.at >= self.bytes.len() {
                break;
            }
            let found = record::decode(self.rest(), self.salt);
            if found.is_some() {
                self.damaged.push(from..self.at);
                return found;
            }
            self.at += ALIGNMENT;
            self.used = self.at.min(self.bytes.len());
        }
        if self.used > from {
            self.damaged.push(from..self.used);
        }
        None
    }
}

impl<'a> Iterator for Scan<'a> {
    /// A record and the offset after it.
    type Item = (Found<'a>, usize);

    fn next(&mut self) -> Option<Self::Item> {
        let found = record::decode(self.rest(), self.salt).or_else(|| self.resynchronise())?;
        self.at += found.size();
        self.used = self.at.min(self.bytes.len());
        Some((found, self.at))
    }
}

/// How many zeros the bytes begin with.
fn zeros(bytes: &[u8]) -> usize {
    const PAGE: [u8; 4096] = [0; 4096];
    // Most of an unused rest is whole pages: compared as such this takes microseconds.
    let pages = bytes.chunks_exact(PAGE.len()).take_while(|page| *page == PAGE).count() * PAGE.len();
    let rest = bytes.get(pages..).unwrap_or_default();
    let lines = rest.chunks_exact(64).take_while(|line| **line == PAGE[..64]).count() * 64;
    let rest = rest.get(lines..).unwrap_or_default();
    pages + lines + rest.iter().take_while(|byte| **byte == 0).count()
}

#[cfg(test)]
mod tests {
    use super::Scan;
    use crate::spool::record::{self, Head, Kind, Salt};

    fn salt() -> Salt {
        Salt::new(b"0123456789ab", 1, 1)
    }

    fn three_records() -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in 1..=3 {
            let head = Head { kind: Kind::Final, flags: 0, epoch: 1, number };
            let payload = [b'x'; 100];
            bytes.extend_from_slice(&record::encode(salt(), head, &[&payload]));
            bytes.extend_from_slice(&payload);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        bytes
    }

    fn numbers(scan: &mut Scan<'_>) -> Vec<u64> {
        scan.map(|(found, _)| found.head.number).collect()
    }

    #[test]
    fn zeros_at_the_end_are_not_damage() {
        let mut bytes = three_records();
        let used = bytes.len();
        bytes.resize(20_000, 0);
        let mut scan = Scan::new(&bytes, salt(), 0);
        assert_eq!(numbers(&mut scan), [1, 2, 3]);
        assert_eq!((scan.damaged(), scan.used()), (0, used));
    }

    #[test]
    fn a_bad_byte_costs_one_record() {
        for at in 0..128 {
            let mut bytes = three_records();
            bytes[128 + at] ^= 0x40;
            let mut scan = Scan::new(&bytes, salt(), 0);
            assert_eq!(numbers(&mut scan), [1, 3], "byte {at}");
            assert_eq!(scan.damaged(), 1);
        }
    }

    #[test]
    fn zeros_in_the_middle_are_damage_and_end_nothing() {
        let mut bytes = three_records();
        bytes[128..256].fill(0);
        let mut scan = Scan::new(&bytes, salt(), 0);
        assert_eq!(numbers(&mut scan), [1, 3]);
        assert_eq!(scan.damaged(), 1);
    }
}
