//! What an authority revokes is refused at once; what it does when it is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tollgate::control::store::Enabled;
use tollgate::types::KeyId;

use super::{by, follows, key, sidecar, status};
use crate::control::{Api, On};
use crate::support::{Mock, Reply, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_key_is_refused_by_every_sidecar_in_under_two_seconds() {
    let api = Api::new(On::Sqlite).await;
    let upstream = Mock::always(Reply::json(200, "{}")).await;
    api.store.import_key(&by(), &key("a")).await.unwrap();
    let mut sidecars = Vec::new();
    for _ in 0..3 {
        let world = sidecar(&upstream, api.world.address, "").start().await;
        follows(&world).await;
        assert_eq!(status(&world, "sk-a").await, 200);
        sidecars.push(world);
    }
    let asked = Instant::now();
    api.store.enable_key(&by(), &KeyId::new("a"), Enabled::No).await.unwrap();
    for world in &sidecars {
        until("the key is refused", async || status(world, "sk-a").await == 401).await;
    }
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    for world in sidecars {
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_authority_good_keys_go_on_for_the_grace_and_revoked_ones_never_come_back() {
    const TTL: Duration = Duration::from_millis(500);
    const GRACE: Duration = Duration::from_secs(3);
    let api = Api::new(On::Sqlite).await;
    let upstream = Mock::always(Reply::json(200, "{}")).await;
    for id in ["good", "bad"] {
        api.store.import_key(&by(), &key(id)).await.unwrap();
    }
    let terms = ", ttl: 500ms, negative_ttl: 100ms, grace: 3s";
    let world = sidecar(&upstream, api.world.address, terms).start().await;
    follows(&world).await;
    assert_eq!((status(&world, "sk-good").await, status(&world, "sk-bad").await), (200, 200));
    api.store.enable_key(&by(), &KeyId::new("bad"), Enabled::No).await.unwrap();
    until("the key is refused", async || status(&world, "sk-bad").await == 401).await;
    assert_eq!(status(&world, "sk-good").await, 200);

    api.world.stop().await;
    let gone = Instant::now();
    let (mut stale, mut refused) = (0, 0);
    // From the last answer the key lives for its time and its grace, and no longer.
    let ended = loop {
        let bad = status(&world, "sk-bad").await;
        assert!(matches!(bad, 401 | 503), "a revoked key came back with {bad}");
        refused += u32::from(bad == 503);
        match status(&world, "sk-good").await {
            200 => stale += u32::from(gone.elapsed() > TTL),
            503 => break gone.elapsed(),
            other => panic!("a good key was answered {other} after {:?}", gone.elapsed()),
        }
        assert!(gone.elapsed() < TTL + GRACE + Duration::from_secs(2), "the grace does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(ended > GRACE, "the grace ended after {ended:?}");
    assert!(stale > 10 && refused > 10, "{stale} {refused}");
    assert!(world.metrics().await.contains("tollgate_guard_staleness_seconds"));
    let events = world.finish().await;
    let flagged = |event: &&serde_json::Value| event["data"]["flags"].to_string().contains("guard_stale");
    assert!(events.iter().filter(flagged).count() as u32 >= stale, "stale admissions say so");
    assert!(!flagged(&&events[0]), "and others do not");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn within_its_grace_a_key_that_the_authority_refuses_is_refused() {
    let api = Api::new(On::Sqlite).await;
    let upstream = Mock::always(Reply::json(200, "{}")).await;
    api.store.import_key(&by(), &key("a")).await.unwrap();
    // A gateway that has no stream of revocations: only the time that answers hold is left.
    let authority = api.world.address;
    let gateway = Mock::start(move |asked| match asked.path() {
        "/api/guard/auth" => Reply::raw(&format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{authority}/api/guard/auth\r\ncontent-length: 0\r\n\r\n"
        )),
        _ => Reply::json(404, "{}"),
    })
    .await;
    let astray = sidecar(&upstream, gateway.address, "").start().await;
    assert_eq!(status(&astray, "sk-a").await, 503, "a redirect is no answer, and no key is sent after it");

    let world = sidecar(&upstream, api.world.address, ", ttl: 300ms, negative_ttl: 0s, grace: 1h").start().await;
    assert_eq!(status(&world, "sk-a").await, 200);
    api.store.delete_key(&by(), &KeyId::new("a")).await.unwrap();
    until("the key is refused", async || status(&world, "sk-a").await == 401).await;
    api.world.stop().await;
    for _ in 0..20 {
        assert_ne!(status(&world, "sk-a").await, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_ends_with_its_connection_is_asked_once_more_and_no_more() {
    let upstream = Mock::always(Reply::json(200, "{}")).await;
    let (asks, dead) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
    let (counted, is_dead) = (Arc::clone(&asks), Arc::clone(&dead));
    let authority = Mock::start(move |asked| {
        if asked.path() != "/api/guard/auth" {
            return Reply::json(404, "{}");
        }
        let first = counted.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        if first || is_dead.load(Ordering::SeqCst) { Reply::default().reset() } else { Reply::json(200, "{}") }
    })
    .await;
    let world = sidecar(&upstream, authority.address, "").start().await;
    assert_eq!(status(&world, "sk-a").await, 200);
    // An authority of this kind is asked about the key, and about the model.
    assert_eq!(asks.load(Ordering::SeqCst), 4);
    dead.store(true, Ordering::SeqCst);
    assert_eq!(status(&world, "sk-b").await, 503);
    assert_eq!(asks.load(Ordering::SeqCst), 6);
}
