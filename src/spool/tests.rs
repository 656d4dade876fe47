//! The spool as a whole. A crash is simulated by opening a copy of the directory, taken while the process lives: what
//! the page cache holds at that moment is what a killed process leaves.

mod crash;
mod faults;
mod flips;
mod history;
mod large;
mod losses;
mod model;
mod states;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{LEAST_BYTES, OpenError, Reader, Record, Spool, SpoolFull};
use crate::config::{self, SyncMode, WhenFull};
use crate::event;

const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(20);

fn config(dir: &Path) -> config::Spool {
    config::Spool {
        dir: dir.to_owned(),
        max_bytes: 256 * 1024 * 1024,
        when_full: WhenFull::Reject,
        sync: SyncMode::Process,
    }
}

fn spool(dir: &Path) -> Spool {
    Spool::open(&config(dir)).unwrap()
}

fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    copy_into(from, to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_into(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn event(text: &str, bytes: usize) -> Vec<u8> {
    format!("{text:bytes$}").into_bytes()
}

/// One whole request.
fn record(spool: &Spool, text: &str, bytes: usize) {
    let mut ticket = spool.reserve().unwrap();
    ticket.intend("org", &event(&format!("intent {text}"), bytes));
    assert!(ticket.seal("org", &event(text, bytes)).is_ready());
}

fn drain(reader: &mut Reader) -> Vec<Record> {
    read(reader).into_iter().filter(|record| !is_loss(&record.event)).collect()
}

/// Loss reports too.
fn read(reader: &mut Reader) -> Vec<Record> {
    std::iter::from_fn(|| reader.next(NOW)).collect()
}

fn is_loss(event: &[u8]) -> bool {
    serde_json::from_slice::<event::LossEvent>(event).is_ok_and(|event| event.kind == event::LOSS_TYPE)
}

fn losses(records: &[Record]) -> Vec<event::LossEvent> {
    records.iter().filter_map(|record| serde_json::from_slice(&record.event).ok()).collect()
}

#[test]
fn damage_is_kept_and_reported_once_with_the_numbers_that_are_missing() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    for text in ["a", "hit", "c"] {
        assert!(first.reserve().unwrap().seal("org", &event(text, 500)).is_ready());
    }
    let (id, skipped) = (first.id().to_owned(), first.0.shared.log().numbering.give());
    assert!(first.reserve().unwrap().seal("org", b"after a number without a record").is_ready());
    drop(first);
    let file = &segment_files(dir.path())[0];
    let mut bytes = fs::read(file).unwrap();
    let at = bytes.windows(3).position(|window| window == b"hit").unwrap();
    bytes[at + 100] ^= 4;
    fs::write(file, bytes).unwrap();

    let copied = copy(dir.path());
    let second = spool(dir.path());
    let mut reader = second.reader("kafka");
    let records = read(&mut reader);
    let found = losses(&records);
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found[0].data.damage.map(|damage| (damage.segment, damage.bytes)), Some((1, 536)));
    assert_eq!((found[1].data.first, found[1].data.last), (Some(2), Some(2)));
    assert_eq!((found[2].data.first, found[2].data.last), (Some(skipped), Some(skipped)));
    assert!(found.iter().all(|loss| loss.data.epoch == 1 && loss.data.spool == id && loss.kind == event::LOSS_TYPE));
    assert_eq!(records.last().map(|record| record.key.clone()), Some(id));
    let kept = fs::read_dir(dir.path().join("quarantine")).unwrap().count();
    assert_eq!((kept, second.stats().losses, records.len()), (1, 3, 6));
    drop((reader, second));

    let third = spool(dir.path());
    assert_eq!((third.stats().losses, losses(&read(&mut third.reader("kafka"))).len()), (0, 3), "reported once");
    let again = losses(&read(&mut spool(copied.path()).reader("kafka")));
    let ids = |losses: &[event::LossEvent]| losses.iter().map(|loss| loss.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&found), "the same loss has the same id");
}

fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8(record.event.clone()).unwrap().trim_end().to_owned()).collect()
}

/// Acknowledges everything there is.
fn deliver(reader: &mut Reader) -> usize {
    let records = drain(reader);
    if let Some(last) = records.last() {
        reader.acknowledge(last.position);
    }
    reader.flush();
    records.len()
}

fn segment_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found.sort();
    found
}

#[test]
fn what_is_sealed_is_read_in_order_with_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let mut reader = spool.reader("kafka");
    let mut first = spool.reserve().unwrap();
    let second = spool.reserve().unwrap();
    assert_eq!((first.sequence().number, second.sequence().number), (1, 2));
    assert_eq!((&*first.sequence().spool, first.sequence().epoch), (spool.id(), 1));
    first.intend("org_a", b"intent");
    assert!(second.seal("org_b", b"refused").is_ready());
    assert!(first.seal("org_a", b"done").is_ready());

    let records = drain(&mut reader);
    assert_eq!(texts(&records), ["refused", "done"]);
    assert_eq!((records[0].key.as_str(), records[1].key.as_str()), ("org_b", "org_a"));
    assert!(records[0].position < records[1].position);
    let stats = spool.stats();
    assert_eq!((stats.committed, stats.delivered, stats.open, stats.dropped), (2, 0, 0, 0));
    assert!(stats.oldest_undelivered.is_some());
    reader.acknowledge(records[1].position);
    assert_eq!((spool.stats().delivered, spool.stats().oldest_undelivered), (2, None));
}

#[test]
fn a_waiting_reader_is_woken_by_a_seal() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let mut reader = spool.reader("kafka");
    let waiting = std::thread::spawn(move || reader.next(LONG).map(|record| record.event));
    while !spool.0.shared.log().signals.reader_waits {
        std::thread::yield_now();
    }
    let began = Instant::now();
    record(&spool, "woken", 0);
    assert_eq!(waiting.join().unwrap(), Some(b"woken".to_vec()));
    assert!(began.elapsed() < LONG / 2);
}

#[test]
fn an_intent_without_a_final_is_published_verbatim_once_across_two_crashes() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    record(&first, "done", 0);
    let mut cut = first.reserve().unwrap();
    cut.intend("org", b"cut short");
    let second_dir = copy(dir.path());

    let second = spool(second_dir.path());
    assert_eq!((second.epoch(), second.id(), second.stats().recovered), (2, first.id(), 1));
    let third_dir = copy(second_dir.path());
    let third = spool(third_dir.path());
    assert_eq!((third.epoch(), third.stats().recovered, third.stats().damaged), (3, 0, 0));
    let records = drain(&mut third.reader("kafka"));
    assert_eq!(texts(&records), ["done", "cut short"]);
    assert_eq!(records[1].key, "org");
}

#[test]
fn acknowledged_events_are_not_read_again_and_others_are() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    let mut reader = first.reader("kafka");
    for text in ["a", "b", "c"] {
        record(&first, text, 0);
    }
    let records = drain(&mut reader);
    reader.acknowledge(records[0].position);
    reader.rewind();
    assert_eq!(texts(&drain(&mut reader)), ["b", "c"]);
    reader.flush();

    let crashed = copy(dir.path());
    let second = spool(crashed.path());
    let mut reader = second.reader("kafka");
    assert_eq!(texts(&drain(&mut reader)), ["b", "c"]);
    reader.rewind();
    assert_eq!(deliver(&mut reader), 2);
    assert_eq!(second.stats().delivered, 2);
    drop((reader, second));
    assert_eq!(drain(&mut spool(crashed.path()).reader("kafka")), []);
}

#[test]
fn the_slowest_sink_holds_deletion_and_a_forgotten_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    record(&first, "once", 0);
    assert_eq!(deliver(&mut first.reader("forgotten")), 1);
    drop(first);

    let spool = spool(dir.path());
    let (mut fast, mut slow) = (spool.reader("fast"), spool.reader("slow"));
    for _ in 0..1000 {
        record(&spool, "event", 8000);
    }
    let before = segment_files(dir.path()).len();
    assert!(before >= 5, "{before}");
    assert_eq!(deliver(&mut fast), 1001);
    assert_eq!(spool.stats().segments, 5, "the slow sink has delivered nothing");
    assert_eq!(deliver(&mut slow), 1001);
    assert_eq!((spool.stats().segments, spool.stats().delivered), (1, 1001));
    assert!(!dir.path().join("00000001").exists(), "the old epoch is empty");
    assert!(spool.stats().bytes <= 3 * 4 * 1024 * 1024);
}

#[test]
fn without_a_sink_nothing_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    for _ in 0..600 {
        record(&first, "event", 8000);
    }
    assert_eq!(first.stats().segments, 3);
    drop(first);
    let again = spool(dir.path());
    assert_eq!(drain(&mut again.reader("kafka")).len(), 600);
}

#[test]
fn a_long_open_request_does_not_hold_the_log_and_survives_crashes() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    let mut reader = first.reader("kafka");
    let mut long = first.reserve().unwrap();
    long.intend("org", b"long");
    for _ in 0..5 {
        for _ in 0..300 {
            record(&first, "event", 8000);
        }
        deliver(&mut reader);
        assert!(first.stats().segments <= 2, "{:?}", first.stats());
    }
    assert!(first.stats().carried >= 4, "{:?}", first.stats());

    let crashed = copy(dir.path());
    let second = spool(crashed.path());
    assert_eq!((second.stats().recovered, second.stats().damaged), (1, 0));
    let found = texts(&drain(&mut second.reader("kafka")));
    assert_eq!(found.iter().filter(|text| *text == "long").count(), 1);

    assert!(long.seal("org", b"over at last").is_ready());
    assert_eq!(texts(&drain(&mut reader)), ["over at last"]);
    let crashed = copy(dir.path());
    assert_eq!(spool(crashed.path()).stats().recovered, 0);
}

#[test]
fn a_dropped_ticket_ends_as_its_intent_or_as_a_counted_loss() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    let mut reader = first.reader("kafka");
    let mut intended = first.reserve().unwrap();
    intended.intend("org", b"interrupted");
    drop(intended);
    drop(first.reserve().unwrap());
    let mut too_long = first.reserve().unwrap();
    too_long.intend("org", b"too long");
    assert!(too_long.seal("org", &vec![b'x'; event::MAX_BYTES + 1]).is_ready());
    assert_eq!(texts(&drain(&mut reader)), ["interrupted", "too long"]);
    let stats = first.stats();
    assert_eq!((stats.committed, stats.dropped, stats.open), (2, 1, 0));
    assert_eq!(spool(copy(dir.path()).path()).stats().recovered, 0);
}

/// Fills a spool with open requests of the greatest size until it takes no more.
fn fill(spool: &Spool) -> u64 {
    let mut count = 0;
    let mut tickets = Vec::new();
    while let Ok(mut ticket) = spool.reserve() {
        ticket.intend("org", &event("x", event::MAX_BYTES));
        tickets.push(ticket);
        count += 1;
    }
    for ticket in tickets {
        assert!(ticket.seal("org", &event("x", event::MAX_BYTES)).is_ready());
    }
    count
}

#[test]
fn a_full_spool_refuses_and_stays_within_its_bound_and_recovers_when_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(&config::Spool { max_bytes: LEAST_BYTES, ..config(dir.path()) }).unwrap();
    let mut reader = spool.reader("kafka");
    // What tickets reserve is a little more than what they turn out to need.
    let count: u64 = std::iter::repeat_with(|| fill(&spool)).take_while(|filled| *filled > 0).sum();
    assert!(count > 600, "{count}");
    assert_eq!(spool.reserve().map(drop), Err(SpoolFull));
    assert!(!spool.has_room());
    let stats = spool.stats();
    assert!(stats.bytes <= LEAST_BYTES, "{stats:?}");
    assert_eq!((stats.committed, stats.dropped), (count, 0));
    assert_eq!(deliver(&mut reader) as u64, count);
    assert!(spool.has_room());
    assert_eq!(spool.reserve().unwrap().sequence().number, count + 1, "a refusal takes no number");
}

#[test]
fn a_spool_in_use_is_refused_until_it_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    assert!(matches!(Spool::open(&config(dir.path())), Err(OpenError::Locked(_))));
    let ticket = first.reserve().unwrap();
    first.close();
    first.close();
    assert_eq!(first.reserve().map(drop), Err(SpoolFull));
    drop(first);
    assert!(matches!(Spool::open(&config(dir.path())), Err(OpenError::Locked(_))), "a ticket can still write");
    assert!(ticket.seal("org", b"late").is_ready());
    let second = spool(dir.path());
    assert_eq!(texts(&drain(&mut second.reader("kafka"))), ["late"]);
    assert!(matches!(
        Spool::open(&config::Spool { max_bytes: LEAST_BYTES - 1, ..config(dir.path()) }),
        Err(OpenError::TooSmall(_))
    ));
}

#[test]
fn a_torn_tail_costs_only_the_last_record() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    for text in ["a", "b", "torn"] {
        assert!(first.reserve().unwrap().seal("org", &event(text, 500)).is_ready());
    }
    let end = first.0.shared.log().segments.active_mut().unwrap().end as usize;
    let cases: [fn(&mut Vec<u8>, usize); 3] = [
        |bytes, end| bytes.truncate(end - 200),
        |bytes, end| bytes[end - 300..end - 100].fill(0),
        |bytes, end| bytes[end - 536..end].fill(0xAA),
    ];
    for (number, tear) in cases.into_iter().enumerate() {
        let crashed = copy(dir.path());
        let file = &segment_files(crashed.path())[0];
        let mut bytes = fs::read(file).unwrap();
        tear(&mut bytes, end);
        fs::write(file, bytes).unwrap();
        let second = spool(crashed.path());
        let mut reader = second.reader("kafka");
        assert_eq!(texts(&drain(&mut reader)), ["a", "b"], "case {number}");
        record(&second, "goes on", 0);
        assert_eq!(texts(&drain(&mut reader)), ["goes on"], "case {number}");
        assert_eq!(second.stats().damaged, 1, "case {number}");
    }
}

#[test]
fn damage_in_the_middle_costs_only_what_it_hit() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    for text in ["a", "hit", "c"] {
        assert!(first.reserve().unwrap().seal("org", &event(text, 500)).is_ready());
    }
    drop(first);
    let file = &segment_files(dir.path())[0];
    let mut bytes = fs::read(file).unwrap();
    let at = bytes.windows(3).position(|window| window == b"hit").unwrap();
    bytes[at + 100] ^= 4;
    bytes[20] ^= 4; // and the header
    fs::write(file, bytes).unwrap();
    let second = spool(dir.path());
    assert_eq!(texts(&drain(&mut second.reader("kafka"))), ["a", "c"]);
    assert_eq!(second.stats().damaged, 2);
}

#[test]
fn no_epoch_is_used_twice_even_if_its_files_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let id = spool(dir.path()).id().to_owned();
    assert_eq!(spool(dir.path()).epoch(), 2);
    for epoch in ["00000001", "00000002"] {
        fs::remove_dir_all(dir.path().join(epoch)).unwrap();
    }
    let third = spool(dir.path());
    assert_eq!((third.epoch(), third.id()), (3, id.as_str()));
    record(&third, "x", 0);
    deliver(&mut third.reader("kafka"));
    drop(third);
    fs::remove_dir_all(dir.path().join("00000003")).unwrap();
    fs::remove_file(dir.path().join("epoch")).unwrap();
    assert_eq!(spool(dir.path()).epoch(), 4, "the sink's mark names the third");
}

#[test]
fn a_lost_id_is_found_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    record(&first, "kept", 0);
    let id = first.id().to_owned();
    drop(first);
    fs::remove_file(dir.path().join("id")).unwrap();
    let second = spool(dir.path());
    assert_eq!(second.id(), id);
    assert_eq!(texts(&drain(&mut second.reader("kafka"))), ["kept"]);
}

#[test]
fn starting_again_and_again_does_not_fill_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        spool(dir.path());
    }
    let spool = spool(dir.path());
    assert!(spool.stats().bytes < 9 * 1024 * 1024, "{:?}", spool.stats());
}

#[test]
fn many_threads_get_dense_numbers_and_every_event_is_read_once() {
    const THREADS: u64 = 8;
    const EACH: u64 = 1000;
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let mut reader = spool.reader("kafka");
    let writers: Vec<_> = (0..THREADS)
        .map(|_| {
            let spool = spool.clone();
            std::thread::spawn(move || {
                for _ in 0..EACH {
                    let mut ticket = spool.reserve().unwrap();
                    let number = ticket.sequence().number.to_string();
                    ticket.intend("org", number.as_bytes());
                    assert!(ticket.seal("org", &event(&number, 1000)).is_ready());
                }
            })
        })
        .collect();
    let mut seen = BTreeMap::<u64, u64>::new();
    for _ in 0..THREADS * EACH {
        let record = reader.next(LONG).unwrap();
        *seen.entry(texts(std::slice::from_ref(&record))[0].parse().unwrap()).or_default() += 1;
        reader.acknowledge(record.position);
    }
    for writer in writers {
        writer.join().unwrap();
    }
    assert!(reader.next(NOW).is_none());
    assert!(seen.keys().copied().eq(1..=THREADS * EACH), "dense");
    assert_eq!(seen.values().collect::<BTreeSet<_>>(), BTreeSet::from([&1]));
    let stats = spool.stats();
    assert_eq!((stats.committed, stats.delivered, stats.open), (THREADS * EACH, THREADS * EACH, 0));
}

#[tokio::test]
async fn a_commit_to_disk_completes_for_everyone_who_waits() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(&config::Spool { sync: SyncMode::Disk, ..config(dir.path()) }).unwrap();
    let commits: Vec<_> = (0..100).map(|_| spool.reserve().unwrap().seal("org", b"x")).collect();
    for commit in commits {
        tokio::time::timeout(LONG, commit).await.unwrap();
    }
    let last = spool.reserve().unwrap();
    spool.close();
    assert!(last.seal("org", b"late").is_ready(), "after the end a commit syncs on its own");
    assert_eq!((spool.stats().committed, spool.stats().sync_failures), (101, 0));
}

#[test]
fn after_a_failed_sync_the_log_goes_on_in_another_segment() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(&config::Spool { sync: SyncMode::Disk, ..config(dir.path()) }).unwrap();
    let mut reader = spool.reader("kafka");
    drop(spool.reserve().unwrap().seal("org", b"before"));
    let mut log = spool.0.shared.log();
    let active = log.take_unsynced().pop().unwrap();
    log.poison(&active);
    assert!(log.take_unsynced().is_empty(), "it is never synced again");
    drop(log);
    drop(spool.reserve().unwrap().seal("org", b"after"));
    let records: Vec<_> = (0..2).map_while(|_| reader.next(LONG)).collect();
    assert_eq!(texts(&records), ["before", "after"]);
    assert_eq!(spool.stats().segments, 2);
}
