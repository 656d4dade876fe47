//! Every bit of a segment, flipped.
//!
//! Twice: read as any reader reads, each bit of 64 KiB; and from the start of a process to what a sink is given, each bit
//! of a smaller one. A flip may cost the one record that it hits and nothing else; it never makes another record of it,
//! and no number is missing without a loss event that names it. With `TOLLGATE_FLIP_BYTES` set the segments have that
//! size (1048576 for the whole sweep); `TOLLGATE_FLIP_STEP` then flips one bit of so many in the second (9 takes each byte
//! once and each place in a byte as often).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::history::{SEGMENT, open_on};
use crate::config::SyncMode;
use crate::event::LossEvent;
use crate::spool::disk::recorded::{Image, Recorder, root};
use crate::spool::loss;
use crate::spool::record::{self, ALIGNMENT, Head, Kind};
use crate::spool::scan::Scan;
use crate::spool::segment::{HEADER_BYTES, Header, SegmentId, SpoolId};

const NORMAL: usize = 64 * 1024;
/// What the normal run of the second sweep fills of its segment.
const FILLED: usize = 4 * 1024;

fn setting(name: &str, normal: usize) -> usize {
    std::env::var_os(name).and_then(|text| text.to_str()?.parse().ok()).unwrap_or(normal)
}

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

/// What a process has written, and what each number may come back as: its event last.
struct Written {
    image: Image,
    inode: usize,
    segment_bytes: usize,
    /// Bytes of the segment that hold records.
    used: usize,
    events: BTreeMap<u64, Vec<Vec<u8>>>,
    /// Given out, without an event.
    lost: u64,
    given_out: u64,
    /// Offsets of records, without padding.
    records: Vec<(usize, usize)>,
}

/// Requests of all kinds, as long as the first segment has room: whole, refused, lost, and open when the process dies.
fn written(segment_bytes: usize, filled: usize) -> Written {
    let recorder = Recorder::new(segment_bytes);
    let spool = open_on(&recorder, SyncMode::Process).unwrap();
    let mut dice = fastrand::Rng::with_seed(7);
    let mut events = BTreeMap::<u64, Vec<Vec<u8>>>::new();
    let (mut open, mut lost) = (Vec::new(), 0);
    while recorder_end(&spool) + 2 * 700 < filled {
        let number = spool.0.shared.log().numbering.next();
        let texts = events.entry(number).or_default();
        let mut text = |kind: &str| {
            texts.push(format!("{:1$}", format!("{kind} {number} "), dice.usize(20..400)).into_bytes());
            texts.last().unwrap().clone()
        };
        match number % 9 {
            3 => drop(spool.settle_raw("org", &text("refused"))),
            5 => {
                events.remove(&number);
                lost += 1;
                spool.0.shared.log().drop_next();
                loss::tell_when_due(&spool.0.shared);
            }
            7 => open.push(spool.begin_raw("org", &text("intent")).unwrap()),
            kind => {
                let mut ticket = spool.begin_raw("org", &text("intent")).unwrap();
                if kind == 8 {
                    ticket.progress("org", &text("progress"));
                }
                drop(ticket.seal("org", &text("final")));
            }
        }
    }
    let (used, id, given_out) = (recorder_end(&spool), spool.0.shared.id, spool.stats().given_out);
    std::mem::forget((open, spool));
    let image = recorder.image();
    let inode = image.files[&Arc::<std::path::Path>::from(root().join("00000001/00000001.seg"))];
    let salt = id.salt(SegmentId { epoch: 1, number: 1 });
    let scan = Scan::new(&image.contents[inode], salt, HEADER_BYTES);
    let records =
        scan.map(|(found, end)| (end - found.size(), end - found.size() + record::HEAD_BYTES + found.payload.len()));
    let records = records.collect();
    Written { image, inode, segment_bytes, used, events, lost, given_out, records }
}

fn recorder_end(spool: &crate::spool::Spool) -> usize {
    spool.0.shared.log().segments.active_mut().unwrap().end as usize
}

/// Starts a process on a disk, and checks all that its sink is given; how many numbers came back as less than they were.
fn start(written: &Written, image: Image, bit: usize) -> (u64, Vec<LossEvent>) {
    let recorder = Recorder::from_image(written.segment_bytes, image);
    let spool = open_on(&recorder, SyncMode::Process).expect("a start never fails");
    let mut reader = spool.reader("kafka");
    let (mut seen, mut losses) = (BTreeMap::new(), Vec::new());
    while let Some(record) = reader.next(std::time::Duration::ZERO) {
        if super::is_loss(&record.event) {
            losses.push(serde_json::from_slice::<LossEvent>(&record.event).unwrap());
            continue;
        }
        let text = std::str::from_utf8(&record.event).expect("what was written");
        let number: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
        let known = written.events.get(&number).and_then(|texts| texts.iter().position(|text| *text == record.event));
        let known = known.unwrap_or_else(|| panic!("bit {bit}: {text} was never written"));
        assert!(seen.insert(number, known).is_none(), "bit {bit}: {number} comes twice");
    }
    let mut less = 0;
    for number in 1..=written.given_out {
        let told = losses
            .iter()
            .filter(|loss| loss.data.epoch == 1 && loss.data.first <= Some(number) && Some(number) <= loss.data.last);
        let told = told.count();
        let last = written.events.get(&number).map(|texts| texts.len() - 1);
        let there = seen.get(&number).copied();
        assert_eq!(told, usize::from(there.is_none()), "bit {bit}: {number}, read as {there:?}");
        less += u64::from(there != last);
    }
    std::mem::forget((reader, spool));
    (less, losses)
}

#[test]
fn after_a_flipped_bit_each_number_has_its_event_or_one_loss_event_that_names_it() {
    let bytes = setting("TOLLGATE_FLIP_BYTES", SEGMENT);
    let filled = if bytes == SEGMENT { FILLED } else { bytes };
    let step = setting("TOLLGATE_FLIP_STEP", 1);
    let written = written(bytes, filled);
    let (less, losses) = start(&written, written.image.clone(), 0);
    assert_eq!((less, losses.len() as u64), (0, written.lost), "without a flip all is there");
    let (spared, unspared) = (AtomicU64::new(0), AtomicU64::new(0));
    let flipped = sweep(&written.image, ((written.used + 512).min(bytes) * 8, step), |image, bit| {
        let mut image = image.clone();
        Arc::make_mut(&mut image.contents[written.inode])[bit / 8] ^= 1 << (bit % 8);
        let (less, losses) = start(&written, image, bit);
        assert!(less <= 1, "bit {bit}: {less} numbers are not as they were");
        let damage: Vec<_> = losses.iter().filter_map(|loss| loss.data.damage).collect();
        let at = written.records.partition_point(|(start, _)| *start <= bit / 8);
        let hit = at.checked_sub(1).is_some_and(|at| bit / 8 < written.records[at].1) || bit / 8 < HEADER_BYTES;
        // A bit in the unused rest may read as an append that was cut off, which is none.
        let told = if bit / 8 < written.used { usize::from(hit) } else { damage.len().min(1) };
        assert_eq!(damage.len(), told, "bit {bit}: {damage:?}");
        if less == 0 { &spared } else { &unspared }.fetch_add(1, Ordering::Relaxed);
    });
    let (spared, unspared) = (spared.into_inner(), unspared.into_inner());
    println!(
        "{flipped} bits flipped in {} records of {} numbers: {spared} cost nothing, {unspared} one number its last record",
        written.records.len(),
        written.given_out
    );
    assert!(unspared > flipped / 4, "the sweep hits something");
}
