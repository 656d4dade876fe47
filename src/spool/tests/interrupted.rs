//! A request that does not come to its end leaves the event that its INTENT is, once.

use super::{copy, deliver, drain, record, spool, texts};
use crate::event;

#[test]
fn an_intent_without_a_final_is_published_verbatim_once_across_two_crashes() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    record(&first, "done", 0);
    let _cut = first.begin_raw("org", b"cut short").unwrap();
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
fn a_long_open_request_does_not_hold_the_log_and_survives_crashes() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    let mut reader = first.reader("kafka");
    let long = first.begin_raw("org", b"long").unwrap();
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
fn a_dropped_ticket_ends_as_its_intent() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    let mut reader = first.reader("kafka");
    drop(first.begin_raw("org", b"interrupted").unwrap());
    let too_long = first.begin_raw("org", b"too long").unwrap();
    assert!(too_long.seal("org", &vec![b'x'; event::MAX_BYTES + 1]).is_ready());
    assert_eq!(texts(&drain(&mut reader)), ["interrupted", "too long"]);
    let stats = first.stats();
    assert_eq!((stats.committed, stats.dropped, stats.open), (2, 0, 0));
    assert_eq!(spool(copy(dir.path()).path()).stats().recovered, 0);
}
