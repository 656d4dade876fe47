//! A disk that is full or fails.

use super::history::{BIG, SEGMENT, open_on, read_all};
use super::states::Walk;
use crate::config::SyncMode;
use crate::spool::SpoolFull;
use crate::spool::disk::recorded::{Fault, Recorder};

fn event(text: &str, bytes: usize) -> Vec<u8> {
    format!("{text:bytes$}").into_bytes()
}

#[test]
fn a_full_disk_refuses_new_requests_and_records_the_end_of_those_let_in() {
    let recorder = Recorder::new(SEGMENT);
    let spool = open_on(&recorder, SyncMode::Process).unwrap();
    recorder.fail(Fault::Preallocate, u64::MAX);
    let mut tickets = Vec::new();
    let refused = loop {
        match spool.begin_raw("org", &event("intent", BIG)) {
            Ok(ticket) => tickets.push(ticket),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, SpoolFull);
    assert!(!spool.has_room());
    let count = tickets.len();
    assert!(count >= 2, "{count}");
    for ticket in tickets {
        assert!(ticket.seal("org", &event("final", BIG)).is_ready());
    }
    let mut reader = spool.reader("kafka");
    let events = read_all(&mut reader);
    assert!(events.len() == count && events.iter().all(|record| record.event.starts_with(b"final")));
    assert_eq!((spool.stats().committed, spool.stats().dropped), (count as u64, 0));

    recorder.fail(Fault::Preallocate, 0);
    assert!(spool.0.shared.make_segment(|_| true), "the preparing thread tries again");
    assert!(spool.has_room() && spool.begin_raw("org", b"x").is_ok());
}

#[test]
fn what_a_failed_sync_left_is_rewritten_before_its_commit_and_the_file_is_never_asked_again() {
    let recorder = Recorder::new(SEGMENT);
    let spool = open_on(&recorder, SyncMode::Disk).unwrap();
    let (shared, mut reader) = (&spool.0.shared, spool.reader("kafka"));
    let group = shared.group.as_ref().unwrap();
    let open = spool.begin_raw("org", &event("open", 300)).unwrap();
    let done = spool.begin_raw("org", &event("intent", 300)).unwrap();
    let commit = done.seal("org", &event("final", 300));
    recorder.fail(Fault::Sync, 2);
    assert!(!commit.is_ready());
    assert!(group.round(shared), "the third segment is sound");
    assert!(commit.is_ready());
    assert_eq!((spool.stats().sync_failures, spool.stats().poisoned), (0, 1), "one more failed while it was made");
    assert_eq!(recorder.most_syncs_after_failure(), 0);
    assert_eq!(read_all(&mut reader).len(), 1, "delivered once");

    let mut walk = Walk::new(Recorder::new(SEGMENT).image());
    recorder.log().iter().for_each(|op| walk.step(op));
    for image in walk.lost(20, &mut fastrand::Rng::with_seed(3)) {
        let spool = open_on(&Recorder::from_image(SEGMENT, image), SyncMode::Disk).unwrap();
        let mut events: Vec<_> = read_all(&mut spool.reader("kafka")).into_iter().map(|r| r.event).collect();
        events.sort();
        events.dedup();
        assert_eq!(events, [event("final", 300), event("open", 300)], "both survive the loss of power");
    }
    std::mem::forget(open);
}

#[test]
fn a_disk_that_syncs_nothing_hangs_nobody_and_lets_nobody_in() {
    let recorder = Recorder::new(SEGMENT);
    let spool = open_on(&recorder, SyncMode::Disk).unwrap();
    let shared = &spool.0.shared;
    let done = spool.begin_raw("org", b"intent").unwrap();
    recorder.fail(Fault::Sync, u64::MAX);
    let commit = done.seal("org", &event("final", 300));
    assert!(!shared.group.as_ref().unwrap().round(shared));
    assert!(commit.is_ready());
    assert_eq!(spool.stats().sync_failures, 1);
    assert_eq!(spool.begin_raw("org", b"x").map(drop), Err(SpoolFull));
    recorder.fail(Fault::Sync, 0);
    assert!(shared.make_segment(|_| true));
    assert!(shared.group.as_ref().unwrap().round(shared), "what was kept is written when the disk is back");
    assert!(spool.begin_raw("org", b"x").is_ok());
    assert_eq!(read_all(&mut spool.reader("kafka")).len(), 1);
}
