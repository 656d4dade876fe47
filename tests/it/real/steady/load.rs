//! Requests on a fixed schedule: none waits because an earlier one is slow, except behind it on its own connection, and
//! then that wait counts.

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::task::JoinSet;

use crate::support::Client;

const CONNECTIONS: u32 = 64;
const WHOLE: &str = r#"{"model":"steady","messages":[{"role":"user","content":"hi"}]}"#;
const STREAM: &str = r#"{"model":"steady","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

/// Running clients.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Vec<Sample>>,
}

#[derive(Clone, Copy)]
struct Sample {
    number: u32,
    due: Instant,
    took: Duration,
}

/// What was answered, every request whole and with 200.
pub(super) struct Answered(Vec<Sample>);

/// Medians over windows.
pub(super) struct Latency {
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    worst_p99: Duration,
    windows: usize,
}

impl Load {
    /// So many requests each second, numbered from 0 in the header `session-id`.
    pub(super) fn start(address: SocketAddr, rate: u32) -> Self {
        let (stop, begin) = (Arc::new(AtomicBool::new(false)), Instant::now());
        let mut clients = JoinSet::new();
        for first in 0..CONNECTIONS {
            let stop = Arc::clone(&stop);
            let numbers = (first..).step_by(CONNECTIONS as usize);
            let due = move |number: u32| begin + Duration::from_secs(1) * number / rate;
            clients.spawn(async move {
                let mut client = Client::connect(address).await;
                let mut samples = Vec::new();
                for (number, due) in numbers.map(|number| (number, due(number))) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    samples.push(Sample { number, due, took: ask(&mut client, number, due).await });
                }
                samples
            });
        }
        Self { stop, clients }
    }

    /// Ends the clients after their present requests.
    pub(super) async fn stop(self) -> Answered {
        self.stop.store(true, Ordering::Relaxed);
        Answered(self.clients.join_all().await.concat())
    }
}

/// The time from when the request was due, if its connection was busy then, else from when it was sent: that a timer of
/// this process fires late is nobody's fault.
async fn ask(client: &mut Client, number: u32, due: Instant) -> Duration {
    let busy = Instant::now() > due;
    if !busy {
        tokio::time::sleep_until(due.into()).await;
    }
    let from = if busy { due } else { Instant::now() };
    let body = if number.is_multiple_of(4) { STREAM } else { WHOLE };
    let request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .header("session-id", number.to_string())
        .body(Full::new(Bytes::from_static(body.as_bytes())));
    let got = client.send(request.unwrap()).await;
    assert_eq!(got.status, 200, "request {number}");
    got.bytes().await;
    from.elapsed()
}

impl Answered {
    /// How many requests there were; each was answered.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Their numbers.
    pub(super) fn numbers(&self) -> HashSet<u32> {
        self.0.iter().map(|sample| sample.number).collect()
    }

    /// The latency of the requests that were due in this time, in whole windows.
    pub(super) fn latency(&self, time: Range<Instant>, window: Duration) -> Latency {
        let windows = (time.end - time.start).as_nanos() / window.as_nanos();
        let mut times = vec![Vec::new(); windows as usize];
        for sample in self.0.iter().filter(|sample| time.contains(&sample.due)) {
            let window = (sample.due - time.start).as_nanos() / window.as_nanos();
            times.get_mut(window as usize).into_iter().for_each(|times| times.push(sample.took));
        }
        for times in &mut times {
            times.sort_unstable();
        }
        let of_windows = |percent: usize| {
            let mut found: Vec<_> = times.iter().map(|times| times[(times.len() - 1) * percent / 100]).collect();
            found.sort_unstable();
            found
        };
        let (p50, p99) = (of_windows(50), of_windows(99));
        let median = |values: &[Duration]| values[values.len() / 2];
        Latency { p50: median(&p50), p99: median(&p99), worst_p99: p99[p99.len() - 1], windows: p99.len() }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p99, worst_p99, windows } = self;
        write!(f, "p50 {p50:.2?}, p99 {p99:.2?} (medians of {windows} windows; worst p99 {worst_p99:.2?})")
    }
}
