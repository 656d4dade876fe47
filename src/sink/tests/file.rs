//! What the file sink promises besides.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::conformance::{events_config, stats};
use super::script::{DEADLINE, Script, event, eventually};
use crate::config;
use crate::sink::{Ending, Plan, Sinks, Trouble};
use crate::spool::Spool;

fn start(path: &Path, script: &Script, dir: &Path) -> Sinks {
    let config = events_config(dir, None, Some(config::File { path: path.to_owned() }));
    let plan = Plan::all(&config).unwrap().remove(0);
    Sinks::start(vec![(plan, script.clone())], &config.spool).unwrap()
}

fn lines(path: &Path) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'));
    text.lines().map(|line| line.as_bytes().to_vec()).collect()
}

#[test]
fn a_line_torn_by_a_crash_does_not_spoil_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.jsonl");
    fs::write(&path, b"{\"whole\":1}\n{\"torn\":").unwrap();
    let script = Script::of(1);
    let _sinks = start(&path, &script, dir.path());
    script.wait_acknowledged(1);
    assert_eq!(lines(&path), [b"{\"whole\":1}".to_vec(), b"{\"torn\":".to_vec(), event(1)]);
}

#[test]
fn a_whole_last_line_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.jsonl");
    fs::write(&path, b"{\"whole\":1}\n").unwrap();
    let script = Script::of(1);
    let _sinks = start(&path, &script, dir.path());
    script.wait_acknowledged(1);
    assert_eq!(lines(&path), [b"{\"whole\":1}".to_vec(), event(1)]);
}

#[test]
fn what_a_killed_process_wrote_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.jsonl");
    let before: Vec<u8> = (1..=4).flat_map(|number| [event(number), b"\n".to_vec()].concat()).collect();
    // The fifth line was cut off, and the mark stands after the second.
    fs::write(&path, [before, event(5)[..5].to_vec()].concat()).unwrap();
    let script = Script::of(0);
    (3..=7).for_each(|number| script.push(event(number)));
    let sinks = start(&path, &script, dir.path());
    script.wait_acknowledged(5);
    let expected: Vec<_> = (1..=4).map(event).chain([event(5)[..5].to_vec()]).chain((5..=7).map(event)).collect();
    assert_eq!(lines(&path), expected);
    assert_eq!(stats(&sinks).delivered, 5);
}

#[test]
fn after_rotation_lines_go_to_the_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let (path, old) = (dir.path().join("usage.jsonl"), dir.path().join("usage.jsonl.1"));
    let script = Script::of(2);
    let sinks = start(&path, &script, dir.path());
    script.wait_acknowledged(2);
    fs::rename(&path, &old).unwrap();
    script.push(event(3));
    script.wait_acknowledged(3);
    assert_eq!(lines(&old), [event(1), event(2)]);
    assert_eq!(lines(&path), [event(3)]);
    assert_eq!(sinks.stop(DEADLINE)[0].1, Ending::Drained);
}

#[test]
fn an_unwritable_path_is_waited_out_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let blocker = dir.path().join("logs");
    fs::write(&blocker, "a file where a directory must be").unwrap();
    let path = blocker.join("usage.jsonl");
    let script = Script::of(20);
    let sinks = start(&path, &script, dir.path());
    eventually("tried more than once", || stats(&sinks).retries >= 2);
    assert_eq!(stats(&sinks).last_error, Some(Trouble::Io));
    assert_eq!(stats(&sinks).connected, Some(false));
    assert_eq!(script.state().acknowledged, 0);
    fs::remove_file(&blocker).unwrap();
    script.wait_acknowledged(20);
    assert_eq!(lines(&path).len(), 20);
    eventually("seen as working", || stats(&sinks).connected == Some(true));
}

#[test]
fn a_full_disk_is_waited_out_and_has_its_own_name() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::of(1);
    let sinks = start(Path::new("/dev/full"), &script, dir.path());
    eventually("noticed", || stats(&sinks).last_error == Some(Trouble::NoSpace));
    assert_eq!(script.state().acknowledged, 0);
    drop(sinks);
    assert_eq!(script.state().acknowledged, 0);
}

#[test]
fn an_event_that_is_not_one_line_goes_to_the_dead_letters() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.jsonl");
    let script = Script::of(0);
    script.push(b"{\n}".to_vec());
    script.push(event(2));
    let _sinks = start(&path, &script, dir.path());
    script.wait_acknowledged(2);
    assert_eq!(lines(&path), [event(2)]);
    assert_eq!(lines(&dir.path().join("dead/file.jsonl")).len(), 1);
}

#[test]
fn a_backlog_goes_out_as_fast_as_the_disk_takes_it() {
    const EVENTS: u64 = 60_000;
    // As long as a complete event: 80 MB in all, ten times what may be out at a time.
    let event = vec![b'x'; 1400];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.jsonl");
    let mut config = events_config(&dir.path().join("spool"), None, Some(config::File { path: path.clone() }));
    config.spool.max_bytes = 1 << 30;
    let spool = Spool::open(&config.spool).unwrap();
    for _ in 0..EVENTS {
        let ticket = spool.begin_raw("org", b"{}").unwrap();
        assert!(ticket.seal("org", &event).is_ready());
    }
    let began = Instant::now();
    let plan = Plan::all(&config).unwrap().remove(0);
    let sinks = Sinks::start(vec![(plan, spool.reader("file"))], &config.spool).unwrap();
    eventually("all delivered", || stats(&sinks).delivered == EVENTS);
    // One window for each sync that waits out its second would take nine seconds.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(fs::metadata(&path).unwrap().len(), EVENTS * (event.len() as u64 + 1));
    assert_eq!(sinks.stop(DEADLINE)[0].1, Ending::Drained);
    spool.close();
}
