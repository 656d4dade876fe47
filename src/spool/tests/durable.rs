//! What is committed is on the disk.

use super::{LONG, config, texts};
use crate::config::SyncMode;
use crate::spool::Spool;

#[tokio::test]
async fn a_commit_to_disk_completes_for_everyone_who_waits() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(&config::Spool { sync: SyncMode::Disk, ..config(dir.path()) }).unwrap();
    let commits: Vec<_> = (0..100).map(|_| spool.begin_raw("org", b"intent").unwrap().seal("org", b"x")).collect();
    for commit in commits {
        tokio::time::timeout(LONG, commit).await.unwrap();
    }
    let last = spool.begin_raw("org", b"intent").unwrap();
    spool.close();
    assert!(last.seal("org", b"late").is_ready(), "after the end a commit syncs on its own");
    assert_eq!((spool.stats().committed, spool.stats().sync_failures), (101, 0));
}

#[test]
fn after_a_failed_sync_the_log_goes_on_in_another_segment() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(&config::Spool { sync: SyncMode::Disk, ..config(dir.path()) }).unwrap();
    let mut reader = spool.reader("kafka");
    drop(spool.settle_raw("org", b"before"));
    let mut log = spool.0.shared.log();
    let active = log.take_unsynced().pop().unwrap();
    log.poison(&active);
    assert!(log.take_unsynced().is_empty(), "it is never synced again");
    drop(log);
    drop(spool.settle_raw("org", b"after"));
    let records: Vec<_> = (0..2).map_while(|_| reader.next(LONG)).collect();
    assert_eq!(texts(&records), ["before", "after"]);
    assert_eq!(spool.stats().segments, 2);
}
