//! What is done to each chunk of a stream as it passes by: `framing` finds its events, `tap` reads them too.
//!
//! The time is for a whole stream; criterion's throughput line gives it per chunk.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use http::Method;
use tollgate::config::DialectChoice;
use tollgate::dialect::{Reading, route};
use tollgate::meter::framing::Sse;

use crate::stream::chunks;

pub(crate) fn bench(criterion: &mut Criterion) {
    let chunks = chunks();
    let mut group = criterion.benchmark_group("framing");
    group.throughput(Throughput::Elements(chunks.len() as u64));
    group.bench_function("sse", |bencher| bencher.iter(|| frame(black_box(&chunks))));
    group.bench_function("sse, cut in the middle", |bencher| {
        let cut = cut_in_the_middle(&chunks);
        bencher.iter(|| frame(black_box(&cut)));
    });
    group.finish();

    let mut group = criterion.benchmark_group("tap");
    group.throughput(Throughput::Elements(chunks.len() as u64));
    group.bench_function("openai chat stream", |bencher| {
        bencher.iter(|| {
            let reading = read(black_box(&chunks));
            assert!(reading.has_usage() && reading.done, "the stream was read");
            reading
        });
    });
    group.finish();
}

fn frame(chunks: &[Vec<u8>]) -> usize {
    let (mut sse, mut events) = (Sse::default(), 0);
    for chunk in chunks {
        sse.feed(chunk, &mut |event| events += black_box(event.data).len());
    }
    events
}

fn read(chunks: &[Vec<u8>]) -> Reading {
    let route = route(DialectChoice::Auto, &Method::POST, "/v1/chat/completions");
    let (mut sse, mut reading) = (Sse::default(), Reading::default());
    for chunk in chunks {
        sse.feed(chunk, &mut |event| {
            route.read(event.payload(), &mut reading);
        });
    }
    reading
}

/// The same bytes in chunks that end in the middle of an event.
fn cut_in_the_middle(chunks: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let length = chunks.first().map_or(1, Vec::len);
    let (first, rest) = (length / 2, chunks.concat());
    let (head, tail) = rest.split_at(first);
    std::iter::once(head).chain(tail.chunks(length)).map(<[u8]>::to_vec).collect()
}
