//! The store answers: limits hold for all sidecars together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::{ANSWER, WIDE, admitted, keys, shared, sidecar, status};
use crate::peers::{Program, RedisPeer, off_runtime};
use crate::support::{Mock, Reply, World, chat, until};

/// An answer that begins and ends when it is told to.
fn held(gate: &Arc<Notify>) -> Reply {
    let began = Reply::head(200, "text/event-stream").chunk("data: {\"choices\":[]}\n\n");
    began.gate(gate).chunk("data: [DONE]\n\n").end()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_calls_at_once_over_three_sidecars_admit_exactly_the_limit() {
    let store = off_runtime(RedisPeer::start).await;
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let mut sidecars = Vec::new();
    for _ in 0..3 {
        sidecars.push(sidecar(&upstream, &store, "requests_per_minute: 50").await);
    }
    let addresses: Vec<_> = sidecars.iter().map(|world| world.address).collect();
    let began = Instant::now();
    let passed = admitted(&addresses, 1000).await;
    // Room comes back in steps of ten seconds: on a machine that is too slow, more are let in rightly.
    let steps = began.elapsed().as_secs() as usize / 10;
    assert!((50..=50 + steps * 9).contains(&passed), "{passed} after {steps} steps");
    assert_eq!(upstream.asked().len(), passed);
    let mut outcomes = (0, 0);
    for world in sidecars {
        for event in world.finish().await {
            assert!(!event["data"]["flags"].to_string().contains("limits_local"), "{event}");
            match event["data"]["outcome"].as_str() {
                Some("ok") => outcomes.0 += 1,
                Some("rejected") => outcomes.1 += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(outcomes, (passed, 1000 - passed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_large_limit_is_held_mostly_without_asking_and_within_the_stated_bound() {
    const LIMIT: usize = 1280;
    let store = off_runtime(RedisPeer::start).await;
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let limits = format!("requests_per_minute: {LIMIT}");
    let (a, b) = (sidecar(&upstream, &store, &limits).await, sidecar(&upstream, &store, &limits).await);
    let began = Instant::now();
    let passed = admitted(&[a.address, b.address], LIMIT + 200).await;
    let refilled = began.elapsed().as_secs() as usize / 10 * LIMIT.div_ceil(6);
    let part = LIMIT / 64;
    assert!(passed + 2 * part >= LIMIT && passed <= LIMIT + refilled + 2 * part, "{passed} of {LIMIT}");
    let ahead = r#"tollgate_limit_store_decisions_total{by="ahead"}"#;
    let ahead = a.metric(ahead).await + b.metric(ahead).await;
    let trips = a.metric("tollgate_limit_store_round_trips_total").await;
    assert!(ahead > 200, "{ahead} let in without asking, {trips} round trips");
    a.finish().await;
    b.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_reserved_and_settled_for_all() {
    let store = off_runtime(RedisPeer::start).await;
    let gate = Arc::new(Notify::new());
    let whole = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    );
    let reply = Reply::default().gate(&gate).then(&whole);
    let upstream = Mock::always(reply).await;
    let limits = "tokens_per_minute: 1000";
    let (a, b) = (sidecar(&upstream, &store, limits).await, sidecar(&upstream, &store, limits).await);
    let address = a.address;
    let waiting = tokio::spawn(async move {
        let mut client = crate::support::Client::connect(address).await;
        client.post("/v1/chat/completions", Some("sk-good"), WIDE).await.bytes().await;
    });
    until("the first call is in flight", async || upstream.asked().len() == 1).await;
    let refused = b.chat(Some("sk-good"), WIDE).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json().await["error"]["type"], "tokens", "what the other has in flight is reserved here, too");
    gate.notify_one();
    waiting.await.unwrap();
    gate.notify_one();
    until("what was not used is back", async || status(&b, WIDE).await == 200).await;
    a.finish().await;
    b.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn debt_that_one_made_is_the_others_too() {
    let store = off_runtime(RedisPeer::start).await;
    let large = ANSWER
        .replace("\"completion_tokens\":10,\"total_tokens\":20", "\"completion_tokens\":2990,\"total_tokens\":3000");
    let upstream = Mock::always(Reply::json(200, &large)).await;
    let limits = "tokens_per_minute: 1000";
    let (a, b) = (sidecar(&upstream, &store, limits).await, sidecar(&upstream, &store, limits).await);
    assert_eq!(status(&a, WIDE).await, 200);
    let owed = async || store.ask(&["HGET", "tollgate:{key:k}", "tl"]).trim().parse::<i64>().unwrap() < 0;
    until("the store knows of the debt", owed).await;
    let refused = b.chat(Some("sk-good"), WIDE).await;
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    // It owes 2,000 and needs some 700: more than two minutes at 1,000 a minute.
    assert!((140..=170).contains(&wait), "{wait}");
    a.finish().await;
    b.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_flight_are_held_for_all_and_freed() {
    let store = off_runtime(RedisPeer::start).await;
    let gate = Arc::new(Notify::new());
    let upstream = Mock::always(held(&gate)).await;
    let limits = "concurrent_requests: 2";
    let (a, b) = (sidecar(&upstream, &store, limits).await, sidecar(&upstream, &store, limits).await);
    let mut first = a.chat(Some("sk-good"), &chat(true)).await;
    let mut second = b.chat(Some("sk-good"), &chat(true)).await;
    first.piece().await;
    second.piece().await;
    assert_eq!((status(&a, &chat(true)).await, status(&b, &chat(true)).await), (429, 429));
    gate.notify_one();
    gate.notify_one();
    first.bytes().await;
    second.bytes().await;
    gate.notify_one();
    gate.notify_one();
    until("a place is free", async || status(&b, &chat(true)).await == 200).await;
    gate.notify_waiters();
    a.finish_unless(std::future::ready(())).await;
    b.finish_unless(std::future::ready(())).await;
    assert_eq!(store.ask(&["HGET", "tollgate:{key:k}", "cn"]).trim(), "0", "who ends gives everything back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_sidecar_had_in_flight_comes_back_by_time() {
    let store = off_runtime(RedisPeer::start).await;
    let gate = Arc::new(Notify::new());
    let upstream = Mock::always(held(&gate)).await;
    let dir = tempfile::tempdir().unwrap();
    let limits = "concurrent_requests: 1";
    std::fs::write(dir.path().join("keys.yaml"), keys(limits)).unwrap();
    let configuration = format!(
        "proxy: {{ listen: 127.0.0.1:0 }}\nops: {{ listen: 127.0.0.1:0 }}\nlog: {{ format: json }}\nupstreams: [{{ name: mock, url: \"{}\", credential: {{ value: sk-upstream }} }}]\nguard: {{ mode: keys, keys: {{ file: keys.yaml }} }}\n{}\n",
        upstream.url(),
        shared(&store, ", timeout: 2s"),
    );
    std::fs::write(dir.path().join("tollgate.yaml"), configuration).unwrap();
    let victim = Program::start("proxy", dir.path()).await;
    let other = sidecar(&upstream, &store, limits).await;
    let mut client = crate::support::Client::connect(victim.address).await;
    let mut streaming = client.post("/v1/chat/completions", Some("sk-good"), chat(true)).await;
    assert_eq!(streaming.status, 200);
    streaming.piece().await;
    // Longer than the lease: who lives says so in time.
    let held_until = Instant::now() + Duration::from_secs(12);
    while Instant::now() < held_until {
        assert_eq!(status(&other, &chat(true)).await, 429);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    victim.kill().await;
    let killed = Instant::now();
    gate.notify_one();
    until("its place is free", async || status(&other, &chat(true)).await == 200).await;
    let after = killed.elapsed();
    assert!(after > Duration::from_secs(5) && after < Duration::from_secs(13), "{after:?}");
    other.finish_unless(std::future::ready(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organization_is_limited_over_sidecars_and_keys_and_a_refusal_costs_its_key_nothing() {
    let store = off_runtime(RedisPeer::start).await;
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let organization = shared(&store, ", timeout: 2s").replacen(
        "limits: { ",
        "limits: { organization: { requests_per_minute: 3 }, ",
        1,
    );
    let mut worlds = Vec::new();
    for _ in 0..2 {
        worlds.push(super::sidecar_with(&upstream, "requests_per_minute: 10", &organization).await);
    }
    let mut statuses = Vec::new();
    for turn in 0..5 {
        statuses.push(status(&worlds[turn % 2], &chat(false)).await);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    let whole = async || store.ask(&["HGET", "tollgate:{key:k}", "rl"]).trim() == (7 * 6).to_string();
    until("the key has its requests back", whole).await;
    for world in worlds {
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_forgets_its_data_or_the_script_does_no_harm_beyond_a_fresh_minute() {
    let store = off_runtime(RedisPeer::start).await;
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let (a, b) = {
        let limits = "requests_per_minute: 2";
        (sidecar(&upstream, &store, limits).await, sidecar(&upstream, &store, limits).await)
    };
    assert_eq!((status(&a, WIDE).await, status(&b, WIDE).await), (200, 200));
    store.ask(&["SCRIPT", "FLUSH"]);
    assert_eq!((status(&a, WIDE).await, status(&b, WIDE).await), (429, 429));
    store.ask(&["FLUSHALL"]);
    assert_eq!((status(&a, WIDE).await, status(&b, WIDE).await), (200, 200));
    assert_eq!((status(&a, WIDE).await, status(&b, WIDE).await), (429, 429));
    assert_eq!(a.metric("tollgate_limit_store_losses_total").await, 0);
    for world in [a, b] {
        let events = world.finish().await;
        assert!(events.iter().all(|event| !event["data"]["flags"].to_string().contains("limits_local")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_flight_requests_are_said_anew_to_a_store_that_forgot_them() {
    let store = off_runtime(RedisPeer::start).await;
    let gate = Arc::new(Notify::new());
    let upstream = Mock::always(held(&gate)).await;
    let limits = "concurrent_requests: 1";
    let (a, b) = (sidecar(&upstream, &store, limits).await, sidecar(&upstream, &store, limits).await);
    let mut first = a.chat(Some("sk-good"), &chat(true)).await;
    first.piece().await;
    store.ask(&["FLUSHALL"]);
    until("it is known again", async || store.ask(&["HGET", "tollgate:{key:k}", "cn"]).trim() == "1").await;
    assert_eq!(status(&b, &chat(true)).await, 429);
    gate.notify_one();
    first.bytes().await;
    a.finish().await;
    b.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn success_says_what_is_left_for_all() {
    let store = off_runtime(RedisPeer::start).await;
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let (a, b) = {
        let limits = "requests_per_minute: 5";
        (sidecar(&upstream, &store, limits).await, sidecar(&upstream, &store, limits).await)
    };
    for (world, left) in [(&a, "4"), (&b, "3"), (&a, "2"), (&b, "1"), (&a, "0")] {
        let got = world.chat(Some("sk-good"), WIDE).await;
        assert_eq!(got.header("x-tollgate-ratelimit-remaining-requests"), Some(left));
    }
    let refused = b.chat(Some("sk-good"), WIDE).await;
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((refused.status == 429) && (10..=20).contains(&wait), "{wait}");
    let names = store.ask(&["KEYS", "*"]);
    let mut names: Vec<_> = names.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["tollgate:{check}", "tollgate:{key:k}"], "by id, never by key");
    World::finish(a).await;
    b.finish().await;
}
