//! How long a start takes over a log that an outage has filled.
//!
//! The normal run reads a small one; `TOLLGATE_SPOOL_BYTES` sets its size. The time is printed and not asserted: it is the
//! disk's and the build's.

use std::time::Instant;

use super::{config, event, read, record, spool};
use crate::spool::Spool;

const NORMAL: u64 = 16 << 20;

#[test]
fn a_start_finds_all_of_a_full_log() {
    let bytes = super::setting("TOLLGATE_SPOOL_BYTES", NORMAL as usize) as u64;
    let dir = tempfile::tempdir().unwrap();
    let settings = crate::config::Spool { max_bytes: 2 * bytes, ..config(dir.path()) };
    let first = Spool::open(&settings).unwrap();
    while first.stats().bytes < bytes {
        // As long as complete events are.
        record(&first, "x", 1300);
    }
    let open = first.begin_raw("org", &event("open", 900)).unwrap();
    let given_out = first.stats().given_out;
    std::mem::forget(open);
    drop(first);
    // A ticket that lives holds the lock.
    let copied = super::copy(dir.path());
    let began = Instant::now();
    let second = spool(copied.path());
    let (stats, took) = (second.stats(), began.elapsed());
    let began = Instant::now();
    let first = second.reader("kafka").next(super::NOW).expect("an event");
    println!(
        "{} MiB, {} events: opened in {took:.1?}, first event after {:.1?} more",
        stats.bytes >> 20,
        stats.inherited,
        began.elapsed()
    );
    assert_eq!((stats.inherited, stats.recovered, stats.losses, stats.damaged), (given_out - 1, 1, 0, 0));
    assert!(first.event.starts_with(b"x"));
    if bytes == NORMAL {
        assert_eq!(read(&mut second.reader("file")).len() as u64, given_out);
    }
}
