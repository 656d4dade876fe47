//! What is recorded is read in order by every sink, until it is acknowledged, and deleted after that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::{LONG, NOW, copy, deliver, drain, event, record, segment_files, spool, texts};

#[test]
fn what_is_sealed_is_read_in_order_with_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let mut reader = spool.reader("kafka");
    let first = spool.begin_raw("org_a", b"intent").unwrap();
    let (second, commit) = spool.settle_with("org_b", 9, |_| b"refused".to_vec()).unwrap();
    assert_eq!((first.sequence().number, second.number, commit.is_ready()), (1, 2, true));
    assert_eq!((&*first.sequence().spool, first.sequence().epoch), (spool.id(), 1));
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
                    let ticket = spool.begin_with("org", 20, |number| number.to_string().into_bytes()).unwrap();
                    let number = ticket.sequence().number.to_string();
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
