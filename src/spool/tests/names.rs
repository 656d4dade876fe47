//! A spool keeps its name, and uses no epoch twice.

use std::fs;

use super::{deliver, drain, record, spool, texts};

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
