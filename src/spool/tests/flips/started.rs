//! From the start of a process on a flipped segment to what its sink is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::super::history::{SEGMENT, open_on};
use super::super::{estimate, event, is_loss, numbers, setting};
use super::sweep;
use crate::config::SyncMode;
use crate::event::LossEvent;
use crate::spool::disk::recorded::{Image, Recorder, root};
use crate::spool::record;
use crate::spool::scan::Scan;
use crate::spool::segment::{HEADER_BYTES, SegmentId};
use crate::spool::{Spool, Ticket, loss};

/// What the normal run fills of its segment.
const FILLED: usize = 4 * 1024;
/// Bytes after the last record that are flipped too.
const REST: usize = 512;

/// What a process has written.
struct Written {
    segment_bytes: usize,
    inode: usize,
    /// Bytes of the segment that hold records.
    used: usize,
    /// What each number may come back as, its event last; nothing for one that is lost.
    texts: Vec<Vec<Vec<u8>>>,
    /// Where records begin and end, without padding.
    records: Vec<(usize, usize)>,
}

/// What a start made of it.
struct Found {
    /// Numbers that did not come back as they were.
    less: usize,
    /// Where damage was told.
    damage: Vec<usize>,
    losses: usize,
}

/// Requests of all kinds, as long as the first segment has room: whole, refused, lost, and open when the process dies.
fn written(segment_bytes: usize, filled: usize) -> (Written, Image) {
    let recorder = Recorder::new(segment_bytes);
    let spool = open_on(&recorder, SyncMode::Process).unwrap();
    let mut dice = fastrand::Rng::with_seed(7);
    let (mut open, mut texts) = (Vec::new(), vec![Vec::new()]);
    while end(&spool) + 2 * 800 < filled {
        let number = texts.len();
        let mut own = Vec::<Vec<u8>>::new();
        let mut text = |own: &mut Vec<Vec<u8>>, kind: &str| {
            let (text, bytes) = (format!("{kind} {number} "), dice.usize(20..400));
            own.push(if kind == "progress" { estimate(text.trim_end(), bytes) } else { event(&text, bytes) });
            own.last().unwrap().clone()
        };
        match number % 9 {
            2 => {
                let mut ticket = spool.begin_raw("org", &text(&mut own, "intent")).unwrap();
                text(&mut own, "progress");
                run(&mut ticket, &mut own);
                open.push(ticket);
            }
            3 => drop(spool.settle_raw("org", &text(&mut own, "refused"))),
            5 => {
                spool.0.shared.log().drop_next();
                loss::tell_when_due(&spool.0.shared);
            }
            7 => open.push(spool.begin_raw("org", &text(&mut own, "intent")).unwrap()),
            kind => {
                let mut ticket = spool.begin_raw("org", &text(&mut own, "intent")).unwrap();
                if kind == 8 {
                    text(&mut own, "progress");
                    run(&mut ticket, &mut own);
                }
                drop(ticket.seal("org", &text(&mut own, "final")));
            }
        }
        texts.push(own);
    }
    assert_eq!(spool.stats().given_out, texts.len() as u64 - 1);
    let (used, id) = (end(&spool), spool.0.shared.id);
    std::mem::forget((open, spool));
    let image = recorder.image();
    let inode = image.files[&Arc::<std::path::Path>::from(root().join("00000001/00000001.seg"))];
    let salt = id.salt(SegmentId { epoch: 1, number: 1 });
    let scan = Scan::new(&image.contents[inode], salt, HEADER_BYTES);
    let place = |end: usize, size: usize, payload: usize| (end - size, end - size + record::HEAD_BYTES + payload);
    let records = scan.map(|(found, end)| place(end, found.size(), found.payload.len())).collect();
    (Written { segment_bytes, inode, used, texts, records }, image)
}

/// Records how far a request has come, as its last text says, and that it has come further; what there was room for stays.
fn run(ticket: &mut Ticket, own: &mut Vec<Vec<u8>>) {
    let Some(progress) = own.pop().filter(|progress| ticket.progress("org", progress)) else { return };
    let further = numbers(1 << 40).apply(&progress).filter(|_| ticket.progress_further(&numbers(1 << 40)));
    own.extend([Some(progress), further].into_iter().flatten());
}

fn end(spool: &Spool) -> usize {
    spool.0.shared.log().segments.active_mut().unwrap().end as usize
}

impl Written {
    /// Starts a process on a disk, and checks all that its sink is given.
    fn start(&self, image: Image, bit: usize) -> Found {
        let recorder = Recorder::from_image(self.segment_bytes, image);
        let spool = open_on(&recorder, SyncMode::Process).expect("a start never fails");
        let mut reader = spool.reader("kafka");
        let (mut seen, mut losses) = (vec![None; self.texts.len()], Vec::new());
        while let Some(record) = reader.next(Duration::ZERO) {
            if is_loss(&record.event) {
                losses.push(serde_json::from_slice::<LossEvent>(&record.event).unwrap());
                continue;
            }
            let number = number_of(&record.event).unwrap_or_else(|| panic!("bit {bit}: none of what was written"));
            let known = self.texts.get(number).and_then(|texts| texts.iter().position(|text| *text == record.event));
            assert!(known.is_some(), "bit {bit}: {number} was never written as this");
            assert_eq!(seen[number].replace(known), None, "bit {bit}: {number} comes twice");
        }
        let mut told = vec![0; self.texts.len()];
        for loss in losses.iter().filter(|loss| loss.data.epoch == 1) {
            let (first, last) = (loss.data.first.unwrap_or(1) as usize, loss.data.last.unwrap_or(0) as usize);
            for times in &mut told[first..=last] {
                *times += 1;
            }
        }
        let mut less = 0;
        for (number, texts) in self.texts.iter().enumerate().skip(1) {
            let there = seen[number].flatten();
            assert_eq!(told[number], usize::from(there.is_none()), "bit {bit}: {number}, read as {there:?}");
            less += usize::from(there != texts.len().checked_sub(1));
        }
        let damage = losses.iter().filter_map(|loss| loss.data.damage).map(|damage| damage.offset as usize);
        Found { less, damage: damage.collect(), losses: losses.len() }
    }

    /// The place that is told as damaged when this byte is: the record's, or the header's.
    fn hit(&self, byte: usize) -> Option<usize> {
        if byte < HEADER_BYTES {
            return Some(0);
        }
        let before = self.records.partition_point(|(start, _)| *start <= byte).checked_sub(1)?;
        Some(self.records[before]).filter(|(_, end)| byte < *end).map(|(start, _)| start)
    }

    /// Flips bits that lie far apart; how many numbers did not come back as they were.
    fn flip(&self, image: &mut Image, bits: &[usize]) -> u64 {
        let turn = |image: &mut Image| {
            let bytes = Arc::make_mut(&mut image.contents[self.inode]);
            for bit in bits {
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        };
        turn(image);
        let found = self.start(image.clone(), bits[0]);
        turn(image);
        let mut expected: Vec<_> = bits.iter().filter_map(|bit| self.hit(bit / 8)).collect();
        expected.sort_unstable();
        assert!(found.less <= expected.len(), "{bits:?}: {} numbers are not as they were", found.less);
        let mut damage = found.damage;
        damage.sort_unstable();
        // A bit in the unused rest may read as an append that was cut off, which is none.
        damage.retain(|at| *at < self.used || expected.contains(at));
        assert_eq!(damage, expected, "{bits:?}: each place that is hit is told, and no other");
        found.less as u64
    }
}

/// The number in a text of these tests.
fn number_of(event: &[u8]) -> Option<usize> {
    let digits = event.split(|byte| *byte == b' ').nth(1)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[test]
fn after_a_flipped_bit_each_number_has_its_event_or_one_loss_event_that_names_it() {
    let bytes = setting("TOLLGATE_FLIP_BYTES", SEGMENT);
    let (of_byte, together) = (setting("TOLLGATE_FLIP_BITS", 8), setting("TOLLGATE_FLIP_TOGETHER", 1));
    let (written, mut image) = written(bytes, if bytes == SEGMENT { FILLED } else { bytes });
    let lost = written.texts.iter().skip(1).filter(|texts| texts.is_empty()).count();
    let found = written.start(image.clone(), 0);
    assert_eq!((found.less, found.losses), (0, lost), "without a flip all is there");
    // Only so much is copied for each.
    let until = (written.used + REST).min(bytes);
    Arc::make_mut(&mut image.contents[written.inode]).truncate(until);
    // Each start takes one bit of each of so many equal parts.
    let part = (until * of_byte).div_ceil(together);
    let (hits, flips, began) = (AtomicU64::new(0), AtomicU64::new(0), Instant::now());
    sweep(&image, (part, 1), |image, at| {
        let places = (0..together).map(|of| of * part + at).map(|at| (at / of_byte, at % of_byte));
        let places = places.filter(|(byte, _)| *byte < until);
        let bits: Vec<_> = places.map(|(byte, of)| byte * 8 + (of + byte) % 8).collect();
        hits.fetch_add(written.flip(image, &bits), Ordering::Relaxed);
        flips.fetch_add(bits.len() as u64, Ordering::Relaxed);
    });
    let (hits, flips) = (hits.into_inner(), flips.into_inner());
    println!(
        "{flips} bits flipped, {together} for each start, in {} records of {} numbers: {} cost nothing, {hits} one number its last record; {:.0} s",
        written.records.len(),
        written.texts.len() - 1,
        flips - hits,
        began.elapsed().as_secs_f64()
    );
    assert_eq!(flips, (until * of_byte) as u64);
    assert!(hits > flips / 4, "the sweep hits something");
}
