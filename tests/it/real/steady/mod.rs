//! A broker that is away for a long time under steady load: memory does not grow, no request is slower, and everything
//! is delivered soon after its return.
//!
//! A short form is part of every run; it shows that the whole works, and bounds what can be bounded on a machine that
//! does other things too. `make soak-outage MINUTES=10 RATE=500` is the long one, on an optimised binary. Latencies of a
//! shared machine jump, so what is compared is the median over windows of each window's 99th percentile.

mod arrived;
mod load;
mod memory;
mod upstream;

use std::env;
use std::time::{Duration, Instant, SystemTime};

use super::running::{Running, Site};
use super::topic;
use crate::peers::{KafkaPeer, off_runtime};
use load::Load;
use memory::Memory;
use upstream::Upstream;

const TOPIC: &str = "steady";
/// Set for the long form.
const MINUTES: &str = "TOLLGATE_TEST_OUTAGE_MINUTES";
const RATE: &str = "TOLLGATE_TEST_OUTAGE_RATE";

/// More memory than this, compared with before, an outage must not take.
const MOST_GROWTH_KB: u64 = 16 * 1024;
/// Everything is delivered this soon after the broker's return.
const DELIVERED_WITHIN: Duration = Duration::from_mins(1);

/// How a run goes.
struct Plan {
    /// Requests per second, sent whether or not earlier ones are answered.
    rate: u32,
    /// What is not measured: caches fill, segments of the spool come and go.
    warm: Duration,
    before: Duration,
    outage: Duration,
    window: Duration,
    /// The most that the 99th percentile may be in the outage, by what it was before.
    p99_limit: fn(Duration) -> Duration,
}

impl Plan {
    fn of_run() -> Self {
        let number = |name| env::var_os(name).map(|text| text.to_str().and_then(|text| text.parse().ok()).expect(name));
        let Some(minutes) = number(MINUTES) else { return Self::short() };
        Self {
            rate: number(RATE).unwrap_or(500),
            warm: Duration::from_secs(30),
            before: Duration::from_mins(2),
            outage: Duration::from_secs(u64::from(minutes) * 60),
            window: Duration::from_secs(5),
            p99_limit: |before| before.mul_f64(1.05),
        }
    }

    fn short() -> Self {
        Self {
            rate: 200,
            warm: Duration::from_secs(3),
            before: Duration::from_secs(4),
            outage: Duration::from_secs(10),
            window: Duration::from_secs(1),
            // Other tests run at the same time.
            p99_limit: |before| before * 3 + Duration::from_millis(50),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_outage_takes_no_memory_slows_no_request_and_loses_no_event() {
    let plan = Plan::of_run();
    let kafka = off_runtime(|| {
        let kafka = KafkaPeer::alone();
        kafka.create_topic(TOPIC, 3);
        kafka
    })
    .await;
    let upstream = Upstream::start().await;
    let site = site(&upstream, &kafka);
    let running = site.start().await;
    let memory = Memory::watch(running.id());
    let load = Load::start(running.address, plan.rate);

    tokio::time::sleep(plan.warm).await;
    let before = Instant::now();
    tokio::time::sleep(plan.before).await;
    let away = Instant::now();
    let kafka = off_runtime(move || stopped(kafka)).await;
    tokio::time::sleep(plan.outage).await;
    // From here on the machine also starts a broker, which is no part of the outage.
    let over = Instant::now();
    let kafka = off_runtime(move || started(kafka)).await;
    let (back, back_unix) = (Instant::now(), unix_seconds());
    caught_up(&running, back, back_unix).await;
    let caught_up = back.elapsed();

    let answered = load.stop().await;
    running.delivered().await;
    let delivered = back.elapsed();
    let calm = (memory.peak(before, away), answered.latency(before..away, plan.window));
    let outage = (memory.peak(away, over), answered.latency(away..over, plan.window));
    let after = memory.peak(over, Instant::now());
    running.stop().await;
    println!("{} requests at {}/s, all answered; broker away for {:.0?}", answered.count(), plan.rate, over - away);
    println!("before:  {}; {}\noutage:  {}; {}\nreturn:  {after}", calm.0, calm.1, outage.0, outage.1);
    println!("growth:  {}", outage.0.beyond(&calm.0));
    println!("events of the outage delivered {caught_up:.1?} after its return, everything {delivered:.1?} after");

    let asked = answered.numbers();
    let arrived = off_runtime(move || arrived::check(&kafka, TOPIC, &asked)).await;
    println!("{arrived}");
    assert!(outage.0.rss_kb <= calm.0.rss_kb + MOST_GROWTH_KB, "{} beyond {}", outage.0, calm.0);
    assert!(after.rss_kb <= calm.0.rss_kb + MOST_GROWTH_KB, "{after} beyond {}", calm.0);
    assert!(delivered <= DELIVERED_WITHIN, "{delivered:?}");
    let limit = (plan.p99_limit)(calm.1.p99);
    assert!(outage.1.p99 <= limit, "before {}, in the outage {}, at most {limit:?}", calm.1, outage.1);
}

fn site(upstream: &Upstream, kafka: &KafkaPeer) -> Site {
    let kafka = topic::section(&kafka.bootstrap, TOPIC, "structured");
    Site::new(
        &format!("- name: mock\n  url: {}", upstream.url()),
        &format!(
            "log: {{ filter: \"info,tollgate::request=off\" }}\nevents: {{ spool: {{ dir: spool, max_bytes: 4294967296 }}, {kafka} }}"
        ),
    )
}

fn stopped(mut kafka: KafkaPeer) -> KafkaPeer {
    kafka.stop();
    kafka
}

fn started(mut kafka: KafkaPeer) -> KafkaPeer {
    kafka.start();
    kafka
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// Waits until no event waits that is older than the broker's return.
async fn caught_up(running: &Running, back: Instant, back_unix: f64) {
    loop {
        let page = running.metrics().await;
        let mut lines = page.lines();
        let oldest = lines.find_map(|line| line.strip_prefix("tollgate_spool_oldest_event_timestamp_seconds "));
        let oldest: f64 = oldest.and_then(|text| text.parse().ok()).expect("the spool's age");
        if oldest == 0.0 || oldest >= back_unix {
            return;
        }
        let waits = back_unix - oldest;
        assert!(back.elapsed() < DELIVERED_WITHIN, "an event from {waits:.0} s before the broker's return still waits");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
