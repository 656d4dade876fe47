//! The spool as a whole. A crash is simulated by opening a copy of the directory, taken while the process lives: what
//! the page cache holds at that moment is what a killed process leaves.

mod crash;
mod damage;
mod delivery;
mod durable;
mod faults;
mod flips;
mod further;
mod history;
mod interrupted;
mod large;
mod losses;
mod model;
mod names;
mod raw;
mod room;
mod states;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::{Reader, Record, Spool};
use crate::config::{self, SyncMode, WhenFull};
use crate::event::{self, Delivered, Snapshot, Spans, Tokens};

const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(20);

/// What the environment asks of a test, or what it does without.
fn setting(name: &str, normal: usize) -> usize {
    std::env::var_os(name).and_then(|text| text.to_str()?.parse().ok()).unwrap_or(normal)
}

fn config(dir: &Path) -> config::Spool {
    config::Spool {
        dir: dir.to_owned(),
        max_bytes: 256 * 1024 * 1024,
        when_full: WhenFull::Reject,
        sync: SyncMode::Process,
    }
}

fn spool(dir: &Path) -> Spool {
    Spool::open(&config(dir)).unwrap()
}

/// What a process that is killed now leaves.
pub(crate) fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    copy_into(from, to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_into(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn event(text: &str, bytes: usize) -> Vec<u8> {
    format!("{text:bytes$}").into_bytes()
}

/// An event whose numbers are an estimate, at least so long.
fn estimate(text: &str, bytes: usize) -> Vec<u8> {
    let numbers = r#""usage":{"source":"estimate","complete":false},"delivered":{},"timing":{}"#;
    event(&format!(r#"{{"text":"{text} ","data":{{{numbers}}}}}"#), bytes)
}

/// Other numbers of it.
fn numbers(bytes: u64) -> Snapshot {
    let delivered = Delivered { bytes, ..Delivered::default() };
    let tokens = Tokens::Estimated { input: 1, output: bytes / 4 };
    Snapshot { delivered, spans: Spans::default(), tokens, cost: None }
}

/// One whole request.
fn record(spool: &Spool, text: &str, bytes: usize) {
    let ticket = spool.begin_raw("org", &event(&format!("intent {text}"), bytes)).unwrap();
    assert!(ticket.seal("org", &event(text, bytes)).is_ready());
}

fn drain(reader: &mut Reader) -> Vec<Record> {
    read(reader).into_iter().filter(|record| !is_loss(&record.event)).collect()
}

/// Loss reports too.
fn read(reader: &mut Reader) -> Vec<Record> {
    std::iter::from_fn(|| reader.next(NOW)).collect()
}

fn is_loss(event: &[u8]) -> bool {
    serde_json::from_slice::<event::LossEvent>(event).is_ok_and(|event| event.kind == event::LOSS_TYPE)
}

fn losses(records: &[Record]) -> Vec<event::LossEvent> {
    records.iter().filter_map(|record| serde_json::from_slice(&record.event).ok()).collect()
}

fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8(record.event.clone()).unwrap().trim_end().to_owned()).collect()
}

/// Acknowledges everything there is.
fn deliver(reader: &mut Reader) -> usize {
    let records = drain(reader);
    if let Some(last) = records.last() {
        reader.acknowledge(last.position);
    }
    reader.flush();
    records.len()
}

fn segment_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found.sort();
    found
}
