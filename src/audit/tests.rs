use super::{Audit, Beginning, End};

fn event(epoch: u64, number: u64) -> Vec<u8> {
    format!(
        r#"{{"specversion":"1.0","id":"aa-{epoch}-{number}","data":{{"sequence":{{"spool":"aa","epoch":{epoch},"number":{number}}},"outcome":"ok","usage":{{"input_tokens":2,"output_tokens":3,"source":"provider"}},"cost":{{"total_nano":1500}}}}}}"#
    )
    .into_bytes()
}

fn audit(numbers: impl IntoIterator<Item = u64>) -> Audit {
    let mut audit = Audit::default();
    numbers.into_iter().for_each(|number| audit.event(&event(1, number)).unwrap());
    audit
}

#[test]
fn an_intact_list_in_any_order_is_sound() {
    let report = audit([3, 1, 2]).report();
    assert!(report.sound);
    let epoch = &report.epochs[0];
    assert_eq!((epoch.first, epoch.last, epoch.events), (Some(1), Some(3), 3));
    assert_eq!((epoch.input_tokens, epoch.output_tokens, epoch.cost_nano), (6, 9, 4500));
}

#[test]
fn any_one_deleted_event_is_named() {
    // The last one of the newest epoch leaves no trace; the module says so.
    for deleted in 1..100 {
        let report = audit((1..=100).filter(|number| *number != deleted)).report();
        assert!(!report.sound);
        assert_eq!(report.epochs[0].missing.ranges, [(deleted, deleted)]);
    }
}

#[test]
fn a_copy_is_counted_once_and_compared() {
    let mut audit = audit([1, 2]);
    audit.event(&event(1, 2)).unwrap();
    let report = audit.report();
    assert!(report.sound, "a replay harms nobody");
    assert_eq!((report.events, report.duplicates, report.epochs[0].duplicates.identical), (2, 1, 1));
    assert_eq!(report.epochs[0].input_tokens, 4);

    let other = String::from_utf8(event(1, 1)).unwrap().replace("\"ok\"", "\"interrupted\"");
    audit.event(other.as_bytes()).unwrap();
    let report = audit.report();
    assert!(!report.sound, "two events under one id are a fault");
    assert_eq!(report.epochs[0].duplicates.different, 1);
}

#[test]
fn a_copy_that_comes_too_late_is_not_called_identical() {
    let mut audit = audit(1..=300_000);
    audit.event(&event(1, 1)).unwrap();
    let copies = audit.report().epochs[0].duplicates;
    assert_eq!((copies.identical, copies.different, copies.not_compared), (0, 0, 1));
}

#[test]
fn data_alone_is_an_event_and_anything_else_is_counted() {
    let mut audit = Audit::default();
    let whole = event(1, 1);
    let at = whole.windows(8).position(|window| window == b"{\"sequen").unwrap();
    audit.event(&whole[at..whole.len() - 1]).unwrap();
    for wrong in [&b""[..], b"{}", b"[1]", b"{\"data\":{}}", &whole[..40]] {
        assert!(audit.event(wrong).is_err());
    }
    let report = audit.report();
    assert_eq!((report.events, report.unreadable, report.sound), (1, 5, true));
}

#[test]
fn an_expired_beginning_is_forgiven_only_when_asked_and_only_in_the_oldest_epoch() {
    let seen = |beginning| {
        let mut audit = Audit::new(beginning);
        for (epoch, number) in [(3, 7), (3, 8), (3, 10), (4, 2)] {
            audit.event(&event(epoch, number)).unwrap();
        }
        audit.report().epochs.into_iter().map(|epoch| epoch.missing.ranges).collect::<Vec<_>>()
    };
    assert_eq!(seen(Beginning::One), [vec![(1, 6), (9, 9)], vec![(1, 1)]]);
    assert_eq!(seen(Beginning::First), [vec![(9, 9)], vec![(1, 1)]]);
}

#[test]
fn an_open_request_is_not_missing_and_a_reported_loss_is_not_sound() {
    let mut audit = audit([1, 3]);
    audit.intent(("aa", 1), 2);
    audit.intent(("aa", 1), 4);
    let report = audit.report();
    assert_eq!((report.sound, report.epochs[0].open.ranges.as_slice()), (true, &[(2, 2), (4, 4)][..]));
    audit.lost(("aa", 1), (2, 2));
    let report = audit.report();
    assert_eq!((report.sound, report.lost, report.missing), (false, 1, 0));
}

#[test]
fn what_was_deleted_after_delivery_is_not_missing() {
    let mut audit = audit([4, 7, 8, 10]);
    audit.expect_from(("aa", 1), Some(7));
    assert_eq!(audit.report().epochs[0].missing.ranges, [(9, 9)]);
    audit.expect_from(("aa", 1), None);
    assert!(audit.report().sound);
}

/// The first event of an epoch, which tells how far the one before went.
fn first(epoch: u64, previous: (u64, u64), clean: bool) -> Vec<u8> {
    let (before, number) = previous;
    let told = format!(r#""number":1,"previous":{{"epoch":{before},"number":{number},"clean":{clean}}}"#);
    String::from_utf8(event(epoch, 1)).unwrap().replace("\"number\":1", &told).into_bytes()
}

fn loss(epoch: u64, more: &str) -> Vec<u8> {
    format!(
        r#"{{"specversion":"1.0","id":"aa-{epoch}-loss-1","type":"dev.tollgate.loss.v1","data":{{"spool":"aa","epoch":{epoch},"reason":"unrecorded"{more}}}}}"#
    )
    .into_bytes()
}

#[test]
fn a_missing_tail_is_named_once_the_next_epoch_has_begun() {
    let mut audit = audit(1..=7);
    assert!(audit.report().sound, "nothing says yet that there were more");
    audit.event(&first(2, (1, 9), false)).unwrap();
    let report = audit.report();
    assert_eq!((report.sound, report.missing), (false, 2));
    assert_eq!((&report.epochs[0].missing.ranges, report.epochs[0].end), (&vec![(8, 9)], Some(End::Cut)));
    assert_eq!(report.epochs[1].end, None);
    for number in [8, 9] {
        audit.event(&event(1, number)).unwrap();
    }
    assert!(audit.report().sound);
}

#[test]
fn a_whole_missing_epoch_is_named_and_one_without_numbers_is_not_missing() {
    let mut audit = audit([1, 2]);
    audit.event(&first(2, (1, 2), true)).unwrap();
    // 3 is gone with all its events; 4 gave out none.
    audit.event(&first(5, (3, 40), true)).unwrap();
    let report = audit.report();
    let missing: Vec<_> = report.epochs.iter().map(|epoch| (epoch.epoch, epoch.missing.ranges.as_slice())).collect();
    assert_eq!(missing, [(1, &[][..]), (2, &[]), (3, &[(1, 40)]), (5, &[])]);
    assert_eq!((report.sound, report.missing, report.epochs[0].end), (false, 40, Some(End::Clean)));
    assert!(report.to_string().contains("epoch 3: no numbers, 0 events"), "{report}");
    assert!(report.to_string().contains("missing 40: 1-40"), "{report}");
}

#[test]
fn an_epoch_before_the_first_that_is_left_has_expired() {
    let mut audit = Audit::new(Beginning::First);
    audit.event(&first(4, (3, 40), true)).unwrap();
    audit.event(&event(4, 2)).unwrap();
    audit.event(&first(6, (4, 3), false)).unwrap();
    let report = audit.report();
    assert_eq!(report.epochs.iter().map(|epoch| epoch.epoch).collect::<Vec<_>>(), [4, 6]);
    assert_eq!(report.epochs[0].missing.ranges, [(3, 3)]);
}

#[test]
fn a_loss_event_names_what_is_lost_and_is_not_an_unreadable_one() {
    let mut audit = audit([1, 2, 6]);
    audit.event(&loss(1, r#","first":3,"last":4"#)).unwrap();
    audit.event(&loss(1, r#","damage":{"segment":1,"offset":64,"bytes":8}"#)).unwrap();
    let data = r#"{"spool":"aa","epoch":1,"reason":"damaged","first":7,"last":18446744073709551615}"#;
    audit.event(data.as_bytes()).unwrap();
    audit.event(&loss(2, r#","first":1,"last":1,"previous":{"epoch":1,"number":9,"clean":true}"#)).unwrap();
    let report = audit.report();
    assert_eq!((report.unreadable, report.sound), (0, false));
    let epoch = &report.epochs[0];
    assert_eq!((epoch.missing.ranges.as_slice(), epoch.end), (&[(5, 5)][..], Some(End::Clean)));
    assert_eq!(epoch.lost.ranges, [(3, 4), (7, u64::MAX)]);
    audit.event(&event(1, 3)).unwrap();
    assert_eq!(audit.report().epochs[0].lost.ranges, [(4, 4), (7, u64::MAX)], "what came after all is not lost");
}

#[test]
fn the_report_reads_as_documented() {
    let mut audit = audit([1, 2, 5, 5]);
    audit.event(&event(2, 1)).unwrap();
    audit.intent(("aa", 2), 2);
    let _ = audit.event(b"no event");
    let expected = "\
spool aa
  epoch 1: 1-5, 3 events; ok 3; tokens 6 in, 9 out; $0.000005
    missing 2: 3-4
    duplicates: 1 of 1 events; 1 identical, 0 different, 0 not compared
  epoch 2: 1-2, 1 events; ok 1; tokens 2 in, 3 out; $0.000002
    open 1: 2
1 entries are not usage events
NOT SOUND: 2 missing: 4 events of 2 epochs, 1 duplicates, 1 open";
    assert_eq!(audit.report().to_string(), expected);
}
