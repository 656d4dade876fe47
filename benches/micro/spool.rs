//! What a request spends in the spool: number, INTENT, FINAL, under `sync: process`.
//!
//! Taken in bursts, between which a reader acknowledges everything and the spool's own thread makes new segments, as
//! they do between requests that take their time. Without that, the time of making segments would be measured.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use tollgate::config::{self, SyncMode, WhenFull};
use tollgate::event::{Unnumbered, UsageEvent};
use tollgate::spool::{Reader, Spool};

const BURST: u64 = 256;
const BREAK: Duration = Duration::from_millis(2);
const INTENT: &[u8] = include_bytes!("../../tests/fixtures/events/v1_interrupted.json");
const FINAL: &[u8] = include_bytes!("../../tests/fixtures/events/v1_complete.json");

pub(crate) fn bench(criterion: &mut Criterion) {
    let Ok(directory) = tempfile::tempdir() else { panic!("no directory for the spool") };
    let settings = config::Spool {
        dir: directory.path().join("spool"),
        max_bytes: 256 << 20,
        when_full: WhenFull::Reject,
        sync: SyncMode::Process,
    };
    let Ok(spool) = Spool::open(&settings) else { panic!("the spool does not open") };
    let mut reader = spool.reader("bench");
    let mut group = criterion.benchmark_group("spool");
    group.sample_size(20).measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(300));
    let Ok(mut event) = serde_json::from_slice::<UsageEvent>(INTENT) else { panic!("the fixture is an event") };
    event.data.sequence = spool.place();
    let mut line = Vec::new();
    let Ok(intent) = event.encode_unnumbered(&mut line) else { panic!("it encodes") };
    group.bench_function("begin, seal", |bencher| {
        bencher.iter_custom(|requests| bursts((&spool, &intent), &mut reader, requests));
    });
    group.finish();
    spool.close();
}

/// The time of that many requests, breaks left out.
fn bursts((spool, intent): (&Spool, &Unnumbered<'_>), reader: &mut Reader, requests: u64) -> Duration {
    let (mut left, mut spent) = (requests, Duration::ZERO);
    while left > 0 {
        let burst = left.min(BURST);
        let start = Instant::now();
        for _ in 0..burst {
            record(spool, intent);
        }
        spent += start.elapsed();
        left -= burst;
        acknowledge(reader);
        std::thread::sleep(BREAK);
    }
    spent
}

fn record(spool: &Spool, intent: &Unnumbered<'_>) {
    let Ok(ticket) = spool.begin("org_acme", intent) else { panic!("the spool is full") };
    black_box(ticket.sequence());
    assert!(ticket.seal("org_acme", FINAL.trim_ascii_end()).is_ready(), "the kernel has it");
}

fn acknowledge(reader: &mut Reader) {
    while let Some(record) = reader.next(Duration::ZERO) {
        reader.acknowledge(record.position);
    }
    reader.flush();
}
