//! A flood of random keys on a sidecar and its control plane, both the real program.
//!
//! Strangers come on many connections, each with many requests on their way at once. All the while two keys are used: one
//! that the sidecar knows, and ones that it is asked about for the first time. `make soak-flood` lets a million come.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tollgate::config::Database;
use tollgate::control::store::Store;

use super::{ASK, by, key};
use crate::control::SECRET;
use crate::peers::Program;
use crate::soak::upstream::Upstream;
use crate::support::{Client, until, until_within};

/// A million takes its time.
const PATIENCE_WITH_MANY: Duration = Duration::from_mins(30);

/// Names how many strangers come in place of the small number.
const COUNT: &str = "TOLLGATE_TEST_FLOOD";
const FEW: usize = 4_000;
const LANES: usize = 64;
/// Requests on their way at once, on each connection.
const BATCH: usize = 50;
/// Refusals that a sidecar remembers.
const REMEMBERED: u64 = 65_536;
/// What a flood may add to a process's memory.
const MOST_GROWTH_KB: u64 = 96 * 1024;
/// A call of a good key takes no longer, on a machine that is busy with other tests, too.
const MOST_LATENCY: Duration = Duration::from_secs(5);
/// Good keys that come for the first time during the flood.
const NEWCOMERS: usize = 5;

const LISTEN: &str = "proxy: { listen: 127.0.0.1:0 }\nops: { listen: 127.0.0.1:0 }\nlog: { format: json, filter: \"info,tollgate::request=off\" }\n";

fn folder(configuration: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tollgate.yaml"), format!("{LISTEN}{configuration}")).unwrap();
    dir
}

/// A control plane with good keys, and a sidecar that asks it.
struct Scene {
    control: Program,
    sidecar: Program,
    _upstream: Upstream,
    _folders: [TempDir; 2],
}

impl Scene {
    async fn start() -> Self {
        let authority =
            folder(&format!("control: {{ database: \"sqlite://./store.db\", guard_secret: {{ value: {SECRET} }} }}\n"));
        let control = Program::start("control", authority.path()).await;
        fill(&authority.path().join("store.db")).await;
        let upstream = Upstream::start().await;
        let beside = folder(&format!(
            "upstreams:\n- {{ name: mock, url: \"{}\", credential: {{ value: sk-upstream }} }}\nguard: {{ mode: remote, remote: {{ url: \"http://{}\", secret: {{ value: {SECRET} }} }} }}\n",
            upstream.url(),
            control.address
        ));
        let sidecar = Program::start("proxy", beside.path()).await;
        until("revocations are followed", async || sidecar.metric("tollgate_guard_revocation_stream").await == 1).await;
        Self { control, sidecar, _upstream: upstream, _folders: [authority, beside] }
    }

    async fn asked(&self) -> u64 {
        self.control.metric(r#"tollgate_guard_api_answers_total{result="refused"}"#).await
    }
}

async fn fill(database: &Path) {
    let store = Store::open(&Database::Sqlite(database.to_owned())).await.unwrap();
    for name in (0..NEWCOMERS).map(|number| format!("new-{number}")).chain(["good".to_owned()]) {
        store.import_key(&by(), &key(&name)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_random_keys_leaves_memory_bounded_and_good_keys_unharmed() {
    #[expect(clippy::disallowed_methods, reason = "a test's own size")]
    let count = std::env::var(COUNT).ok().and_then(|n| n.parse().ok()).unwrap_or(FEW);
    let scene = Scene::start().await;
    let address = scene.sidecar.address;
    let before = Calls::of(address, "good", Until::Count(300)).await;
    let watched = [&scene.sidecar, &scene.control].map(|program| Watching::begin(program.process.id()));

    let (over, begun) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let good = tokio::spawn(Calls::of(address, "good", Until::Told(Arc::clone(&over))));
    let lanes: Vec<_> = (0..LANES).map(|_| tokio::spawn(flood(address, count / LANES))).collect();
    let newcomers = newcomers(&scene, count as u64).await;
    let (mut refused, mut busy) = (0, 0);
    for lane in lanes {
        let (unknown, waited) = lane.await.unwrap();
        (refused, busy) = (refused + unknown, busy + waited);
    }
    let took = begun.elapsed();
    over.store(true, Ordering::Relaxed);
    let during = good.await.unwrap();
    let asked = scene.asked().await;
    let [sidecar, control] = watched;
    let (sidecar, control) = (sidecar.end().await, control.end().await);
    println!(
        "{refused} strangers refused and {busy} put off in {took:.1?} ({:.0}/s), {asked} asked about; good key: {before} \
         before, {during} during; new keys at most {newcomers:.1?}; sidecar {sidecar}; control plane {control}",
        (refused + busy) as f64 / took.as_secs_f64(),
    );
    assert_eq!(refused + busy, count / LANES * LANES);
    assert!(asked <= refused as u64, "nobody is asked about twice");
    assert!(during.0.len() > 20, "{} calls of the good key", during.0.len());
    assert!(during.percentile(99) < MOST_LATENCY && newcomers < MOST_LATENCY * 2, "good keys are harmed");
    let entries =
        async |kind: &str| scene.sidecar.metric(&format!("tollgate_key_cache_entries{{kind=\"{kind}\"}}")).await;
    assert_eq!(entries("known").await, 1 + NEWCOMERS as u64);
    let unknown = entries("unknown").await;
    assert!(unknown > 0 && unknown <= REMEMBERED.min(count as u64), "{unknown}");
    for memory in [sidecar, control] {
        assert!(memory.peak - memory.first < MOST_GROWTH_KB, "{memory}");
    }
    remembered(&scene).await;
    scene.sidecar.end().await;
    scene.control.end().await;
}

/// Strangers that come again at once are refused without a question.
async fn remembered(scene: &Scene) {
    let (strangers, asked) = (batch(), scene.asked().await);
    for _ in 0..10 {
        let mut lane = Lane::connect(scene.sidecar.address).await;
        assert_eq!(lane.send(&strangers).await, (BATCH, 0));
    }
    assert_eq!(scene.asked().await, asked + BATCH as u64);
}

/// Good keys that the sidecar has never seen, one after the other through the flood: the longest that one waited.
async fn newcomers(scene: &Scene, count: u64) -> Duration {
    let mut longest = Duration::ZERO;
    for number in 0..NEWCOMERS {
        let share = count * (number as u64 + 1) / (NEWCOMERS as u64 + 2);
        until_within(PATIENCE_WITH_MANY, "the flood goes on", async || scene.asked().await >= share).await;
        let calls = Calls::of(scene.sidecar.address, &format!("new-{number}"), Until::Count(1)).await;
        longest = longest.max(calls.percentile(100));
    }
    longest
}

/// So many strangers, one after the other: how many were refused, and how many were told to come again.
async fn flood(address: SocketAddr, count: usize) -> (usize, usize) {
    let mut lane = Lane::connect(address).await;
    let (mut refused, mut busy, mut left) = (0, 0, count);
    while left > 0 {
        let strangers: Vec<_> = batch().into_iter().take(left).collect();
        let (unknown, waited) = lane.send(&strangers).await;
        (refused, busy, left) = (refused + unknown, busy + waited, left - strangers.len());
    }
    (refused, busy)
}

fn batch() -> Vec<String> {
    (0..BATCH).map(|_| format!("sk-{:032x}", fastrand::u128(..))).collect()
}

/// A connection that does not wait for one answer before it sends the next request.
struct Lane {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Lane {
    async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), read: Vec::new() }
    }

    /// How many of these keys were unknown, and how many could not be asked about.
    async fn send(&mut self, keys: &[String]) -> (usize, usize) {
        let mut requests = String::new();
        for key in keys {
            write!(requests, "GET /v1/models HTTP/1.1\r\nhost: flood\r\nauthorization: Bearer {key}\r\n\r\n").unwrap();
        }
        self.stream.write_all(requests.as_bytes()).await.unwrap();
        let (mut refused, mut busy) = (0, 0);
        for _ in keys {
            match self.status().await {
                401 => refused += 1,
                503 => busy += 1,
                other => panic!("a stranger was answered {other}"),
            }
        }
        (refused, busy)
    }

    /// The next answer's status; the rest of it is passed over.
    async fn status(&mut self) -> u16 {
        loop {
            if let Some((status, length)) = whole(&self.read) {
                self.read.drain(..length);
                return status;
            }
            let count = self.stream.read_buf(&mut self.read).await.unwrap();
            assert!(count > 0, "the connection was closed: {}", String::from_utf8_lossy(&self.read));
        }
    }
}

/// The status and the length of an answer, once all of it has come.
fn whole(read: &[u8]) -> Option<(u16, usize)> {
    let head = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&read[..head]).unwrap().to_ascii_lowercase();
    let body: usize = text.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap().parse().unwrap();
    (read.len() >= head + body).then(|| (text[9..12].parse().unwrap(), head + body))
}

/// How long calls of a good key took, shortest first.
struct Calls(Vec<Duration>);

enum Until {
    Count(usize),
    Told(Arc<AtomicBool>),
}

impl Calls {
    /// One after the other, each answered with 200.
    async fn of(address: SocketAddr, id: &str, until: Until) -> Self {
        let (mut client, mut took) = (Client::connect(address).await, Vec::new());
        let key = format!("sk-{id}");
        let goes_on = |done: usize| match &until {
            Until::Count(count) => done < *count,
            Until::Told(over) => !over.load(Ordering::Relaxed),
        };
        while goes_on(took.len()) {
            let begun = Instant::now();
            let got = client.post("/v1/chat/completions", Some(&key), ASK).await;
            assert_eq!(got.status, 200, "{id}");
            got.bytes().await;
            took.push(begun.elapsed());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        took.sort_unstable();
        Self(took)
    }

    fn percentile(&self, percent: usize) -> Duration {
        self.0[(self.0.len() - 1) * percent / 100]
    }
}

impl std::fmt::Display for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [p50, p99, most] = [50, 99, 100].map(|percent| self.percentile(percent));
        write!(f, "{} calls, p50 {p50:.2?}, p99 {p99:.2?}, most {most:.2?}", self.0.len())
    }
}

/// A process's memory that is no file's, in kilobytes.
#[derive(Clone, Copy)]
struct Memory {
    first: u64,
    peak: u64,
    last: u64,
}

/// Reads it until it is told to end.
struct Watching(Arc<AtomicBool>, JoinHandle<Memory>);

impl Watching {
    fn begin(process: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (told, first) = (Arc::clone(&over), anonymous(process));
        let reading = tokio::spawn(async move {
            let mut memory = Memory { first, peak: first, last: first };
            while !told.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(200)).await;
                memory.last = anonymous(process);
                memory.peak = memory.peak.max(memory.last);
            }
            memory
        });
        Self(over, reading)
    }

    async fn end(self) -> Memory {
        self.0.store(true, Ordering::Relaxed);
        self.1.await.unwrap()
    }
}

fn anonymous(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [first, peak, last] = [self.first, self.peak, self.last].map(|kb| kb as f64 / 1024.0);
        write!(f, "{first:.1} MiB before, {peak:.1} at most, {last:.1} at the end")
    }
}
