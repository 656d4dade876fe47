//! A Kafka broker that is away: requests do not notice, a restart loses nothing, and every event arrives in the end.

use std::time::{Duration, Instant};

use super::running::{Running, Site};
use super::{assert_dense, assert_valid, count, distinct, topic};
use crate::peers::{KafkaPeer, off_runtime};
use crate::support::{Client, Mock, Reply, chat};

const TOPIC: &str = "outage";
const ANSWER: &str = r#"{"model":"demo-1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":10,"total_tokens":20}}"#;
const ROUNDS: usize = 5;
const CALLS: usize = 100;

#[derive(Clone, Copy)]
struct Latency {
    p50: Duration,
    p99: Duration,
}

impl std::fmt::Display for Latency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p50 {:?}, p99 {:?}", self.p50, self.p99)
    }
}

/// The calmest of some rounds: what else the machine does is not the broker's doing.
async fn measure(running: &Running) -> Latency {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(round(running).await);
    }
    rounds.into_iter().min_by_key(|round| round.p99).unwrap()
}

/// One call after the other, over one connection.
async fn round(running: &Running) -> Latency {
    let mut client: Client = running.client().await;
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begun = Instant::now();
        let got = client.post("/v1/chat/completions", None, chat(false)).await;
        assert_eq!(got.status, 200);
        got.bytes().await;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Latency { p50: times[CALLS / 2], p99: times[CALLS * 99 / 100] }
}

fn site(upstream: &Mock, kafka: &KafkaPeer) -> Site {
    let kafka = topic::section(&kafka.bootstrap, TOPIC, "structured");
    Site::new(
        &format!("- name: mock\n  url: {}", upstream.url()),
        &format!("events: {{ spool: {{ dir: spool }}, {kafka} }}"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_slows_no_request_and_gets_every_event_when_it_is_back() {
    let mut kafka = off_runtime(|| {
        let kafka = KafkaPeer::alone();
        kafka.create_topic(TOPIC, 3);
        kafka
    })
    .await;
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let first = site(&upstream, &kafka);
    let running = first.start().await;
    round(&running).await;
    let up = measure(&running).await;

    kafka.stop();
    let down = measure(&running).await;
    println!("one call after the other: broker up {up}; broker killed {down}");
    assert!(down.p99 <= up.p99 * 3 + Duration::from_millis(20), "{up}; {down}");

    // Ended and started again while the broker is away; another Tollgate never sees it before its first request.
    let stopping = Instant::now();
    running.stop().await;
    println!("SIGTERM with the broker away: ended after {:?}", stopping.elapsed());
    let second = site(&upstream, &kafka);
    let (again, other) = (first.start().await, second.start().await);
    round(&again).await;
    round(&other).await;
    again.kill().await;
    let again = first.start().await;

    let kafka = off_runtime(move || {
        kafka.start();
        kafka
    })
    .await;
    let back = Instant::now();
    again.delivered().await;
    other.delivered().await;
    println!("every event delivered {:?} after the broker was ready again", back.elapsed());
    again.stop().await;
    other.stop().await;

    let all = off_runtime(move || topic::events(&kafka, TOPIC)).await;
    let copies = all.len();
    let events = distinct(all);
    let expected = (1 + 2 * ROUNDS + 2) * CALLS;
    println!("{expected} requests, {copies} messages, {} events", events.len());
    assert_eq!(events.len(), expected);
    assert_eq!(count(&events, "outcome", "ok"), expected);
    assert_dense(&events);
    off_runtime(move || assert_valid(&events)).await;
}
