//! Load over real sockets, by clients that remember what they asked and what they got.
//!
//! An answer counts as completed only after its last byte was received. Nothing is asked twice: each request has a
//! session id of its own, by which an event that nobody asked for would show.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::task::JoinSet;

use crate::support::Client;

/// How a request goes.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Whole,
    Chunked,
    Stream,
    /// A stream whose client leaves after its first piece.
    Left,
    /// Not answerable: it names no model.
    Refused,
}

const MANNERS: [Manner; 8] = [
    Manner::Whole,
    Manner::Whole,
    Manner::Chunked,
    Manner::Stream,
    Manner::Stream,
    Manner::Stream,
    Manner::Left,
    Manner::Refused,
];

/// What became of a request, as its client saw it.
#[derive(Clone, Debug, Default)]
pub(super) struct Fate {
    /// Known once the head of the answer came.
    pub(super) request_id: Option<String>,
    /// The outcome that its event must have, once the last byte came.
    pub(super) completed: Option<&'static str>,
}

/// Every request by its session id.
pub(super) type Log = HashMap<String, Fate>;

#[derive(Default)]
struct Shared {
    target: Mutex<Option<SocketAddr>>,
    log: Mutex<Log>,
    stop: std::sync::atomic::AtomicBool,
}

/// Running clients.
pub(super) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

impl Load {
    pub(super) fn start(clients: usize, seed: u64) -> Self {
        let shared = Arc::<Shared>::default();
        let mut running = JoinSet::new();
        for client in 0..clients {
            let rng = fastrand::Rng::with_seed(seed.wrapping_add(client as u64));
            running.spawn(work(Arc::clone(&shared), client, rng));
        }
        Self { shared, clients: running }
    }

    /// Where the server is now.
    pub(super) fn aim_at(&self, address: SocketAddr) {
        *self.shared.target.lock().unwrap() = Some(address);
    }

    /// Ends the clients; what they saw.
    pub(super) async fn stop(self) -> Log {
        self.shared.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        self.clients.join_all().await;
        std::mem::take(&mut self.shared.log.lock().unwrap())
    }
}

async fn work(shared: Arc<Shared>, client: usize, mut rng: fastrand::Rng) {
    let mut number = 0;
    while !shared.stop.load(std::sync::atomic::Ordering::Relaxed) {
        let target = *shared.target.lock().unwrap();
        let connected = match target {
            Some(address) if client.is_multiple_of(2) => Client::try_connect(address).await.ok(),
            Some(address) => Client::try_connect_h2(address).await.ok(),
            None => None,
        };
        let Some(mut connection) = connected else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        for _ in 0..rng.usize(1..40) {
            number += 1;
            let manner = MANNERS[rng.usize(..MANNERS.len())];
            let session = format!("{client}-{number}");
            let asked = ask(&shared, &mut connection, &session, manner);
            // Longer than anything takes here; whoever waits longer hangs, and the oracle will say what it misses.
            let done = tokio::time::timeout(Duration::from_secs(30), asked).await;
            if done.ok().flatten().is_none() || shared.stop.load(std::sync::atomic::Ordering::Relaxed) {
                break;
            }
        }
        connection.hang_up();
    }
}

/// One request; `None` when its connection is of no more use.
async fn ask(shared: &Shared, connection: &mut Client, session: &str, manner: Manner) -> Option<()> {
    let body = match manner {
        Manner::Whole => r#"{"model":"soak-whole","messages":[{"role":"user","content":"hi"}]}"#,
        Manner::Chunked => r#"{"model":"soak-chunked","messages":[{"role":"user","content":"hi"}]}"#,
        Manner::Stream | Manner::Left => {
            r#"{"model":"soak-sse","stream":true,"messages":[{"role":"user","content":"hi"}]}"#
        }
        Manner::Refused => r#"{"messages":[]}"#,
    };
    let request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .header("session-id", session)
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .unwrap();
    shared.log.lock().unwrap().insert(session.to_owned(), Fate::default());
    let mut got = connection.try_send(request).await.ok()?;
    let request_id = got.header("x-tollgate-request-id").expect("every answer names its request").to_owned();
    let expected = if matches!(manner, Manner::Refused) { (400, "rejected") } else { (200, "ok") };
    assert_eq!(got.status.as_u16(), expected.0, "an answer that nothing explains to {manner:?}");
    shared.log.lock().unwrap().insert(session.to_owned(), Fate { request_id: Some(request_id), completed: None });
    if matches!(manner, Manner::Left) {
        let _ = got.piece().await;
        return None;
    }
    while let Some(piece) = got.piece().await {
        piece.ok()?;
    }
    shared.log.lock().unwrap().get_mut(session).unwrap().completed = Some(expected.1);
    Some(())
}
