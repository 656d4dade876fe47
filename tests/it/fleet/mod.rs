//! The proof that the ledger is right: several sidecars and two control planes on one real Kafka and one PostgreSQL,
//! killed at random under load, and totals that agree to the nano-dollar.
//!
//! The clients know what they asked and what they read to the end; an independent consumer reads the topic; the ledger
//! must say of every key and model what the events say, each counted once, and every completed answer must be among them
//! at its price. What a client did not read to its end has one event at most, and counts for what that says.
//!
//! `make soak-fleet CALLS=50000` does more of the same.

mod driver;
mod node;
mod records;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use tollgate::config::Database;
use tollgate::control::store::{Grouping, Payer, Store, UsageAsked};
use tollgate::types::{KeyId, OrgId, Period, Secret, Timestamp};

use crate::peers::{KafkaPeer, PostgresPeer, Program, off_runtime};
use crate::soak::upstream::Upstream;
use driver::{Load, Log};
use node::Place;

/// Names how many answers to complete in place of the small number, and how many sidecars.
const CALLS: &str = "TOLLGATE_TEST_FLEET_CALLS";
const SIDECARS: &str = "TOLLGATE_TEST_FLEET_SIDECARS";
const FEW_CALLS: usize = 1500;
const CLIENTS: usize = 12;
/// One life, of whichever is killed next.
const LIFE_MS: std::ops::Range<u64> = 300..1500;
/// After the last call the ledger has everything within this time; a killed member's partitions wait for ten seconds.
const SETTLED_WITHIN: Duration = Duration::from_mins(2);

pub(crate) const KEYS: usize = 8;

/// Nano-USD of an answer: `prices.yaml` in `node`.
pub(crate) fn price(input: u64, output: u64) -> i64 {
    (input * 3_000 + output * 15_000) as i64
}

fn number(name: &str, otherwise: usize) -> usize {
    let given = std::env::var_os(name).and_then(|text| text.into_string().ok());
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Requests, input and output tokens, nano-USD.
type Sums = (i64, i64, i64, i64);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_agrees_to_the_nano_dollar_however_sidecars_and_control_planes_are_killed() {
    let (calls, sidecars) = (number(CALLS, FEW_CALLS), number(SIDECARS, 2));
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let topic = format!("fleet-{calls}");
    let named = topic.clone();
    let (url, brokers) = off_runtime(move || {
        KafkaPeer::shared().create_topic(&named, 6);
        (PostgresPeer::shared().database(), KafkaPeer::shared().bootstrap.clone())
    })
    .await;
    let upstream = Upstream::start().await;
    let places: Vec<_> = (0..sidecars)
        .map(|_| Place::sidecar(&upstream.url(), (&brokers, &topic)))
        .chain((0..2).map(|_| Place::control(&url, (&brokers, &topic))))
        .collect();
    let mut nodes = Vec::new();
    for place in &places {
        nodes.push(node::start(place).await);
    }
    let started = Instant::now();
    let load = Load::start(CLIENTS, calls, sidecars);
    nodes.iter().take(sidecars).enumerate().for_each(|(at, node)| load.aim(at, Some(node.address)));
    let kills = wreck(&mut nodes, &places, &load, &mut rng).await;
    let (log, loaded) = (load.stop().await, started.elapsed());
    let control = nodes.split_off(sidecars);
    for node in nodes {
        node.end().await;
    }
    let store = Store::open(&Database::Postgres(Secret::new(url))).await.unwrap();
    let events = off_runtime(move || KafkaPeer::shared().read(&topic, 0, Duration::from_mins(1))).await;
    let (copies, events) = unique(&events);
    let settled = settle(&store, events.len() as i64).await;
    for node in control {
        node.end().await;
    }
    judge(&store, &log, &events).await;
    let completed = log.values().filter(|call| call.nano.is_some()).count();
    println!(
        "{completed} answers completed of {} asked, {} sidecar and {} control plane kills; {} events, {copies} copies in \
         the topic; ledger exact to the nano-dollar, lost 0; {loaded:.1?} of load, settled in {settled:.1?}",
        log.len(),
        kills[0],
        kills[1],
        events.len(),
    );
}

/// Kills and starts again, one after the other, until the load is done: how many sidecars, how many control planes.
async fn wreck(nodes: &mut Vec<Program>, places: &[Place], load: &Load, rng: &mut fastrand::Rng) -> [usize; 2] {
    let (mut kills, sidecars) = ([0, 0], places.len() - 2);
    while !load.is_done() || kills.contains(&0) {
        tokio::time::sleep(Duration::from_millis(rng.u64(LIFE_MS))).await;
        // The first two kills are one of each kind, whatever comes after.
        let at = match kills {
            [0, _] => rng.usize(..sidecars),
            [_, 0] => sidecars + rng.usize(..2),
            _ => rng.usize(..places.len()),
        };
        if at < sidecars {
            load.aim(at, None);
        }
        kills[usize::from(at >= sidecars)] += 1;
        nodes.remove(at).kill().await;
        nodes.insert(at, node::start(&places[at]).await);
        if at < sidecars {
            load.aim(at, Some(nodes[at].address));
        }
    }
    kills
}

/// The topic's events by id, and how many copies there were besides.
fn unique(messages: &[crate::peers::Message]) -> (usize, BTreeMap<String, Value>) {
    let read = |message: &crate::peers::Message| -> Value {
        serde_json::from_str(message.value.as_deref().expect("a value")).expect("JSON")
    };
    let events: Vec<Value> = messages.iter().map(read).collect();
    let all = events.len();
    let usage = events.into_iter().filter(|event| event["type"] == "dev.tollgate.usage.v1");
    let by_id: BTreeMap<_, _> = usage.map(|event| (event["id"].as_str().unwrap().to_owned(), event)).collect();
    (all - by_id.len(), by_id)
}

/// Waits until the ledger has counted so many events; how long that took.
async fn settle(store: &Store, events: i64) -> Duration {
    let started = Instant::now();
    loop {
        let sums = store.usage(&UsageAsked::default()).await.unwrap();
        let counted = sums.first().map_or(0, |row| row.totals.requests + row.totals.rejected);
        assert!(counted <= events, "{counted} counted of {events} that there are");
        if counted == events {
            return started.elapsed();
        }
        assert!(started.elapsed() < SETTLED_WITHIN, "{counted} of {events} events counted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn judge(store: &Store, log: &Log, events: &BTreeMap<String, Value>) {
    let mut sums: BTreeMap<Vec<String>, Sums> = BTreeMap::new();
    let mut sessions: BTreeMap<&str, &Value> = BTreeMap::new();
    for (id, event) in events {
        let data = &event["data"];
        let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
        let session = data["session_id"].as_str().expect("every call has its session");
        assert!(log.contains_key(session), "{id} is of a call that nobody made");
        assert!(sessions.insert(session, data).is_none(), "{id} is a second event of session {session}");
        let failed = matches!(data["outcome"].as_str(), Some("rejected" | "upstream_error"));
        let model = if failed { text("model_served") } else { text("model_requested") };
        let sum = sums.entry(vec![text("key_id"), text("org_id"), model]).or_default();
        let count = |value: &Value| value.as_i64().unwrap_or(0);
        sum.0 += i64::from(data["outcome"] != "rejected");
        sum.1 += count(&data["usage"]["input_tokens"]);
        sum.2 += count(&data["usage"]["output_tokens"]);
        sum.3 += count(&data["cost"]["total_nano"]);
    }
    for (session, call) in log.iter().filter(|(_, call)| call.nano.is_some()) {
        let data = sessions.get(session.as_str()).unwrap_or_else(|| panic!("lost: session {session}, {call:?}"));
        assert_eq!(data["outcome"], "ok", "session {session}: {data}");
        assert_eq!(data["key_id"], format!("key-{}", call.key), "session {session}");
        assert_eq!(data["cost"]["total_nano"].as_i64(), call.nano, "session {session}: {data}");
    }
    let by = vec![Grouping::Key, Grouping::Organization, Grouping::Model];
    let rows = store.usage(&UsageAsked { by, ..UsageAsked::default() }).await.unwrap();
    let kept: BTreeMap<Vec<String>, Sums> = rows
        .into_iter()
        .map(|row| {
            let totals = row.totals;
            (row.names, (totals.requests, totals.input_tokens, totals.output_tokens, totals.cost.0))
        })
        .collect();
    assert_eq!(kept, sums, "the ledger and the events disagree");
    charged(store, &sums).await;
}

/// What each key and organization is charged with is what its events cost.
async fn charged(store: &Store, sums: &BTreeMap<Vec<String>, Sums>) {
    let mut payers: BTreeMap<Payer, i64> = BTreeMap::new();
    for (names, sum) in sums {
        *payers.entry(Payer::Key(KeyId::new(names[0].as_str()))).or_default() += sum.3;
        *payers.entry(Payer::Organization(OrgId::new(names[1].as_str()))).or_default() += sum.3;
    }
    assert_eq!(payers.len(), KEYS + 2, "every key was used: {payers:?}");
    for (payer, nano) in payers {
        let spent = store.spent(&payer, (Period::Total, Timestamp::now())).await.unwrap();
        assert_eq!(spent.0, nano, "{payer:?}");
    }
}
