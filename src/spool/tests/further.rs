//! Numbers that change after a snapshot are part of it, whatever becomes of the request.

use std::fs;
use std::path::Path;

use super::history::{BIG, SEGMENT, open_on, read_all};
use super::states::Walk;
use super::{copy, deliver, drain, estimate, event, losses, numbers, read, record, segment_files, spool, texts};
use crate::config::SyncMode;
use crate::event::Snapshot;
use crate::spool::disk::recorded::{Fault, Recorder};
use crate::spool::record::{FURTHER_PREFIX, HEAD_BYTES};
use crate::spool::{Spool, Ticket};

/// A request that has come to this event, all before it being older.
fn running(spool: &Spool, text: &str) -> Ticket {
    let mut ticket = spool.begin_raw("org", b"intent").unwrap();
    assert!(ticket.progress("org", &estimate("old", 300)) && ticket.progress_further(&numbers(7_777)));
    assert!(ticket.progress("org", &estimate(text, 200)));
    ticket
}

fn with(text: &str, snapshot: &Snapshot) -> String {
    String::from_utf8(snapshot.apply(&estimate(text, 200)).unwrap()).unwrap().trim_end().to_owned()
}

/// What a process that starts after this one was killed gives its sink.
fn after_a_kill(dir: &Path) -> Vec<String> {
    let copied = copy(dir);
    let spool = spool(copied.path());
    assert_eq!((spool.stats().recovered, spool.stats().damaged, spool.stats().losses), (1, 0, 0));
    texts(&drain(&mut spool.reader("kafka")))
}

#[test]
fn a_killed_process_leaves_the_last_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    let mut ticket = running(&first, "a");
    assert!(ticket.progress_further(&numbers(10)) && ticket.progress_further(&numbers(20)));
    assert_eq!(after_a_kill(dir.path()), [with("a", &numbers(20))]);
    assert!(ticket.progress("org", &estimate("b", 200)));
    assert_eq!(after_a_kill(dir.path()), [texts_of("b")], "what is whole is newer");
}

fn texts_of(text: &str) -> String {
    String::from_utf8(estimate(text, 0)).unwrap()
}

#[test]
fn the_event_that_numbers_belong_to_may_be_in_an_earlier_segment_or_carried() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    let mut reader = first.reader("kafka");
    let mut ticket = running(&first, "a");
    for round in 1..5 {
        for _ in 0..300 {
            record(&first, "event", 8000);
        }
        assert!(first.stats().segments >= 2, "{:?}", first.stats());
        // Until it is delivered the event stands in an earlier segment.
        assert!(ticket.progress_further(&numbers(100 * round)));
        let expected = with("a", &numbers(100 * round));
        assert_eq!(
            after_a_kill(dir.path()).into_iter().filter(|text| *text != "event").collect::<Vec<_>>(),
            [expected]
        );
        deliver(&mut reader);
        assert!(first.stats().segments <= 2, "{:?}", first.stats());
        let expected = with("a", &numbers(100 * round));
        assert_eq!(after_a_kill(dir.path()), [expected], "carried with its numbers");
        assert!(ticket.progress_further(&numbers(100 * round + 1)));
        assert_eq!(after_a_kill(dir.path()), [with("a", &numbers(100 * round + 1))], "and goes on from there");
    }
    assert!(first.stats().carried >= 3, "{:?}", first.stats());
    drop(ticket);
    assert_eq!(texts(&drain(&mut reader)), [with("a", &numbers(401))]);
}

#[test]
fn a_dropped_ticket_ends_with_its_last_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    let mut ticket = running(&first, "a");
    assert!(ticket.progress_further(&numbers(10)) && ticket.progress_further(&numbers(20)));
    drop(ticket);
    let records = drain(&mut first.reader("kafka"));
    assert_eq!((texts(&records), records[0].key.as_str()), (vec![with("a", &numbers(20))], "org"));
    assert_eq!(spool(copy(dir.path()).path()).stats().recovered, 0);
}

#[test]
fn numbers_that_belong_to_no_event_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    let mut ticket = first.begin_raw("org", b"intent").unwrap();
    assert!(ticket.progress_further(&numbers(10)));
    assert_eq!(after_a_kill(dir.path()), ["intent"], "which has none");
    drop(ticket);
    assert_eq!(texts(&drain(&mut first.reader("kafka"))), ["intent"]);
}

/// Flips a bit at a place in the first segment that holds it.
fn damage(dir: &Path, find: &[u8], nth: usize) {
    let file = &segment_files(dir)[0];
    let mut bytes = fs::read(file).unwrap();
    let found = bytes.windows(find.len()).enumerate().filter(|(_, window)| *window == find);
    let at = found.map(|(at, _)| at).nth(nth).unwrap();
    bytes[at] ^= 4;
    fs::write(file, bytes).unwrap();
}

#[test]
fn damage_costs_the_record_it_hits_and_mixes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    let mut ticket = running(&first, "a");
    assert!(ticket.progress_further(&numbers(10)) && ticket.progress_further(&numbers(20)));
    let after = |damaged: &[(&[u8], usize)]| {
        let copied = copy(dir.path());
        for (find, nth) in damaged {
            damage(copied.path(), find, *nth);
        }
        let spool = spool(copied.path());
        assert_eq!(spool.stats().damaged, 1, "next to each other");
        let records = read(&mut spool.reader("kafka"));
        let lost: Vec<_> = losses(&records).iter().filter_map(|loss| loss.data.first).collect();
        let events = texts(&records).into_iter().filter(|text| !text.contains("dev.tollgate.loss"));
        (events.collect::<Vec<_>>(), lost)
    };
    // With the word before them: by themselves these bytes may be the end of a checksum and zeros.
    let (last, before) = (&numbers(20).words()[..16], &numbers(10).words()[..16]);
    assert_eq!(after(&[(last, 0)]), (vec![with("a", &numbers(10))], vec![]));
    assert_eq!(after(&[(before, 0)]), (vec![with("a", &numbers(20))], vec![]));
    assert_eq!(after(&[(last, 0), (before, 0)]), (vec![texts_of("a")], vec![]));
    let (intent, old, new): (&[u8], &[u8], &[u8]) = (b"intent", br#""text":"old"#, br#""text":"a"#);
    assert_eq!(after(&[(new, 0)]), (vec![with("old", &numbers(7_777))], vec![]), "other numbers are none of its");
    assert_eq!(after(&[(intent, 0)]), (vec![with("a", &numbers(20))], vec![]));
    let sevens = &numbers(7_777).words()[..16];
    assert_eq!(after(&[(intent, 0), (old, 0), (sevens, 0), (new, 0)]), (vec![], vec![1]), "numbers alone are no event");
}

#[test]
fn what_another_version_may_write_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    let mut ticket = running(&first, "a");
    assert!(ticket.progress_further(&numbers(10)));
    let mut log = first.0.shared.log();
    let head = log.head(crate::spool::record::Kind::Further, ticket.sequence().number);
    let bytes = FURTHER_PREFIX + numbers(0).bytes();
    for payload in [&b""[..], b"abc", &vec![9; bytes], &vec![0; bytes + 8]] {
        assert!(log.fit(HEAD_BYTES + payload.len() + 8));
        log.append(head, &[payload]);
    }
    drop(log);
    assert_eq!(after_a_kill(dir.path()), [with("a", &numbers(10))]);
}

#[test]
fn numbers_that_could_not_be_synced_are_rewritten_with_their_event() {
    for earlier in [false, true] {
        let recorder = Recorder::new(SEGMENT);
        let spool = open_on(&recorder, SyncMode::Disk).unwrap();
        let (shared, group) = (&spool.0.shared, spool.0.shared.group.as_ref().unwrap());
        let mut ticket = running(&spool, "a");
        assert!(group.round(shared));
        let before = spool.stats().segments;
        while earlier && spool.stats().segments == before {
            drop(spool.settle_raw("org", &event("other", BIG)));
            assert!(group.round(shared));
        }
        assert!(ticket.progress_further(&numbers(30)));
        recorder.fail(Fault::Sync, 1);
        assert!(group.round(shared) && spool.stats().poisoned == 1);

        let mut walk = Walk::new(Recorder::new(SEGMENT).image());
        recorder.log().iter().for_each(|op| walk.step(op));
        for image in walk.lost(20, &mut fastrand::Rng::with_seed(3)) {
            let spool = open_on(&Recorder::from_image(SEGMENT, image), SyncMode::Disk).unwrap();
            let found = texts(&read_all(&mut spool.reader("kafka")));
            let found: Vec<_> = found.into_iter().filter(|text| text != "other").collect();
            assert_eq!(found, [with("a", &numbers(30))], "it survives the loss of power");
        }
        std::mem::forget(ticket);
    }
}

#[test]
fn what_an_intent_has_become_is_rewritten_also_where_only_the_intent_would_fit() {
    for filled in 0..20 {
        let recorder = Recorder::new(SEGMENT);
        let spool = open_on(&recorder, SyncMode::Disk).unwrap();
        let (shared, group) = (&spool.0.shared, spool.0.shared.group.as_ref().unwrap());
        let mut ticket = spool.begin_raw("org", b"intent").unwrap();
        let long = estimate("a", BIG);
        assert!(ticket.progress("org", &long));
        // What is rewritten begins ever nearer to the end of the next segment.
        for _ in 0..filled {
            drop(spool.settle_raw("org", &event("other", 6000)));
        }
        recorder.fail(Fault::Sync, 1);
        assert!(group.round(shared));
        drop(ticket);
        assert!(group.round(shared));
        let found = texts(&read_all(&mut spool.reader("kafka")));
        assert_eq!(found.iter().filter(|text| **text == texts_of("a")).count(), 1);
    }
}
