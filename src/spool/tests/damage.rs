//! Damage in a file costs what it hit, is kept and is said.

use std::fs;

use super::{copy, drain, event, losses, read, record, segment_files, spool, texts};

#[test]
fn damage_is_kept_and_reported_once_with_the_numbers_that_are_missing() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    for text in ["a", "hit", "c"] {
        assert!(first.settle_raw("org", &event(text, 500)).is_ready());
    }
    let (id, skipped) = (first.id().to_owned(), first.0.shared.log().numbering.give());
    assert!(first.settle_raw("org", b"after a number without a record").is_ready());
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

#[test]
fn a_torn_tail_costs_only_the_last_record() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    for text in ["a", "b", "torn"] {
        assert!(first.settle_raw("org", &event(text, 500)).is_ready());
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
        assert!(first.settle_raw("org", &event(text, 500)).is_ready());
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
