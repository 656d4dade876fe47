//! Encoding of a usage event: the golden one, and the one of a request cut short.

use std::hint::black_box;

use criterion::Criterion;
use tollgate::event::UsageEvent;

const COMPLETE: &str = include_str!("../../tests/fixtures/events/v1_complete.json");
const INTERRUPTED: &str = include_str!("../../tests/fixtures/events/v1_interrupted.json");

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("event");
    for (name, text) in [("encode", COMPLETE), ("encode, interrupted", INTERRUPTED)] {
        let mut event: UsageEvent = match serde_json::from_str(text) {
            Ok(event) => event,
            Err(error) => panic!("the golden event {name} cannot be read: {error}"),
        };
        group.bench_function(name, |bencher| bencher.iter(|| black_box(&mut event).encode()));
    }
    group.finish();
}
