//! What every sink promises, asked of each.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::script::{DEADLINE, Script, event, events, fake};
use crate::config;
use crate::sink::worker::MakeSink;
use crate::sink::{Ending, Fate, Plan, Settled, Sinks, Stats};

/// A sink under test and how to look at its destination.
pub(super) struct Subject {
    pub(super) make: MakeSink,
    /// How many records are there, from any thread.
    pub(super) count: Box<dyn FnMut() -> u64 + Send>,
    /// The records that are there, in order.
    pub(super) read: Box<dyn FnMut() -> Vec<Vec<u8>>>,
}

/// The whole suite on fresh subjects.
pub(super) fn suite(mut subject: impl FnMut(&Path) -> Subject) {
    type Check = fn(Subject, &Path);
    for check in [delivers_once_in_order as Check, acknowledges_only_what_is_there, delivers_what_is_left_when_stopped]
    {
        let dir = tempfile::tempdir().unwrap();
        check(subject(dir.path()), dir.path());
    }
}

pub(super) fn start(make: MakeSink, script: &Script, dir: &Path) -> Sinks {
    let mut sinks = Sinks::empty(dir.join("dead"));
    sinks.spawn("fake".into(), script.clone(), |_| make).unwrap();
    sinks
}

pub(super) fn stats(sinks: &Sinks) -> Stats {
    sinks.stats().swap_remove(0)
}

fn delivers_once_in_order(mut subject: Subject, dir: &Path) {
    let script = Script::of(300);
    let sinks = start(subject.make, &script, dir);
    script.wait_acknowledged(300);
    (301..=400).for_each(|number| script.push(event(number)));
    script.wait_acknowledged(400);
    assert_eq!(stats(&sinks).delivered, 400);
    assert_eq!(stats(&sinks).rejected, 0);
    assert_eq!(sinks.stop(DEADLINE)[0].1, Ending::Drained);
    assert!((subject.read)() == events(400), "other records than were sent, or in another order");
    script.assert_kept_its_promises();
}

fn acknowledges_only_what_is_there(subject: Subject, dir: &Path) {
    let script = Script::of(300);
    script.probe(subject.count);
    let _sinks = start(subject.make, &script, dir);
    script.wait_acknowledged(300);
    script.assert_kept_its_promises();
}

fn delivers_what_is_left_when_stopped(mut subject: Subject, dir: &Path) {
    let script = Script::of(300);
    let sinks = start(subject.make, &script, dir);
    assert_eq!(sinks.stop(DEADLINE)[0].1, Ending::Drained);
    assert_eq!(script.state().flushed, 300, "the mark must be durable");
    assert_eq!((subject.read)().len(), 300);
    script.assert_kept_its_promises();
}

#[test]
fn the_fake_conforms() {
    suite(|_| {
        let there: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let (take, count, read) = (Arc::clone(&there), Arc::clone(&there), there);
        Subject {
            make: fake(move |held, settled| {
                let fate = Fate::Delivered;
                settled.extend(held.iter().rev().map(|record| Settled { ticket: record.ticket, fate }));
                take.lock().unwrap().extend(held.drain(..).map(|record| record.event));
                Ok(())
            }),
            count: Box::new(move || count.lock().unwrap().len() as u64),
            read: Box::new(move || read.lock().unwrap().clone()),
        }
    });
}

#[test]
fn the_file_conforms() {
    suite(|dir| {
        let path = dir.join("deep/down/usage.jsonl");
        let plan = Plan::all(&events_config(dir, None, Some(config::File { path: path.clone() }))).unwrap().remove(0);
        assert_eq!(&*plan.name(), "file");
        let (counted, read) = (path.clone(), path);
        let lines = |path: &Path| -> Vec<Vec<u8>> {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            text.lines().map(|line| line.as_bytes().to_vec()).collect()
        };
        Subject {
            make: plan.maker(Arc::default()),
            count: Box::new(move || lines(&counted).len() as u64),
            read: Box::new(move || lines(&read)),
        }
    });
}

pub(super) fn events_config(dir: &Path, kafka: Option<config::Kafka>, file: Option<config::File>) -> config::Events {
    let spool = config::Spool {
        dir: dir.to_owned(),
        max_bytes: 1 << 20,
        when_full: config::WhenFull::Reject,
        sync: config::SyncMode::Process,
    };
    config::Events { spool, kafka, file, http: Vec::new() }
}
