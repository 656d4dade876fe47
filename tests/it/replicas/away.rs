//! The store is away: what happens then is what the configuration says, and it costs no time.

use std::time::{Duration, Instant};

use super::{ANSWER, WIDE, shared, sidecar_with, status, up};
use crate::peers::{RedisPeer, off_runtime};
use crate::support::{Client, Mock, Reply, World};

const AWAY: &str = r#"tollgate_limit_store_decisions_total{by="away"}"#;

fn is_flagged(event: &serde_json::Value) -> bool {
    event["data"]["flags"].to_string().contains("limits_local")
}

/// The time that each of some calls took, sorted.
async fn times(world: &World, calls: usize) -> Vec<Duration> {
    let mut client = Client::connect(world.address).await;
    let mut times = Vec::new();
    for _ in 0..calls {
        let began = Instant::now();
        let got = client.post("/v1/chat/completions", Some("sk-good"), WIDE).await;
        assert_eq!(got.status, 200);
        got.bytes().await;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    times
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_store_each_sidecar_holds_the_limit_alone_and_says_so_until_it_is_back() {
    let mut store = off_runtime(RedisPeer::start).await;
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let settings = shared(&store, ", timeout: 1s");
    let limits = "requests_per_minute: 4";
    let (a, b) = (sidecar_with(&upstream, limits, &settings).await, sidecar_with(&upstream, limits, &settings).await);
    // Two of four are used here before the store dies; this process knows of its own.
    assert_eq!((status(&a, WIDE).await, status(&a, WIDE).await), (200, 200));
    store = off_runtime(move || {
        store.kill();
        store
    })
    .await;
    up(&a, 0).await;
    up(&b, 0).await;
    for expected in [200, 200, 429] {
        assert_eq!(status(&a, WIDE).await, expected);
    }
    for expected in [200, 200, 200, 200, 429] {
        assert_eq!(status(&b, WIDE).await, expected);
    }
    assert_eq!((a.metric(AWAY).await, b.metric(AWAY).await), (3, 5));
    store = off_runtime(move || {
        store.restart();
        store
    })
    .await;
    up(&a, 1).await;
    up(&b, 1).await;
    // It has lost its memory: a fresh minute for both together.
    let mut passed = 0;
    for world in [&a, &b, &a, &b, &a, &b] {
        passed += u32::from(status(world, WIDE).await == 200);
    }
    assert_eq!(passed, 4);
    let (a, b) = (a.finish().await, b.finish().await);
    let flagged: Vec<_> = a.iter().filter(|event| event["data"]["outcome"] == "ok").map(is_flagged).collect();
    assert_eq!(flagged[..4], [false, false, true, true], "only what was let in without the store says so");
    assert_eq!(b.iter().filter(|event| is_flagged(event)).count(), 4);
    drop(store);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_it_must_be_asked_requests_are_refused_without_it_and_the_process_is_not_ready() {
    let mut store = off_runtime(RedisPeer::start).await;
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let settings = shared(&store, ", timeout: 1s, when_unreachable: reject");
    let world = sidecar_with(&upstream, "requests_per_minute: 40", &settings).await;
    assert_eq!(status(&world, WIDE).await, 200);
    let ready = async || Client::connect(world.ops).await.get("/readyz").await.status.as_u16();
    assert_eq!(ready().await, 200);
    store = off_runtime(move || {
        store.kill();
        store
    })
    .await;
    up(&world, 0).await;
    let refused = world.chat(Some("sk-good"), WIDE).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, Some("5")));
    assert_eq!(refused.json().await["error"]["code"], "limits_unreachable");
    assert_eq!(ready().await, 503);
    store = off_runtime(move || {
        store.restart();
        store
    })
    .await;
    up(&world, 1).await;
    assert_eq!((ready().await, status(&world, WIDE).await), (200, 200));
    world.finish().await;
    drop(store);
}

/// Calls while the store answers, while it is dead and while it hangs. Prints what they took.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_dead_or_hangs_costs_no_time_per_request() {
    const CALLS: usize = 300;
    let store = off_runtime(RedisPeer::start).await;
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = sidecar_with(&upstream, "concurrent_requests: 60", &shared(&store, ", timeout: 500ms")).await;
    times(&world, 50).await;
    let asked = times(&world, CALLS).await;
    assert_eq!(world.metric(AWAY).await, 0);

    store.signal("STOP");
    // The first finds out, and waits for no more than a timeout or two; nobody waits after it.
    let hung = times(&world, CALLS).await;
    assert!(hung[CALLS - 1] < Duration::from_secs(2), "{:?}", hung[CALLS - 1]);
    assert!(world.metric(AWAY).await >= CALLS as u64 - 1);
    let mut store = store;
    store = off_runtime(move || {
        store.kill();
        store
    })
    .await;
    let dead = times(&world, CALLS).await;
    let p = |times: &[Duration], percent: usize| times[times.len() * percent / 100];
    for (name, times) in [("asked", &asked), ("hangs", &hung), ("dead", &dead)] {
        println!("{name}: p50 {:?}, p99 {:?}, longest {:?}", p(times, 50), p(times, 99), times[CALLS - 1]);
    }
    for times in [&hung, &dead] {
        assert!(p(times, 50) < p(&asked, 50) * 3, "{:?} against {:?}", p(times, 50), p(&asked, 50));
        assert!(p(times, 98) < p(&asked, 98) * 3 + Duration::from_millis(50), "{:?}", p(times, 98));
    }
    drop(store);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_that_starts_without_the_store_serves_and_joins_it_later() {
    let mut store = off_runtime(RedisPeer::start).await;
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let settings = shared(&store, ", timeout: 1s");
    store = off_runtime(move || {
        store.kill();
        store
    })
    .await;
    let world = World::before(&upstream).keys(&super::keys("concurrent_requests: 5")).with(&settings).start().await;
    assert_eq!(status(&world, WIDE).await, 200);
    store = off_runtime(move || {
        store.restart();
        store
    })
    .await;
    up(&world, 1).await;
    assert_eq!(status(&world, WIDE).await, 200);
    let events = world.finish().await;
    assert_eq!(events.iter().map(is_flagged).collect::<Vec<_>>(), [true, false]);
    drop(store);
}
