//! Every bit of a segment, flipped.
//!
//! Twice: read as any reader reads, each bit of 64 KiB; and from the start of a process to what a sink is given, each bit
//! of a smaller one. A flip may cost the one record that it hits and nothing else; it never makes another record of it,
//! and no number is missing without a loss event that names it. With `TOLLGATE_FLIP_BYTES` set the segments have that
//! size (1048576 for the whole sweep); `TOLLGATE_FLIP_BITS` then flips so many bits of each byte in the second (1 takes
//! each place in a byte as often), and `TOLLGATE_FLIP_TOGETHER` so many before one start, far apart (at most 16, for of
//! more stretches in one segment some are told as one). `make soak-flips` does so.

mod started;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::setting;
use crate::spool::record::{self, ALIGNMENT, Head, Kind};
use crate::spool::scan::Scan;
use crate::spool::segment::{HEADER_BYTES, Header, SegmentId, SpoolId};

const NORMAL: usize = 64 * 1024;

/// Runs `flip` for each bit up to `bits`, `step` apart, on all cores; each has its own copy of `state`.
fn sweep<T: Clone + Send + Sync>(state: &T, (bits, step): (usize, usize), flip: impl Fn(&mut T, usize) + Sync) -> u64 {
    const AT_ONCE: usize = 64;
    let (next, flipped) = (AtomicUsize::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, Into::into) {
            scope.spawn(|| {
                let mut own = state.clone();
                loop {
                    let from = next.fetch_add(AT_ONCE, Ordering::Relaxed);
                    if from * step >= bits {
                        return;
                    }
                    for bit in (from..from + AT_ONCE).map(|at| at * step).take_while(|bit| *bit < bits) {
                        flip(&mut own, bit);
                        flipped.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    flipped.into_inner()
}

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
    let bytes = setting("TOLLGATE_FLIP_BYTES", NORMAL);
    let sample = sample(bytes);
    assert!(sample.records.iter().all(|(start, ..)| start % ALIGNMENT == 0) && sample.records.len() > 40);
    let flipped =
        sweep(&sample.bytes, (bytes * 8, 1), |own, bit| flip(&sample, own, bit, bit.is_multiple_of(8 * 4096)));
    println!("{flipped} bits flipped and read");
    assert_eq!(flipped, bytes as u64 * 8);
}
