//! Tollgate between an upstream that stops where it is told and clients that leave there, many at once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::corpus::Recording;
use crate::support::{Asked, Client, Mock, Reply, World};

/// Clients at a time. Fewer than are read on at a time by `drain`.
const CLIENTS: usize = 24;

/// Generous: all of them share one thread, in a long run with others' builds beside it.
const PATIENCE: Duration = Duration::from_mins(5);

/// The header with a cut's name, which the upstream and the event get, too.
const NAME: &str = "session-id";

/// What happens upstream when the client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    Abort,
    Drain,
}

/// What the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    H1,
    H2,
}

/// A client that leaves after `at` bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) at: usize,
    pub(super) protocol: Protocol,
}

impl Cut {
    /// Its name, in the request and in the event.
    pub(super) fn name(&self) -> String {
        format!("{:?}-{}", self.protocol, self.at)
    }
}

/// Wakes the upstream of each cut when its client has left, or tells that the upstream was cut.
type Gates = Arc<Mutex<HashMap<String, Arc<Notify>>>>;

/// The scene.
pub(super) struct Scene {
    world: World,
    _upstream: Mock,
    stage: Arc<Stage>,
}

/// What each client needs.
struct Stage {
    address: SocketAddr,
    /// Where clients send their requests, and what they ask.
    request: (String, Bytes),
    policy: Policy,
    gates: Gates,
}

impl Scene {
    pub(super) async fn set(stream: &Recording, policy: Policy) -> Self {
        let (gates, wire, kind) = (Gates::default(), stream.wire(), stream.content_type);
        let told = Arc::clone(&gates);
        let upstream = Mock::start(move |asked| stop(asked, (&wire, kind), (policy, &told))).await;
        let disconnect = format!("  disconnect: {}\n", format!("{policy:?}").to_lowercase());
        let world = World::before(&upstream).upstream(&disconnect).start().await;
        let (path, body) = stream.request();
        let request = (path, Bytes::from(body));
        let stage = Arc::new(Stage { address: world.address, request, policy, gates });
        Self { world, _upstream: upstream, stage }
    }

    /// Every event that the cuts left, by the cut's name. The numbers of the events are dense.
    pub(super) async fn play(self, cuts: &[Cut]) -> HashMap<String, Value> {
        let left = Arc::new(Mutex::new(cuts.to_vec()));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (left, stage) = (Arc::clone(&left), Arc::clone(&self.stage));
            clients.spawn(async move {
                loop {
                    let Some(cut) = left.lock().unwrap().pop() else { return };
                    let done = tokio::time::timeout(PATIENCE, stage.play(cut)).await;
                    done.unwrap_or_else(|_| panic!("{cut:?} does not come to its end"));
                }
            });
        }
        clients.join_all().await;
        // What is still read on must not be cut by the stop.
        while self.world.metric("tollgate_in_flight_requests").await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let events = self.world.finish().await;
        let count = events.len();
        let name = |event: &Value| event["data"]["session_id"].as_str().expect("a name").to_owned();
        let named: HashMap<_, _> = events.into_iter().map(|event| (name(&event), event)).collect();
        assert_eq!(named.len(), count, "no request has two events");
        named
    }
}

/// What the upstream does: sends the stream up to the cut, and waits there.
fn stop(asked: &Asked, (wire, kind): (&[u8], &str), (policy, gates): (Policy, &Gates)) -> Reply {
    let name = asked.headers[NAME].clone();
    let at: usize = name.split('-').nth(1).and_then(|at| at.parse().ok()).expect("a place");
    let gate = Arc::clone(&gates.lock().unwrap()[&name]);
    let (sent, rest) = wire.split_at(at);
    // An empty chunk would be the end.
    let parts = |bytes: &[u8]| (!bytes.is_empty()).then(|| bytes.to_vec());
    let reply = Reply::head(200, kind).chunks(parts(sent));
    match policy {
        Policy::Abort => reply.cut(&gate),
        Policy::Drain => reply.gate(&gate).chunks(parts(rest)).end(),
    }
}

impl Stage {
    async fn play(&self, cut: Cut) {
        let gate = Arc::new(Notify::new());
        self.gates.lock().unwrap().insert(cut.name(), Arc::clone(&gate));
        let mut client = match cut.protocol {
            Protocol::H1 => Client::connect(self.address).await,
            Protocol::H2 => Client::connect_h2(self.address).await,
        };
        let mut got = client.send(self.request(cut)).await;
        assert_eq!(got.status, 200);
        let mut read = 0;
        while read < cut.at {
            read += got.piece().await.expect("more bytes").expect("good bytes").len();
        }
        assert_eq!(read, cut.at, "no more than was sent");
        drop(got);
        client.leave().await;
        match self.policy {
            Policy::Abort => gate.notified().await,
            Policy::Drain => gate.notify_one(),
        }
        self.gates.lock().unwrap().remove(&cut.name());
    }

    fn request(&self, cut: Cut) -> Request<Full<Bytes>> {
        let (path, body) = &self.request;
        let request = Request::post(path).header("content-type", "application/json").header(NAME, cut.name());
        request.body(Full::new(body.clone())).unwrap()
    }
}
