//! Clients of a fleet: each call by some key at some sidecar, remembered with how it was answered.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::task::JoinSet;

use super::plan::{KEYS, Means};
use super::price;
use crate::support::{Client, Got};

/// A disabled key is refused after this time, though the stream that tells of it may be cut by a kill.
const DISABLED_WITHIN: Duration = Duration::from_secs(4);
/// A key that was refused so often since its last answer, at every sidecar, has nothing left.
const REFUSED_LAST: usize = 60;
const SENTENCE: &str = "a question of some length, so that it is reckoned with more than it costs";
const MOST_OUTPUT: u64 = 5;

/// What a call holds: no call costs more, however it ends.
pub(super) fn dearest() -> i64 {
    price(SENTENCE.len().div_ceil(4) as u64, MOST_OUTPUT)
}

/// What became of a call, as its client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was not read to its end.
    Lost,
    /// It was, and this is what it costs.
    Answered(i64),
    /// The key has spent all that it may.
    Spent,
    /// Calls in flight may use what is left.
    Held,
    /// The key is not in force.
    Unknown,
    /// The authority could not be asked.
    Unreachable,
}

/// One call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) key: usize,
    pub(super) outcome: Outcome,
}

/// Every call by its session id.
pub(super) type Log = HashMap<String, Call>;

#[derive(Default)]
struct Shared {
    targets: Mutex<Vec<Option<SocketAddr>>>,
    log: Mutex<Log>,
    completed: AtomicUsize,
    calls: usize,
    /// By key: refused as spent since its last answer.
    refused: [AtomicUsize; KEYS.len()],
    disabling: AtomicBool,
    disabled: Mutex<Option<Instant>>,
    stop: AtomicBool,
}

/// Running clients.
pub(super) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

impl Load {
    /// Clients that go on until they are stopped, slowly once so many answers are complete.
    pub(super) fn start(clients: usize, calls: usize, sidecars: usize) -> Self {
        let shared = Arc::new(Shared { targets: Mutex::new(vec![None; sidecars]), calls, ..Shared::default() });
        let mut running = JoinSet::new();
        for client in 0..clients {
            running.spawn(work(Arc::clone(&shared), client));
        }
        Self { shared, clients: running }
    }

    /// Where a sidecar is now.
    pub(super) fn aim(&self, sidecar: usize, address: Option<SocketAddr>) {
        self.shared.targets.lock().unwrap()[sidecar] = address;
    }

    pub(super) fn completed(&self) -> usize {
        self.shared.completed.load(Ordering::Relaxed)
    }

    /// From now on the disabled key may be refused.
    pub(super) fn disabling(&self) {
        self.shared.disabling.store(true, Ordering::Relaxed);
    }

    /// It is disabled.
    pub(super) fn disabled(&self) {
        *self.shared.disabled.lock().unwrap() = Some(Instant::now());
    }

    /// Whether enough is answered, and every key that can run out has.
    pub(super) fn is_done(&self) -> bool {
        let has_run_out = |(key, means): (usize, Means)| {
            means.allowance(1).is_none() || self.shared.refused[key].load(Ordering::Relaxed) >= REFUSED_LAST
        };
        self.completed() >= self.shared.calls && KEYS.into_iter().enumerate().all(has_run_out)
    }

    /// Ends the clients; what they saw.
    pub(super) async fn stop(self) -> Log {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
        std::mem::take(&mut self.shared.log.lock().unwrap())
    }
}

async fn work(shared: Arc<Shared>, client: usize) {
    let mut number = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        let targets = shared.targets.lock().unwrap().clone();
        let target = targets[fastrand::usize(..targets.len())];
        let connected = match target {
            Some(address) if client.is_multiple_of(2) => Client::try_connect(address).await.ok(),
            Some(address) => Client::try_connect_h2(address).await.ok(),
            None => None,
        };
        let Some(mut connection) = connected else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        for _ in 0..fastrand::usize(1..30) {
            // Enough is done and the killing goes on: a little load is enough.
            if shared.completed.load(Ordering::Relaxed) >= shared.calls {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            number += 1;
            let session = format!("{client}-{number}");
            let asked = tokio::time::timeout(Duration::from_secs(30), ask(&shared, &mut connection, session)).await;
            if asked.ok().flatten().is_none() || shared.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        connection.hang_up();
    }
}

/// One call; `None` when its connection is of no more use.
async fn ask(shared: &Shared, connection: &mut Client, session: String) -> Option<()> {
    let key = shared.next_key();
    let (model, stream, nano) = match fastrand::usize(..3) {
        0 => ("soak-whole", false, price(10, 2)),
        1 => ("soak-chunked", false, price(10, 2)),
        _ => ("soak-sse", true, price(10, 5)),
    };
    let body = format!(
        r#"{{"model":"{model}","stream":{stream},"max_tokens":{MOST_OUTPUT},"messages":[{{"role":"user","content":"{SENTENCE}"}}]}}"#
    );
    let request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer sk-fleet-{key}"))
        .header("session-id", &session)
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    shared.log.lock().unwrap().insert(session.clone(), Call { key, outcome: Outcome::Lost });
    let asked = Instant::now();
    let mut got = connection.try_send(request).await.ok()?;
    let outcome = shared.outcome(&got, (key, asked), nano);
    while let Some(piece) = got.piece().await {
        piece.ok()?;
    }
    shared.log.lock().unwrap().get_mut(&session).unwrap().outcome = outcome;
    match outcome {
        Outcome::Answered(_) => {
            shared.completed.fetch_add(1, Ordering::Relaxed);
            shared.refused[key].store(0, Ordering::Relaxed);
        }
        Outcome::Spent => drop(shared.refused[key].fetch_add(1, Ordering::Relaxed)),
        _ => {}
    }
    Some(())
}

impl Shared {
    /// Any, and rarely one that has nothing left.
    fn next_key(&self) -> usize {
        let any = || fastrand::usize(..KEYS.len());
        let key = any();
        let has_left = self.refused[key].load(Ordering::Relaxed) < REFUSED_LAST;
        if has_left || fastrand::usize(..10) == 0 { key } else { self.next_key() }
    }

    /// What an answer's head says. What nothing explains fails the test.
    fn outcome(&self, got: &Got, (key, asked): (usize, Instant), nano: i64) -> Outcome {
        let means = KEYS[key];
        match (got.status.as_u16(), got.header("x-should-retry")) {
            (200, _) => {
                let disabled = self.disabled.lock().unwrap().filter(|_| means == Means::Disabled);
                let since = disabled.and_then(|at| asked.checked_duration_since(at)).unwrap_or_default();
                assert!(since < DISABLED_WITHIN, "a disabled key was let in after {since:?}");
                Outcome::Answered(nano)
            }
            (429, retry) => {
                assert!(means.allowance(1).is_some(), "{means:?} was refused");
                if retry == Some("false") { Outcome::Spent } else { Outcome::Held }
            }
            (401, _) => {
                assert!(means == Means::Disabled && self.disabling.load(Ordering::Relaxed), "{means:?} was unknown");
                Outcome::Unknown
            }
            (503, _) => Outcome::Unreachable,
            (other, _) => panic!("{means:?} was answered {other}"),
        }
    }
}
