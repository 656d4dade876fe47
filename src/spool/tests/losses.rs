//! Losses are told while the process runs, once, and survive its death.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::history::{BIG, SEGMENT, open_with};
use super::{LONG, NOW, config, copy, deliver, drain, event, losses, read, record, segment_files, spool, texts};
use crate::config::{SyncMode, WhenFull};
use crate::event::{LossReason, Previous};
use crate::spool::disk::recorded::Recorder;
use crate::spool::room::LEAST_SEGMENTS;
use crate::spool::{LEAST_BYTES, Reader, Record, Spool, Stats, Ticket};

/// What was taken in is what went out, what waits and what damage took; each number is one of three.
fn assert_balanced(stats: &Stats) {
    let taken = stats.inherited + stats.committed + stats.recovered + stats.losses;
    assert_eq!(taken, stats.delivered + stats.pending + stats.spoiled, "{stats:?}");
    assert_eq!(stats.given_out, stats.committed + stats.dropped + stats.open, "{stats:?}");
}

/// A full spool that lets requests in without room.
fn full(dir: &Path) -> Spool {
    let settings = crate::config::Spool { max_bytes: LEAST_BYTES, when_full: WhenFull::Drop, ..config(dir) };
    let spool = Spool::open(&settings).unwrap();
    while spool.stats().dropped == 0 {
        let ticket = spool.begin_raw("org", &event("x", event::MAX_BYTES)).unwrap();
        drop(ticket.seal("org", &event("x", event::MAX_BYTES)));
    }
    spool
}

fn ranges(records: &[Record]) -> Vec<(u64, Option<u64>, Option<u64>)> {
    losses(records).iter().map(|loss| (loss.data.epoch, loss.data.first, loss.data.last)).collect()
}

fn next(reader: &mut Reader) -> Record {
    reader.next(LONG).expect("another event")
}

#[test]
fn what_is_dropped_is_told_as_one_loss_as_soon_as_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let spool = full(dir.path());
    let mut reader = spool.reader("kafka");
    let first = spool.stats().given_out;
    let dropped: Vec<Ticket> = (0..9).map(|_| spool.begin_raw("org", b"x").unwrap()).collect();
    assert!(spool.has_room(), "requests are let through");
    for ticket in dropped {
        assert!(ticket.seal("org", b"nowhere").is_ready());
    }
    assert_eq!((spool.stats().dropped, spool.stats().losses), (10, 0), "there is no room for a report either");
    assert_balanced(&spool.stats());
    assert_eq!(deliver(&mut reader) as u64, first - 1);
    // Nobody asks for a number: the preparing thread does it.
    let told = next(&mut reader);
    assert_eq!(ranges(&[told]), [(1, Some(first), Some(first + 9))]);
    let ticket = spool.begin_raw("org", b"x").unwrap();
    assert_eq!(ticket.sequence().number, first + 10);
    assert!(ticket.seal("org", b"after the gap").is_ready());
    assert_eq!(texts(&drain(&mut reader)), ["after the gap"]);
    let stats = spool.stats();
    assert_eq!((stats.dropped, stats.committed, stats.losses), (10, first, 1));
    assert_balanced(&stats);
    let again = Spool::open(&config(copy(dir.path()).path())).unwrap();
    assert_eq!(again.stats().losses, 0, "it is told once");
}

#[test]
fn what_was_dropped_is_told_after_a_kill_and_after_a_kill_of_that() {
    let dir = tempfile::tempdir().unwrap();
    let first = full(dir.path());
    let from = first.stats().given_out;
    let tickets: Vec<Ticket> = (0..99).map(|_| first.begin_raw("org", b"x").unwrap()).collect();
    let killed = copy(dir.path());
    let second = spool(killed.path());
    let killed = copy(killed.path());
    let third = spool(killed.path());
    for (spool, told) in [(&second, 1), (&third, 0)] {
        assert_eq!(spool.stats().losses, told);
        assert_eq!(ranges(&read(&mut spool.reader("kafka"))), [(1, Some(from), Some(from + 99))]);
        assert_balanced(&spool.stats());
    }
    drop(tickets);
}

#[test]
fn what_was_dropped_is_told_at_the_end_too() {
    let dir = tempfile::tempdir().unwrap();
    let first = full(dir.path());
    let number = first.stats().given_out;
    first.close();
    assert_balanced(&first.stats());
    drop(first);
    let second = spool(dir.path());
    assert_eq!(second.stats().losses, 0, "the first one did it");
    assert_eq!(ranges(&read(&mut second.reader("kafka"))), [(1, Some(number), Some(number))]);
}

/// Numbers that were dropped are told wherever their place in the log has gone.
#[test]
fn what_was_dropped_is_told_although_all_that_came_before_is_deleted() {
    let recorder = Recorder::new(SEGMENT);
    let first = open_with(&recorder, (LEAST_SEGMENTS, WhenFull::Drop, SyncMode::Process)).unwrap();
    let mut reader = first.reader("kafka");
    let mut open = Vec::new();
    while first.stats().dropped < 3 {
        open.push(first.begin_raw("org", &event("intent", BIG)).unwrap());
    }
    let last = first.stats().given_out;
    for ticket in open {
        assert!(ticket.seal("org", &event("final", BIG)).is_ready());
    }
    let before = first.stats().segments;
    assert_eq!(deliver(&mut reader) as u64, last - 3);
    assert!(before > 2 && first.stats().segments == 1, "{before}");
    recorder.break_locks();
    std::mem::forget((reader, first));
    let second = open_with(&recorder, (64, WhenFull::Reject, SyncMode::Process)).unwrap();
    assert_eq!(ranges(&read(&mut second.reader("kafka"))), [(1, Some(last - 2), Some(last))]);
}

/// Spoils the place where this text stands, in any segment.
fn spoil(dir: &Path, text: &str) {
    for file in segment_files(dir).iter().filter(|file| file.extension().is_some_and(|ending| ending == "seg")) {
        let mut bytes = fs::read(file).unwrap();
        if let Some(at) = bytes.windows(text.len()).rposition(|window| window == text.as_bytes()) {
            bytes[at] ^= 1;
            // Not written anew: the file is mapped.
            return fs::File::options()
                .write(true)
                .open(file)
                .unwrap()
                .write_all_at(&bytes[at..=at], at as u64)
                .unwrap();
        }
    }
    panic!("{text} is nowhere");
}

#[test]
fn damage_that_a_reader_meets_costs_its_event_or_is_told_by_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let (mut fast, mut slow) = (spool.reader("fast"), spool.reader("slow"));
    record(&spool, "one", 300);
    record(&spool, "two", 300);
    assert!(spool.settle_raw("org", &event("refused", 300)).is_ready());
    record(&spool, "four", 300);
    let open = spool.begin_raw("org", b"open").unwrap();
    spoil(dir.path(), "two");
    spoil(dir.path(), "refused");
    assert_eq!(texts(&[next(&mut fast), next(&mut fast)]), ["one", "four"], "both are passed over");
    let found = [next(&mut fast), next(&mut fast), next(&mut fast)];
    assert_eq!(texts(&found[..1]), ["intent two"], "what is known of it");
    let told = losses(&found[1..]);
    assert_eq!(told[0].data.damage.map(|damage| damage.segment), Some(1));
    assert_eq!((told[1].data.first, told[1].data.reason), (Some(3), LossReason::Damaged));
    assert!(fast.next(NOW).is_none());
    let stats = spool.stats();
    assert_eq!((stats.spoiled, stats.recovered, stats.losses, stats.damaged), (2, 1, 2, 1), "they lie side by side");
    assert_balanced(&stats);

    assert_eq!(deliver(&mut slow), 3, "another sink meets the same and nothing is told again");
    assert_eq!(spool.stats(), Stats { oldest_undelivered: spool.stats().oldest_undelivered, ..stats });
    assert!(open.seal("org", b"closed").is_ready());
    assert_eq!(texts(&drain(&mut fast)), ["closed"], "an open request is none of it");
    let again = self::spool(copy(dir.path()).path());
    assert_eq!((again.stats().losses, again.stats().recovered), (0, 0));
}

#[test]
fn a_damaged_header_and_a_file_that_cannot_be_read_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    let mut files = 0;
    while files < 3 {
        record(&first, "x", 8000);
        files = segment_files(dir.path()).len();
    }
    let last = first.stats().given_out;
    drop(first);
    let files = segment_files(dir.path());
    let mut bytes = fs::read(&files[0]).unwrap();
    bytes[20] ^= 4;
    fs::write(&files[0], bytes).unwrap();
    // A directory cannot be read as a file, also not by the superuser.
    fs::remove_file(&files[1]).unwrap();
    fs::create_dir(&files[1]).unwrap();

    let second = spool(dir.path());
    let read = read(&mut second.reader("kafka"));
    let told = losses(&read);
    let damage: Vec<_> = told.iter().filter_map(|loss| loss.data.damage).collect();
    assert_eq!(damage.iter().map(|damage| (damage.segment, damage.bytes)).collect::<Vec<_>>(), [(1, 64), (2, 0)]);
    let missing: u64 = told.iter().filter_map(|loss| Some(loss.data.last? - loss.data.first? + 1)).sum();
    let there = (read.len() - told.len()) as u64;
    assert!(missing > 100 && there + missing == last, "{there} and {missing} of {last}");
    assert!(dir.path().join("00000001/00000002.unreadable").exists());
    assert_eq!(spool(copy(dir.path()).path()).stats().losses, 0);
}

#[test]
fn the_first_event_of_an_epoch_says_where_the_numbers_before_it_end() {
    let dir = tempfile::tempdir().unwrap();
    let previous = |spool: &Spool| spool.begin_raw("org", b"x").map(|ticket| ticket.sequence().previous).unwrap();
    let first = spool(dir.path());
    let mut reader = first.reader("kafka");
    for _ in 0..5 {
        record(&first, "x", 100);
    }
    assert_eq!(deliver(&mut reader), 5);
    let killed = copy(dir.path());
    assert_eq!(previous(&spool(killed.path())), Some(Previous { epoch: 1, number: 5, clean: false }));
    first.close();
    drop((reader, first));
    let second = spool(dir.path());
    second.close();
    drop(second);
    fs::remove_dir_all(dir.path().join("00000001")).unwrap();
    // The second one gave out no number.
    let third = spool(dir.path());
    assert_eq!(previous(&third), Some(Previous { epoch: 1, number: 5, clean: true }));
    assert_eq!(third.begin_raw("org", b"x").unwrap().sequence().previous, None, "only the first event says it");
}

#[test]
fn damage_to_what_was_delivered_before_an_orderly_end_brings_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    let mut reader = first.reader("kafka");
    record(&first, "one", 300);
    record(&first, "two", 300);
    assert_eq!(deliver(&mut reader), 2);
    let killed = copy(dir.path());
    first.close();
    drop((reader, first));
    for (dir, events) in [(dir.path(), 0), (killed.path(), 1)] {
        spoil(dir, "two");
        let second = spool(dir);
        let found = read(&mut second.reader("kafka"));
        assert_eq!((losses(&found).len(), found.len()), (1, 1 + events), "after a kill nobody knows");
        assert_balanced(&second.stats());
    }
}
