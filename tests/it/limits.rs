//! Callers are held to their limits, exactly, and what was not used is given back.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::support::{Client, Mock, Reply, World, chat, eventually};

const ANSWER: &str = r#"{"model":"demo-1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":10,"total_tokens":20}}"#;

fn keys(limits: &str) -> String {
    format!("- id: k\n  key: sk-good\n  limits: {{ {limits} }}\n")
}

/// Statuses of this many calls at once, over as many connections as there are workers.
async fn at_once(address: std::net::SocketAddr, calls: usize, workers: usize) -> Vec<u16> {
    let tasks: Vec<_> = (0..workers)
        .map(|_| {
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                let mut statuses = Vec::new();
                for _ in 0..calls / workers {
                    let got = client.post("/v1/chat/completions", Some("sk-good"), chat(false)).await;
                    statuses.push(got.status.as_u16());
                    got.bytes().await;
                }
                statuses
            })
        })
        .collect();
    let mut statuses = Vec::new();
    for task in tasks {
        statuses.extend(task.await.unwrap());
    }
    statuses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_calls_at_once_against_a_limit_of_n_admit_exactly_n() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = World::before(&upstream).keys(&keys("requests_per_minute: 50")).start().await;
    let statuses = at_once(world.address, 1000, 50).await;
    let count = |status: u16| statuses.iter().filter(|s| **s == status).count();
    assert_eq!((count(200), count(429)), (50, 950));
    assert_eq!(upstream.asked().len(), 50);
    let events = world.finish().await;
    let outcomes = |outcome: &str| events.iter().filter(|event| event["data"]["outcome"] == outcome).count();
    assert_eq!((outcomes("ok"), outcomes("rejected")), (50, 950));
}

#[tokio::test]
async fn a_rate_refusal_says_when_to_come_back() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = World::before(&upstream).keys(&keys("requests_per_minute: 1")).start().await;
    let admitted = world.chat(Some("sk-good"), &chat(false)).await;
    assert_eq!(admitted.status, 200);
    assert_eq!(admitted.header("x-tollgate-ratelimit-limit-requests"), Some("1"));
    assert_eq!(admitted.header("x-tollgate-ratelimit-remaining-requests"), Some("0"));
    let refused = world.chat(Some("sk-good"), &chat(false)).await;
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(refused.header("x-ratelimit-limit-requests"), Some("1"));
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), Some("0"));
    assert_eq!(refused.header("x-tollgate-limit-origin"), Some("gateway"));
    let body = refused.json().await;
    assert_eq!((&body["error"]["type"], &body["error"]["code"]), (&"requests".into(), &"rate_limit_exceeded".into()));
    world.finish().await;
}

#[tokio::test]
async fn tokens_are_reserved_and_settled_to_the_truth() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = World::before(&upstream).keys(&keys("tokens_per_minute: 1000")).start().await;
    let body = chat(false).replace("\"model\"", "\"max_tokens\":700,\"model\"");
    // Each call reserves more than 700 and settles to 20: held to reservations alone, only the first would pass.
    for _ in 0..5 {
        assert_eq!(world.chat(Some("sk-good"), &body).await.status, 200);
    }
    let events = world.finish().await;
    for event in events {
        let limits = &event["data"]["limits"];
        assert!(limits["reserved_tokens"].as_u64().unwrap() > 700, "{limits}");
        assert_eq!(limits["settled_tokens"], 20);
    }
}

#[tokio::test]
async fn what_is_in_flight_stays_reserved() {
    let gate = Arc::new(Notify::new());
    let reply = Reply::default().gate(&gate);
    let upstream = Mock::start(move |_| reply.clone()).await;
    let world = World::before(&upstream).keys(&keys("tokens_per_minute: 1000")).start().await;
    let body = chat(false).replace("\"model\"", "\"max_tokens\":700,\"model\"");
    let (address, first) = (world.address, body.clone());
    let waiting = tokio::spawn(async move {
        Client::connect(address).await.post("/v1/chat/completions", Some("sk-good"), first).await;
    });
    eventually("the first call is in flight", || upstream.asked().first().map(drop)).await;
    let refused = world.chat(Some("sk-good"), &body).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json().await["error"]["type"], "tokens");
    waiting.abort();
    drop(waiting.await);
    world.events(2).await;
    world.finish().await;
}

#[tokio::test]
async fn a_call_that_can_never_fit_is_told_not_to_retry() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = World::before(&upstream).keys(&keys("tokens_per_minute: 100")).start().await;
    let body = chat(false).replace("\"model\"", "\"max_tokens\":700,\"model\"");
    let refused = world.chat(Some("sk-good"), &body).await;
    assert_eq!((refused.status.as_u16(), refused.header("x-should-retry")), (429, Some("false")));
    world.finish().await;
}

#[tokio::test]
async fn concurrent_requests_are_held_and_freed() {
    let gate = Arc::new(Notify::new());
    let reply = Reply::head(200, "text/event-stream")
        .chunk("data: {\"choices\":[]}\n\n")
        .gate(&gate)
        .chunk("data: [DONE]\n\n")
        .end();
    let upstream = Mock::always(reply).await;
    let world = World::before(&upstream).keys(&keys("concurrent_requests: 1")).start().await;
    let mut first = world.chat(Some("sk-good"), &chat(true)).await;
    first.piece().await;
    let refused = world.chat(Some("sk-good"), &chat(true)).await;
    assert_eq!(refused.status, 429);
    gate.notify_one();
    first.bytes().await;
    gate.notify_one();
    assert_eq!(world.chat(Some("sk-good"), &chat(true)).await.status, 200, "the place is free again");
    world.finish().await;
}

#[tokio::test]
async fn an_organization_and_the_whole_process_have_limits_of_their_own() {
    for scope in ["organization", "overall"] {
        let upstream = Mock::always(Reply::json(200, ANSWER)).await;
        let two = "- id: a\n  key: sk-a\n  organizations: [org]\n- id: b\n  key: sk-b\n  organizations: [org]\n";
        let limits = format!("limits: {{ {scope}: {{ requests_per_minute: 3 }} }}");
        let world = World::before(&upstream).keys(two).with(&limits).start().await;
        let mut statuses = Vec::new();
        for key in ["sk-a", "sk-b", "sk-a", "sk-b"] {
            statuses.push(world.chat(Some(key), &chat(false)).await.status.as_u16());
        }
        assert_eq!(statuses, [200, 200, 200, 429], "{scope}");
        world.finish().await;
    }
}
