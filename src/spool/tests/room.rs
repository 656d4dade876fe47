//! A spool keeps within its bound, is used by one process, and does not grow by being started.

use super::{config, deliver, drain, event, spool, texts};
use crate::spool::{LEAST_BYTES, OpenError, Spool, SpoolFull};

/// Fills a spool with open requests of the greatest size until it takes no more.
fn fill(spool: &Spool) -> u64 {
    let mut count = 0;
    let mut tickets = Vec::new();
    while let Ok(ticket) = spool.begin_raw("org", &event("x", event::MAX_BYTES)) {
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
    assert_eq!(spool.begin_raw("org", b"x").map(drop), Err(SpoolFull));
    assert!(!spool.has_room());
    let stats = spool.stats();
    assert!(stats.bytes <= LEAST_BYTES, "{stats:?}");
    assert_eq!((stats.committed, stats.dropped), (count, 0));
    assert_eq!(deliver(&mut reader) as u64, count);
    assert!(spool.has_room());
    assert_eq!(spool.begin_raw("org", b"x").unwrap().sequence().number, count + 1, "a refusal takes no number");
}

#[test]
fn a_spool_in_use_is_refused_until_it_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    assert!(matches!(Spool::open(&config(dir.path())), Err(OpenError::Locked(_))));
    let ticket = first.begin_raw("org", b"intent").unwrap();
    first.close();
    first.close();
    assert_eq!(first.begin_raw("org", b"x").map(drop), Err(SpoolFull));
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
fn starting_again_and_again_does_not_fill_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        spool(dir.path());
    }
    let spool = spool(dir.path());
    assert!(spool.stats().bytes < 9 * 1024 * 1024, "{:?}", spool.stats());
}
