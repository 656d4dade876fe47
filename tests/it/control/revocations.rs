//! What changes in the store is known everywhere at once: on the stream, in every control plane, in the guard.

use std::time::{Duration, Instant};

use serde_json::Value;
use tollgate::control::store::{By, Enabled, Group, Holder, NewKey};
use tollgate::types::{Digest, GroupId, KeyId, Pattern};

use super::{Api, On, SECRET, on_both};
use crate::peers::{PostgresPeer, off_runtime};
use crate::support::{Client, Got, PATIENCE, World, until};

on_both! {
    a_disabled_key_is_told_of_by_every_control_plane_in_under_two_seconds
    a_client_that_comes_back_misses_nothing
    a_disabled_key_stops_working_in_the_proxies_that_share_the_store
}

fn by() -> By {
    By::new("test")
}

fn key(id: &str) -> NewKey {
    let mut new = NewKey::new(KeyId::new(id));
    new.record.key = Digest::of(format!("sk-{id}").as_bytes());
    new
}

/// A stream of revocations.
struct Listening {
    got: Got,
    read: String,
    _client: Client,
}

impl Listening {
    async fn to(world: &World, last: Option<&str>) -> Self {
        let mut client = world.client().await;
        let request = http::Request::get("/api/guard/revocations").header("secretkey", SECRET);
        let request = last.into_iter().fold(request, |request, id| request.header("last-event-id", id));
        let got = client.send(request.body(http_body_util::Full::default()).unwrap()).await;
        assert_eq!((got.status.as_u16(), got.header("content-type")), (200, Some("text/event-stream")));
        Self { got, read: String::new(), _client: client }
    }

    /// The next event: its id, its kind, its data.
    async fn next(&mut self) -> (Option<String>, Option<String>, Value) {
        let event = loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.read = rest;
                break event;
            }
            let piece = tokio::time::timeout(PATIENCE, self.got.piece()).await.expect("an event or a heartbeat");
            self.read.push_str(std::str::from_utf8(&piece.unwrap().unwrap()).unwrap());
        };
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        (field("id: "), field("event: "), serde_json::from_str(&field("data: ").unwrap()).unwrap())
    }

    /// The next event that is not a heartbeat.
    async fn next_change(&mut self) -> (Option<String>, Value) {
        loop {
            let (id, kind, data) = self.next().await;
            if kind.is_none() {
                return (id, data);
            }
        }
    }
}

async fn a_disabled_key_is_told_of_by_every_control_plane_in_under_two_seconds(on: On) {
    let api = Api::new(on).await;
    let (second, _upstream) = api.place.world("", None).await;
    api.store.import_key(&by(), &key("xxx")).await.unwrap();
    let mut streams = [Listening::to(&api.world, None).await, Listening::to(&second, None).await];
    for stream in &mut streams {
        let (id, kind, data) = stream.next().await;
        assert_eq!((kind.as_deref(), data["revision"].to_string()), (Some("heartbeat"), id.unwrap()));
    }
    let asked = Instant::now();
    let revision = api.store.enable_key(&by(), &KeyId::new("xxx"), Enabled::No).await.unwrap();
    for stream in &mut streams {
        let (id, data) = stream.next_change().await;
        assert_eq!(id, Some(revision.to_string()));
        let digest = Digest::of(b"sk-xxx").to_hex();
        assert_eq!(data, serde_json::json!({"key_sha256": digest, "key_id": "xxx", "revision": revision}));
    }
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    let mut client = api.world.client().await;
    assert_eq!(client.get("/api/guard/revocations").await.status, 401, "the stream needs the deployment's secret");
    let stopping = Instant::now();
    second.stop().await;
    assert!(stopping.elapsed() < Duration::from_secs(10), "an open stream does not hold up the end");
}

async fn a_client_that_comes_back_misses_nothing(on: On) {
    let api = Api::new(on).await;
    let group = GroupId::new("g");
    api.store.save_group(&by(), &Group { id: group.clone(), name: String::new() }).await.unwrap();
    for id in ["a", "b"] {
        let mut new = key(id);
        new.record.group = Some(group.clone());
        api.store.import_key(&by(), &new).await.unwrap();
    }
    let start = api.store.revision().await.unwrap();
    api.store.permit(&by(), &Holder::Group(group), &[Pattern::new("demo")]).await.unwrap();
    api.store.delete_key(&by(), &KeyId::new("a")).await.unwrap();
    let mut stream = Listening::to(&api.world, Some(&start.to_string())).await;
    let told = [stream.next_change().await, stream.next_change().await, stream.next_change().await];
    let seen = told.each_ref().map(|(id, data)| (id.as_deref(), data["key_id"].as_str().unwrap()));
    let (one, two) = ((start + 1).to_string(), (start + 2).to_string());
    assert_eq!(seen, [(None, "a"), (Some(one.as_str()), "b"), (Some(two.as_str()), "a")]);
    let mut stranger = Listening::to(&api.world, Some("999999")).await;
    assert_eq!(stranger.next_change().await.1["all"], true, "it followed another database");
}

async fn a_disabled_key_stops_working_in_the_proxies_that_share_the_store(on: On) {
    let api = Api::new(on).await;
    let (second, _upstream) = api.place.world("", None).await;
    api.store.import_key(&by(), &key("xxx")).await.unwrap();
    let worlds = [&api.world, &second];
    for world in worlds {
        assert_eq!(world.chat(Some("sk-xxx"), r#"{"model":"demo"}"#).await.status, 200);
    }
    let asked = Instant::now();
    api.store.enable_key(&by(), &KeyId::new("xxx"), Enabled::No).await.unwrap();
    for world in worlds {
        while world.chat(Some("sk-xxx"), r#"{"model":"demo"}"#).await.status != 401 {
            assert!(asked.elapsed() < Duration::from_secs(2), "still let in after {:?}", asked.elapsed());
        }
    }
    api.store.enable_key(&by(), &KeyId::new("xxx"), Enabled::Yes).await.unwrap();
    while api.world.chat(Some("sk-xxx"), r#"{"model":"demo"}"#).await.status != 200 {
        assert!(asked.elapsed() < Duration::from_secs(8), "not let in again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_a_process_is_not_ready_and_with_it_again_it_is() {
    let (mut peer, url) = off_runtime(|| {
        let peer = PostgresPeer::alone();
        let url = peer.database();
        (peer, url)
    })
    .await;
    let upstream = crate::support::Mock::always(crate::support::Reply::json(200, "{}")).await;
    let control = format!("control: {{ database: {url:?}, guard_secret: {{ value: {SECRET} }} }}\n");
    let world = World::before(&upstream).with(&control).start().await;
    let ready = async |want: u16| {
        let is = async || Client::connect(world.ops).await.get("/readyz").await.status == want;
        until(&format!("/readyz is {want}"), is).await;
    };
    ready(200).await;
    let peer = off_runtime(move || {
        peer.stop();
        peer
    });
    let mut peer = peer.await;
    ready(503).await;
    assert_eq!(world.chat(Some("sk-xxx"), r#"{"model":"demo"}"#).await.status, 503, "who calls cannot be told");
    let _peer = off_runtime(move || {
        peer.start();
        peer
    })
    .await;
    ready(200).await;
    world.stop().await;
}
