//! Admission of a key that is cached, under limits that are not reached: identify, admit, drop the permit. With limits
//! shared through a store where `redis-server` is installed: held ahead, and asked for each time.

use std::future::Future;
use std::hint::black_box;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tollgate::config::{self, GuardMode, LimitSet, SharedLimits, WhenUnreachable};
use tollgate::guard::{Guard, Wants};
use tollgate::types::{Digest, KeyId, KeyRecord, Limits, OrgId, Pattern};

const KEY: &str = "sk-bench-0123456789abcdefghijklmnopqrstuvwxyz";
const LIMITS: Limits = Limits {
    requests_per_minute: Some(u32::MAX),
    tokens_per_minute: Some(1 << 50),
    concurrent_requests: Some(1_000_000),
};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("guard");
    let uri = Uri::from_static("/v1/chat/completions");
    let (known, unknown) = (headers(KEY), headers("sk-somebody-else"));
    let wants = Wants { model: Some("gpt-4o-mini"), input_tokens: 300, max_output_tokens: Some(256) };
    for (name, limits) in [
        ("admit and drop", LimitSet { key: LIMITS, organization: LIMITS, overall: LIMITS }),
        ("admit and drop, no limits", LimitSet::default()),
    ] {
        let guard = Guard::new(&settings(), &limits);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let caller = now(guard.identify(black_box(&known), &uri));
                let permit = caller.ok().and_then(|caller| now(guard.admit(caller, &wants)).ok());
                assert!(permit.is_some(), "the key is known");
                permit
            });
        });
    }
    let guard = Guard::new(&settings(), &LimitSet::default());
    group.bench_function("refuse an unknown key", |bencher| {
        bencher.iter(|| assert!(now(guard.identify(black_box(&unknown), &uri)).is_err(), "the key is unknown"));
    });
    shared(&mut group, &known);
    group.finish();
}

/// Limits shared through a store on this machine.
fn shared(group: &mut BenchmarkGroup<'_, WallTime>, known: &HeaderMap) {
    let Some((_server, store)) = Server::start() else {
        eprintln!("no redis-server: shared limits are not measured");
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let Ok(runtime) = runtime else { return };
    let uri = Uri::from_static("/v1/chat/completions");
    let wants = Wants { model: Some("gpt-4o-mini"), input_tokens: 300, max_output_tokens: Some(256) };
    // Of a limit below 64 nothing is held ahead.
    let exact = Limits { requests_per_minute: None, tokens_per_minute: None, concurrent_requests: Some(63) };
    for (name, key) in [("admit and drop, shared, ahead", LIMITS), ("admit and drop, shared, asked", exact)] {
        let guard = Guard::new(&settings(), &LimitSet { key, ..LimitSet::default() }).sharing(Some(&store));
        let guard = Arc::new(guard);
        let sharing = runtime.spawn({
            let guard = Arc::clone(&guard);
            async move { guard.share_limits().await }
        });
        runtime.block_on(guard.joined());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let permit = runtime.block_on(async {
                    let caller = guard.identify(black_box(known), &uri).await.ok()?;
                    guard.admit(caller, &wants).await.ok()
                });
                assert!(permit.is_some(), "the key is known");
                permit
            });
        });
        sharing.abort();
    }
}

/// A store of its own, gone when it is dropped.
struct Server(Child);

impl Server {
    fn start() -> Option<(Self, SharedLimits)> {
        let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
        let arguments = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()];
        let server = Self(Command::new("redis-server").args(arguments).stdout(Stdio::null()).spawn().ok()?);
        let answers = |_| {
            std::thread::sleep(Duration::from_millis(10));
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        };
        (0..500).any(answers).then_some(())?;
        let store = SharedLimits {
            host: "127.0.0.1".to_owned(),
            port,
            tls: false,
            database: 0,
            username: None,
            password: None,
            prefix: "bench".to_owned(),
            timeout: Duration::from_secs(1),
            when_unreachable: WhenUnreachable::Reject,
        };
        Some((server, store))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A future that does not wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

fn headers(key: &str) -> HeaderMap {
    let pairs = [
        ("host", "localhost:4141"),
        ("authorization", &format!("Bearer {key}")),
        ("content-type", "application/json"),
        ("accept", "application/json"),
        ("user-agent", "OpenAI/Python 2.8.0"),
        ("x-stainless-lang", "python"),
        ("x-stainless-os", "Linux"),
        ("x-stainless-arch", "x64"),
        ("x-stainless-retry-count", "0"),
        ("content-length", "1200"),
    ];
    let parse =
        |(name, value): (&'static str, &str)| Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?));
    let headers: HeaderMap = pairs.into_iter().filter_map(parse).collect();
    assert!(headers.contains_key(AUTHORIZATION), "the key is a header value");
    headers
}

/// A hundred keys, so that the cache is no special case.
fn settings() -> config::Guard {
    let key = |number: u32| if number == 0 { KEY.to_owned() } else { format!("sk-{number}") };
    let records = (0..100).map(|number| KeyRecord {
        organizations: vec![OrgId::new("org_bench")],
        models: vec![Pattern::new("gpt-*")],
        ..KeyRecord::new(KeyId::new(format!("key-{number}")), Digest::of(key(number).as_bytes()))
    });
    let mode = GuardMode::Keys { file: Some(PathBuf::from("keys.yaml")), records: Arc::new(records.collect()) };
    let names = ["swarms-organization", "openai-organization", "x-organization"];
    config::Guard { mode, organization_headers: names.map(HeaderName::from_static).to_vec() }
}
