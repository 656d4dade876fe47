//! The proof on real peers: the OpenAI clients, Tollgate's own binary, a llama.cpp server, a Kafka broker.
//!
//! Everything else in these tests replaces a peer by a script; here nothing is, except that an upstream which must pause
//! at a given byte is still a [`Mock`](crate::support::Mock). Events are read by a Kafka consumer and checked by a
//! schema validator that share no code with Tollgate.

mod clients;
mod counts;
mod outage;
mod refusals;
mod restart;
mod running;
mod steady;
mod thousand;
mod topic;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::peers::{EventCheck, check_events};

/// The published schema of an event.
fn schema() -> PathBuf {
    let tree = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&tree).join("deploy/schema/usage.v1.json")
}

/// Every event is valid by the schema and readable as a CloudEvent, and no two have the same id.
#[track_caller]
fn assert_valid(events: &[Value]) {
    let lines: Vec<_> = events.iter().map(Value::to_string).collect();
    let EventCheck { events: seen, valid, invalid, distinct_ids, faults } = check_events(&schema(), &lines.join("\n"));
    assert_eq!((seen, valid, invalid), (events.len(), events.len(), 0), "{faults:?}");
    assert_eq!(distinct_ids, events.len(), "ids repeat");
}

/// The numbers of each life of each spool run from 1 without a gap.
#[track_caller]
fn assert_dense(events: &[Value]) {
    let mut lives: BTreeMap<(String, u64), BTreeSet<u64>> = BTreeMap::new();
    for event in events {
        let sequence = &event["data"]["sequence"];
        let life = (sequence["spool"].as_str().unwrap().to_owned(), sequence["epoch"].as_u64().unwrap());
        let fresh = lives.entry(life).or_default().insert(sequence["number"].as_u64().unwrap());
        assert!(fresh, "a number repeats: {sequence}");
    }
    for (life, numbers) in lives {
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "a gap in {life:?}: {numbers:?}");
    }
}

/// One of each event, as a reader that drops copies by their id would have them, in the order of their numbers.
fn distinct(events: Vec<Value>) -> Vec<Value> {
    let by_id: BTreeMap<String, Value> =
        events.into_iter().map(|event| (event["id"].as_str().unwrap().to_owned(), event)).collect();
    let mut events: Vec<_> = by_id.into_values().collect();
    events.sort_by_key(|event| {
        let sequence = &event["data"]["sequence"];
        (sequence["epoch"].as_u64(), sequence["number"].as_u64())
    });
    events
}

/// How many events have this value at this place in their data.
fn count(events: &[Value], field: &str, value: &str) -> usize {
    events.iter().filter(|event| event["data"][field] == value).count()
}
