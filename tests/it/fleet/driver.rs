//! Clients of a fleet: each call by some key at some sidecar, remembered with what its answer costs once it is complete.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::task::JoinSet;

use super::{KEYS, price};
use crate::support::Client;

/// What became of a call, as its client saw it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) key: usize,
    /// What it cost, once its last byte came.
    pub(super) nano: Option<i64>,
}

/// Every call by its session id.
pub(super) type Log = HashMap<String, Call>;

struct Shared {
    targets: Mutex<Vec<Option<SocketAddr>>>,
    log: Mutex<Log>,
    completed: AtomicUsize,
    calls: usize,
    stop: AtomicBool,
}

/// Running clients.
pub(super) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

impl Load {
    /// Clients that go on until so many answers are complete.
    pub(super) fn start(clients: usize, calls: usize, sidecars: usize) -> Self {
        let shared = Arc::new(Shared {
            targets: Mutex::new(vec![None; sidecars]),
            log: Mutex::default(),
            completed: AtomicUsize::new(0),
            calls,
            stop: AtomicBool::new(false),
        });
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

    pub(super) fn is_done(&self) -> bool {
        self.shared.completed.load(Ordering::Relaxed) >= self.shared.calls
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
    let key = fastrand::usize(..KEYS);
    let (body, nano) = match fastrand::usize(..3) {
        0 => (r#"{"model":"soak-whole","messages":[]}"#, price(10, 2)),
        1 => (r#"{"model":"soak-chunked","messages":[]}"#, price(10, 2)),
        _ => (r#"{"model":"soak-sse","stream":true,"messages":[]}"#, price(10, 5)),
    };
    let request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer sk-fleet-{key}"))
        .header("session-id", &session)
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .unwrap();
    shared.log.lock().unwrap().insert(session.clone(), Call { key, nano: None });
    let mut got = connection.try_send(request).await.ok()?;
    assert_eq!(got.status.as_u16(), 200, "an answer that nothing explains");
    while let Some(piece) = got.piece().await {
        piece.ok()?;
    }
    shared.log.lock().unwrap().get_mut(&session).unwrap().nano = Some(nano);
    shared.completed.fetch_add(1, Ordering::Relaxed);
    Some(())
}
