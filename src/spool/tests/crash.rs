//! Every moment at which a process or a machine can die, and what the next start makes of it.
//!
//! A spool lives through all that it does; after each operation on its disk every way is tried in which a crash may
//! leave that disk, the spool is opened on it, and the same is done to the operations of that opening.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use super::history::{BIG, Entry, History, SEGMENT, id_of, open_on, read_all};
use super::states::Walk;
use crate::config::SyncMode;
use crate::spool::acknowledged::Mark;
use crate::spool::disk::Disk;
use crate::spool::disk::recorded::{Image, Op, Recorder, root};
use crate::spool::position::Position;
use crate::spool::segment::SpoolId;

/// What must be reached for the enumeration to count as one.
const LEAST_STATES: u64 = 100_000;

/// How the machine was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crash {
    /// The process died: what it wrote is there.
    Process,
    /// The power went: what was not synced may be gone.
    Power,
}

/// What a start made of a crash.
struct Start {
    recorder: Arc<Recorder>,
    events: Vec<(Position, Vec<u8>)>,
}

/// All that a spool does: create, append, rotate, carry, acknowledge, delete, close, recover.
fn life(sync: SyncMode) -> History {
    let mut life = History::begin(sync);
    life.request(300);
    life.request(2000);
    life.commit();
    let mut long = life.intend(200);
    life.progress(&mut long, 250);
    life.further(&mut long);
    life.refuse(100);
    life.further(&mut long);
    life.lose();
    life.interrupt(150);
    life.commit();
    for _ in 0..2 {
        life.request(BIG);
        life.request(BIG);
        life.commit();
    }
    life.further(&mut long);
    life.deliver(usize::MAX);
    life.request(700);
    life.further(&mut long);
    life.request(BIG);
    life.deliver(1);
    life.prepare();
    life.progress(&mut long, 1200);
    life.further(&mut long);
    life.commit();
    life.deliver(1);
    let cut = life.intend(900);
    life.kill(vec![long, cut]);

    life.request(500);
    let mut short = life.intend(100);
    life.progress(&mut short, 90);
    life.deliver(2);
    for _ in 0..4 {
        life.request(BIG);
    }
    life.further(&mut short);
    life.commit();
    life.deliver(4);
    life.seal(short, 300);
    life.restart();

    life.deliver(2);
    life.request(100);
    life.commit();
    life.deliver(usize::MAX);
    life.spool.close();
    life
}

impl Start {
    /// For a failed assertion.
    fn seen(&self) -> String {
        let texts = self.events.iter().map(|(_, event)| String::from_utf8_lossy(event.trim_ascii_end()).into_owned());
        let files = self.recorder.image().files;
        format!("{:?} of {files:?} after {:#?}", texts.collect::<Vec<_>>(), self.recorder.log())
    }
}

fn start(image: Image, sync: SyncMode) -> Start {
    let recorder = Recorder::from_image(SEGMENT, image);
    let spool = open_on(&recorder, sync).expect("a start never fails");
    let mut reader = spool.reader("kafka");
    let events = read_all(&mut reader).into_iter().map(|record| (record.position, record.event)).collect();
    Start { recorder, events }
}

/// The sink's mark on a disk.
fn mark(image: &Image, spool: SpoolId) -> Position {
    let disk = Disk::Recorded(Recorder::from_image(SEGMENT, image.clone()));
    Mark::load(&disk, root().join("ack.kafka"), spool).1
}

/// Whether an event must be there after a crash that came after `now` operations.
fn must_be(entry: &Entry, life: &History, now: usize, crash: Crash) -> (bool, bool) {
    match crash {
        Crash::Process => (entry.intended <= now || entry.sealed <= now, entry.sealed <= now),
        Crash::Power if life.sync == SyncMode::Disk => {
            let intended = life.rounds.iter().any(|(before, after)| entry.intended <= *before && *after <= now);
            (intended || entry.committed <= now, entry.committed <= now)
        }
        Crash::Power => (false, false),
    }
}

/// Checks what a start read against what was written.
fn check(life: &History, found: &Start, at: (usize, Crash, Position)) {
    let (now, crash, mark) = at;
    let mut seen = BTreeSet::new();
    for (_, event) in &found.events {
        let id = id_of(event).unwrap_or_else(|| panic!("after {now}, {crash:?}: an event that nobody wrote"));
        assert!(seen.insert(id), "after {now}, {crash:?}: {id:?} twice");
        let entry = life.entries.get(&id).unwrap_or_else(|| panic!("{id:?} was never given out"));
        let is_final = entry.last.as_ref() == Some(event);
        let snapshot = entry.progress.iter().any(|(begun, _, snapshot)| *begun <= now && snapshot == event);
        let is_intent = snapshot || entry.intent.as_ref() == Some(event);
        let newest = entry.progress.iter().rfind(|(_, there, _)| *there <= now);
        let older = newest.is_some_and(|(begun, ..)| {
            entry.progress.iter().all(|(at, _, later)| at < begun || later != event) && !is_final
        });
        assert!(!older || crash == Crash::Power, "after {now}: {id:?} comes with an old snapshot");
        assert!(is_intent || is_final, "after {now}, {crash:?}: {id:?} is not what was written");
        assert!(is_intent || entry.sealing <= now, "{id:?} before its time");
        let (_, sealed) = must_be(entry, life, now, crash);
        assert!(!sealed || is_final, "after {now}, {crash:?}: {id:?} fell back to its intent");
        let delivered = entry.acknowledged.is_some_and(|position| position <= mark);
        let power = crash == Crash::Power && life.sync == SyncMode::Process;
        assert!(!delivered || power, "after {now}, {crash:?}: {id:?} was delivered and comes again");
    }
    let found = found.seen();
    for (id, entry) in &life.entries {
        let delivered = entry.acknowledged.is_some_and(|position| position <= mark);
        let (some, _) = must_be(entry, life, now, crash);
        assert!(!some || delivered || seen.contains(id), "after {now}, {crash:?}: {id:?} is lost: {found}");
    }
}

/// A start writes only to files that it made, except for marks, and cuts old ones off.
fn check_writes(log: &[Op], old: &Image, now: usize) {
    for op in log {
        let Op::Write { inode, .. } = op else { continue };
        let name = old.files.iter().find(|(_, known)| *known == inode).map(|(path, _)| path.to_string_lossy());
        let written = name.filter(|name| name.ends_with(".seg"));
        assert_eq!(written, None, "after {now}: appended to an old file");
    }
}

/// Crashes within a start: the next one must make the same of it. Only what was delivered may come again, when power
/// took something of that start that would have had to be on the disk: nobody knows then what it was.
fn nested(image: &Image, first: &Start, life: &History, dice: &mut fastrand::Rng) -> u64 {
    let mut walk = Walk::new(image.clone());
    let expected: Vec<_> = sorted(first);
    let mut states = 0;
    for (now, op) in first.recorder.log().iter().enumerate() {
        walk.step(op);
        let lost = walk.lost(1, dice).into_iter().map(|image| (image, Crash::Power));
        for (image, crash) in lost.chain(std::iter::once((walk.kept(), Crash::Process))) {
            states += 1;
            let again = start(image, life.sync);
            let delivered = |event: &[u8]| id_of(event).is_some_and(|id| life.entries[&id].acknowledged.is_some());
            let may = crash == Crash::Power && life.sync == SyncMode::Process;
            let same: Vec<_> = sorted(&again).into_iter().filter(|e| !may || !delivered(e)).collect();
            let (seen, before) = (|| again.seen(), || first.seen());
            let expected = expected.iter().copied().filter(|e| !may || !delivered(e));
            assert!(expected.eq(same), "after {now} of a start: {} instead of {}", seen(), before());
        }
    }
    states
}

fn sorted(start: &Start) -> Vec<&[u8]> {
    let mut events: Vec<_> = start.events.iter().map(|(_, event)| event.as_slice()).collect();
    events.sort_unstable();
    events
}

/// All states after the operations that `share` picks.
fn enumerate(life: &History, next: &AtomicUsize, states: &AtomicU64) {
    let log = life.recorder.log();
    let spool = SpoolId::parse(life.spool.id()).unwrap();
    let beginning = Recorder::new(SEGMENT).image();
    let mut walk = Walk::new(beginning);
    let mut done = 0;
    loop {
        let now = next.fetch_add(1, Ordering::Relaxed) + 1;
        if now > log.len() {
            return;
        }
        log[done..now].iter().for_each(|op| walk.step(op));
        done = now;
        let mut dice = fastrand::Rng::with_seed(now as u64);
        let lost = walk.lost(6, &mut dice);
        let all =
            std::iter::once((walk.kept(), Crash::Process)).chain(lost.into_iter().map(|image| (image, Crash::Power)));
        for (count, (image, crash)) in all.enumerate() {
            let found = start(image.clone(), life.sync);
            check(life, &found, (now, crash, mark(&image, spool)));
            check_writes(&found.recorder.log(), &image, now);
            states.fetch_add(1, Ordering::Relaxed);
            // What the process's death leaves, all lost, and one more.
            if count < 2 && now.is_multiple_of(3) || count == 2 + now % 20 {
                states.fetch_add(nested(&image, &found, life, &mut dice), Ordering::Relaxed);
            }
        }
    }
}

#[test]
fn every_crash_of_every_operation_recovers_also_within_recovery() {
    let began = Instant::now();
    let mut total = 0;
    for sync in [SyncMode::Process, SyncMode::Disk] {
        let life = life(sync);
        let (next, states) = (AtomicUsize::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(2, Into::into) {
                scope.spawn(|| enumerate(&life, &next, &states));
            }
        });
        let states = states.into_inner();
        println!("{sync:?}: {} operations, {states} states", life.recorder.now());
        total += states;
    }
    println!("{total} crash states in {:.1} s", began.elapsed().as_secs_f64());
    assert!(total >= LEAST_STATES, "only {total} states");
}
