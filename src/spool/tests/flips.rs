//! Every bit of a segment, flipped.
//!
//! The normal run flips every bit of a 64 KiB segment and reads it as recovery does; with `TOLLGATE_FLIP_BYTES` set the
//! segment has that size (1048576 for the whole sweep). A flip may cost the one record that it hits and nothing else,
//! and is never silent.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::spool::record::{self, ALIGNMENT, Head, Kind};
use crate::spool::scan::Scan;
use crate::spool::segment::{HEADER_BYTES, Header, SegmentId, SpoolId};

const NORMAL: usize = 64 * 1024;

struct Sample {
    bytes: Vec<u8>,
    spool: SpoolId,
    /// Offset, size without padding, size.
    records: Vec<(usize, usize, usize)>,
}

/// Filled to the last byte that a record fits into, with records of all sizes.
fn sample(bytes: usize) -> Sample {
    let (spool, id) = (SpoolId::random(), SegmentId { epoch: 1, number: 1 });
    let salt = spool.salt(id);
    let mut sample =
        Sample { bytes: Header { spool, id, created_ms: 7 }.encode().to_vec(), spool, records: Vec::new() };
    let mut dice = fastrand::Rng::with_seed(1);
    for number in 1.. {
        let kind = if number % 2 == 0 { Kind::Final } else { Kind::Intent };
        let mut payload = vec![0; dice.usize(..500)];
        dice.fill(&mut payload);
        let at = sample.bytes.len();
        if at + record::size(payload.len()) > bytes {
            break;
        }
        let head = record::encode(salt, Head { kind, flags: 0, epoch: 1, number }, &[&payload]);
        sample.records.push((at, head.len() + payload.len(), record::size(payload.len())));
        sample.bytes.extend_from_slice(&head);
        sample.bytes.extend_from_slice(&payload);
        sample.bytes.resize(at + record::size(payload.len()), 0);
    }
    sample.bytes.resize(bytes.max(sample.bytes.len()), 0);
    sample
}

/// Flips one bit and reads from a little before it to a little after: what lies further off cannot be touched, as the
/// first and last reads of whole segments show.
fn flip(sample: &Sample, bytes: &mut [u8], bit: usize, whole: bool) {
    let at = bit / 8;
    bytes[at] ^= 1 << (bit % 8);
    let salt = sample.spool.salt(SegmentId { epoch: 1, number: 1 });
    let hit = sample.records.partition_point(|(start, ..)| *start <= at).checked_sub(1);
    let first = if whole { 0 } else { hit.unwrap_or(0).saturating_sub(1) };
    let last = if whole { sample.records.len() } else { sample.records.len().min(hit.unwrap_or(0) + 3) };
    let until = if last == sample.records.len() { bytes.len() } else { sample.records[last].0 };
    let mut scan = Scan::new(&bytes[..until], salt, sample.records[first].0);
    let found: Vec<_> = scan.by_ref().map(|(found, end)| (end - found.size(), found.head.number as usize)).collect();

    let gone = hit.filter(|hit| at < sample.records[*hit].0 + sample.records[*hit].1);
    let rest = (first..last).filter(|record| Some(*record) != gone);
    let expected: Vec<_> = rest.map(|record| (sample.records[record].0, record + 1)).collect();
    assert!(found == expected, "bit {bit}: {found:?} instead of {expected:?}");
    let end = sample.records.last().map_or(0, |(start, _, size)| start + size);
    let reported = gone.is_some() || at >= end;
    let header = Header::decode(bytes).is_none();
    assert_eq!(scan.damaged() > 0, reported, "bit {bit}: what is damaged is said, and nothing else");
    assert_eq!(header, at < HEADER_BYTES, "bit {bit}: a damaged header is noticed");
    bytes[at] ^= 1 << (bit % 8);
}

#[test]
fn a_flipped_bit_costs_at_most_the_record_it_hits_and_is_never_silent() {
    let bytes =
        std::env::var_os("TOLLGATE_FLIP_BYTES").and_then(|bytes| bytes.to_str()?.parse().ok()).unwrap_or(NORMAL);
    let sample = sample(bytes);
    assert!(sample.records.iter().all(|(start, ..)| start % ALIGNMENT == 0) && sample.records.len() > 40);
    let (next, flipped) = (AtomicUsize::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, Into::into) {
            scope.spawn(|| {
                let mut own = sample.bytes.clone();
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= own.len() {
                        return;
                    }
                    for bit in at * 8..at * 8 + 8 {
                        flip(&sample, &mut own, bit, at.is_multiple_of(4096));
                        flipped.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    println!("{} bits flipped", flipped.load(Ordering::Relaxed));
    assert_eq!(flipped.into_inner(), bytes as u64 * 8);
}
