//! What the worker promises whatever its sink does.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::conformance::{start, stats};
use super::script::{Held, Script, event, events, eventually, fake};
use crate::sink::{Ending, Fate, Rejection, Restart, Settled, Trouble, WINDOW_BYTES, WINDOW_RECORDS};

const TOO_LARGE: Fate = Fate::Rejected(Rejection { trouble: Trouble::TooLarge, code: Some(10) });

fn settle_all(held: &mut Vec<Held>, settled: &mut Vec<Settled>) {
    settled.extend(held.drain(..).map(|record| Settled { ticket: record.ticket, fate: Fate::Delivered }));
}

fn dead_lines(dir: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(dir.join("dead/fake.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_mark_waits_for_the_first_record_however_many_later_ones_are_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::of(100);
    let (open, late) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (gate, seen) = (Arc::clone(&open), Arc::clone(&late));
    let make = fake(move |held, settled| {
        let keep = usize::from(!gate.load(SeqCst));
        let mut rest = held.split_off(keep.min(held.len()));
        rest.reverse();
        settle_all(&mut rest, settled);
        seen.fetch_add(settled.len() as u64, SeqCst);
        if keep == 0 {
            settle_all(held, settled);
        }
        Ok(())
    });
    let sinks = start(make, &script, dir.path());
    eventually("all but the first are delivered", || late.load(SeqCst) == 99);
    assert_eq!(script.state().acknowledged, 0);
    assert_eq!(stats(&sinks).in_flight, 100);
    open.store(true, SeqCst);
    script.wait_acknowledged(100);
    script.assert_kept_its_promises();
}

#[test]
fn a_restarted_sink_is_sent_everything_after_the_mark_again() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::of(50);
    let there: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let (taken, mut failures) = (Arc::clone(&there), 2);
    let make = fake(move |held, settled| {
        if held.len() >= 10 && failures > 0 {
            failures -= 1;
            // The first five are delivered, then the sink fails.
            let mut first: Vec<Held> = held.drain(..5).collect();
            taken.lock().unwrap().extend(first.iter().map(|record| record.event.clone()));
            settle_all(&mut first, settled);
            return Err(Restart(Trouble::Fatal));
        }
        taken.lock().unwrap().extend(held.iter().map(|record| record.event.clone()));
        settle_all(held, settled);
        Ok(())
    });
    let sinks = start(make, &script, dir.path());
    script.wait_acknowledged(50);
    assert_eq!(*there.lock().unwrap(), events(50), "nothing missing, and nothing twice that was acknowledged");
    assert_eq!((stats(&sinks).restarts, stats(&sinks).last_error), (2, Some(Trouble::Fatal)));
    assert_eq!(script.state().rewinds, 2);
    script.assert_kept_its_promises();
}

#[test]
fn a_sink_that_panics_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::of(5);
    let mut panics = 1;
    let make = fake(move |held, settled| {
        if panics > 0 && !held.is_empty() {
            panics -= 1;
            panic!("on purpose");
        }
        settle_all(held, settled);
        Ok(())
    });
    let sinks = start(make, &script, dir.path());
    script.wait_acknowledged(5);
    assert_eq!((stats(&sinks).restarts, stats(&sinks).last_error), (1, Some(Trouble::Panic)));
}

#[test]
fn records_to_be_retried_come_again_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::of(20);
    let there: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let (taken, mut refusals) = (Arc::clone(&there), 3);
    let make = fake(move |held, settled| {
        if refusals > 0 && held.len() == 20 {
            refusals -= 1;
            let fate = Fate::Retry(Trouble::Replicas);
            settled.extend(held.drain(..).rev().map(|record| Settled { ticket: record.ticket, fate }));
            return Ok(());
        }
        taken.lock().unwrap().extend(held.iter().map(|record| record.event.clone()));
        settle_all(held, settled);
        Ok(())
    });
    let sinks = start(make, &script, dir.path());
    script.wait_acknowledged(20);
    assert_eq!(*there.lock().unwrap(), events(20));
    assert_eq!((stats(&sinks).retries, stats(&sinks).last_error), (60, Some(Trouble::Replicas)));
}

#[test]
fn a_rejected_record_is_in_the_dead_letter_file_before_it_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::of(3);
    let path = dir.path().to_owned();
    // Records 1 and 3 are delivered, so the mark may stand at 1 with no dead letter, and beyond with one.
    script.probe(move || if dead_lines(&path).is_empty() { 1 } else { 3 });
    let make = fake(move |held, settled| {
        for record in held.drain(..) {
            let fate = if record.event == event(2) { TOO_LARGE } else { Fate::Delivered };
            settled.push(Settled { ticket: record.ticket, fate });
        }
        Ok(())
    });
    let sinks = start(make, &script, dir.path());
    script.wait_acknowledged(3);
    script.assert_kept_its_promises();
    let dead = dead_lines(dir.path());
    assert_eq!(dead.len(), 1);
    assert_eq!((&dead[0]["reason"], &dead[0]["code"]), (&"too_large".into(), &10.into()));
    assert_eq!(dead[0]["event"], serde_json::from_slice::<serde_json::Value>(&event(2)).unwrap());
    eventually("counted", || (stats(&sinks).delivered, stats(&sinks).rejected) == (2, 1));
}

#[test]
fn a_dead_letter_file_that_cannot_be_written_holds_the_mark() {
    let dir = tempfile::tempdir().unwrap();
    // A file where the directory should be.
    fs::write(dir.path().join("dead"), "").unwrap();
    let script = Script::of(1);
    let make = fake(move |held, settled| {
        settled.extend(held.drain(..).map(|record| Settled { ticket: record.ticket, fate: TOO_LARGE }));
        Ok(())
    });
    let sinks = start(make, &script, dir.path());
    eventually("writing failed", || stats(&sinks).dead_letter_failures > 0);
    assert_eq!(script.state().acknowledged, 0);
    fs::remove_file(dir.path().join("dead")).unwrap();
    script.wait_acknowledged(1);
    assert_eq!(dead_lines(dir.path()).len(), 1);
}

#[test]
fn a_dead_destination_costs_one_window_of_records() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::of(WINDOW_RECORDS as u64 + 500);
    let sinks = start(fake(|_, _| Ok(())), &script, dir.path());
    eventually("the window is full", || stats(&sinks).in_flight == WINDOW_RECORDS as u64);
    assert_eq!(sinks.stop(Duration::from_millis(50))[0].1, Ending::Deadline);
    assert_eq!(script.state().read, WINDOW_RECORDS as u64, "no record is read beyond the window");
    assert_eq!(script.state().acknowledged, 0);
}

#[test]
fn a_dead_destination_costs_one_window_of_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let large = vec![b'x'; 64 * 1024];
    let script = Script::of(0);
    let fitting = WINDOW_BYTES / large.len();
    (0..fitting + 50).for_each(|_| script.push(large.clone()));
    let sinks = start(fake(|_, _| Ok(())), &script, dir.path());
    eventually("the window is full", || stats(&sinks).in_flight >= fitting as u64 - 1);
    drop(sinks);
    assert!(script.state().read <= fitting as u64, "no record is read beyond the window");
}
