//! The proof that the ledger and the budgets are right: several sidecars that ask two control planes behind one name, on
//! one real Kafka and one PostgreSQL, killed at random under load, and totals that agree to the nano-dollar.
//!
//! The clients know what they asked and what they read to the end; an independent consumer reads the topic; the ledger
//! must say of every key and model what the events say, each counted once, and every completed answer must be among them
//! at its price. What a client did not read to its end has one event at most, and counts for what that says. Keys whose
//! budget or balance is used up are refused, having spent all of it, and more by no more than the README says.
//!
//! `make soak-fleet CALLS=50000` does more of the same.

mod door;
mod driver;
mod judge;
mod node;
mod plan;
mod records;
mod wreck;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use tollgate::config::Database;
use tollgate::control::store::{Store, UsageAsked};
use tollgate::types::{Secret, Timestamp};

use crate::peers::{KafkaPeer, PostgresPeer, off_runtime};
use crate::soak::upstream::Upstream;
use driver::{Load, Outcome};
use judge::Events;
use wreck::Fleet;

/// Names how many answers to complete in place of the small number, and how many sidecars.
const CALLS: &str = "TOLLGATE_TEST_FLEET_CALLS";
const SIDECARS: &str = "TOLLGATE_TEST_FLEET_SIDECARS";
const FEW_CALLS: usize = 1500;
const CLIENTS: usize = 12;
/// One life, of whichever is killed next.
const LIFE_MS: std::ops::Range<u64> = 300..1500;
/// After the last call the ledger has everything within this time; a killed member's partitions wait for ten seconds.
const SETTLED_WITHIN: Duration = Duration::from_mins(2);

/// Nano-USD of an answer: `prices.yaml` in `node`, and the store's.
pub(crate) fn price(input: u64, output: u64) -> i64 {
    (input * 30_000 + output * 150_000) as i64
}

fn number(name: &str, otherwise: usize) -> usize {
    let given = std::env::var_os(name).and_then(|text| text.into_string().ok());
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

async fn open(database: &str) -> Store {
    Store::open(&Database::Postgres(Secret::new(database))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ledger_and_budgets_agree_to_the_nano_dollar_however_sidecars_and_control_planes_are_killed() {
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
    plan::fill(&url, calls).await;
    let mut fleet = Fleet::start(sidecars, (&upstream.url(), &url), (&brokers, &topic)).await;
    let (started, load) = (Instant::now(), Load::start(CLIENTS, calls, sidecars));
    fleet.aim(&load);
    tokio::join!(plan::change(&url, &load, calls), async {
        while !load.is_done() || fleet.kills.contains(&0) {
            tokio::time::sleep(Duration::from_millis(rng.u64(LIFE_MS))).await;
            fleet.kill(&load, &mut rng).await;
        }
    });
    let (log, loaded, ended) = (load.stop().await, started.elapsed(), Timestamp::now());
    fleet.end_sidecars().await;
    let store = open(&url).await;
    let events = off_runtime(move || KafkaPeer::shared().read(&topic, 0, Duration::from_mins(1))).await;
    let (copies, events) = unique(&events);
    let settled = settle(&store, events.len() as i64).await;
    let kills = fleet.kills;
    fleet.end().await;
    judge::calls(&log, &events);
    judge::ledger(&store, &events).await;
    judge::money(&store, (&log, &events, ended), (calls, sidecars + kills[0])).await;
    let count = |outcome| judge::count(&log, |call| call.outcome == outcome);
    println!(
        "{} answers completed of {} asked, {} sidecar and {} control plane kills; {} refused as spent, {} as held, {} for \
         want of an authority; {} events, {copies} copies in the topic; ledger exact to the nano-dollar, lost 0; \
         {loaded:.1?} of load, settled in {settled:.1?}",
        judge::count(&log, |call| matches!(call.outcome, Outcome::Answered(_))),
        log.len(),
        kills[0],
        kills[1],
        count(Outcome::Spent),
        count(Outcome::Held),
        count(Outcome::Unreachable),
        events.len(),
    );
}

/// The topic's events by id, and how many copies there were besides.
fn unique(messages: &[crate::peers::Message]) -> (usize, Events) {
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
