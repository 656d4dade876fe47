//! A client that leaves after any byte of an answer leaves one event, with what it was given (`abort`) or with what the
//! provider reported in the end (`drain`).
//!
//! The upstream sends a recorded stream up to the cut and stops there. The client reads that far and leaves; only when
//! Tollgate has closed its side too, so has noticed, does the upstream go on or wait to be cut itself. So nothing here
//! depends on time. Every run cuts at some places, evenly spread; `make soak-cuts` cuts at every byte of every stream
//! up to 20 KB, and of longer ones at every 97th and all of the last thousand, where usage stands.

mod expected;
mod scene;

use std::cmp::Reverse;
use std::time::Instant;

use tokio::task::JoinSet;

use crate::corpus::{Recording, recordings};
use expected::Expected;
use scene::{Cut, Policy, Protocol, Scene};

/// Set to `all` to cut everywhere.
const CUTS: &str = "TOLLGATE_TEST_CUTS";
/// Of all short streams together about so many cuts, by each policy and protocol, are part of every run.
const FEW: usize = 800;
/// And so many of each long one, for their bytes take their time.
const FEW_OF_LONG: usize = 5;

/// Streams at a time: each has a Tollgate of its own, and its end takes a moment in which nothing happens.
const AT_ONCE: usize = 6;

const SHORT: usize = 20_000;
const STRIDE_OF_LONG: usize = 97;
const END_OF_LONG: usize = 1_000;

#[tokio::test]
async fn whoever_leaves_after_any_byte_has_an_event_of_what_was_delivered() {
    everywhere(Policy::Abort).await;
}

#[tokio::test]
async fn whoever_leaves_after_any_byte_has_an_event_of_what_the_provider_reports_in_the_end() {
    everywhere(Policy::Drain).await;
}

async fn everywhere(policy: Policy) {
    let mut streams: Vec<_> = recordings().into_iter().filter(|recording| recording.stream).collect();
    let all = std::env::var_os(CUTS).is_some_and(|value| value == "all");
    let lengths = streams.iter().map(|stream| stream.wire().len());
    let stride = lengths.filter(|length| *length <= SHORT).sum::<usize>().div_ceil(FEW);
    // Popped from the end: the short ones first.
    streams.sort_by_key(|stream| Reverse(stream.wire().len()));
    let (started, count, mut sum) = (Instant::now(), streams.len(), 0);
    let mut running = JoinSet::new();
    while let Some(stream) = streams.pop() {
        running.spawn(async move {
            let length = stream.wire().len();
            let places = if all { densely(length) } else { evenly(length, stride) };
            let cuts = cut(&stream, policy, &places).await;
            println!("{policy:?} {}: {length} bytes, {cuts} cuts, {cuts} events", stream.name);
            cuts
        });
        if running.len() == AT_ONCE || streams.is_empty() {
            sum += running.join_next().await.expect("one runs").unwrap();
        }
    }
    sum += running.join_all().await.iter().sum::<usize>();
    println!("{policy:?}: {count} streams, {sum} cuts, {sum} events, {:.1?}", started.elapsed());
}

fn densely(length: usize) -> Vec<usize> {
    let worth = |at: &usize| length <= SHORT || at.is_multiple_of(STRIDE_OF_LONG) || *at + END_OF_LONG >= length;
    (0..=length).filter(worth).collect()
}

/// Every `stride`th place, in long streams fewer, and the last two.
fn evenly(length: usize, stride: usize) -> Vec<usize> {
    let stride = if length <= SHORT { stride } else { length / FEW_OF_LONG };
    (0..length - 1).step_by(stride).chain([length - 1, length]).collect()
}

/// Cuts a stream at all these places by both protocols, and holds each event against what it must say.
async fn cut(stream: &Recording, policy: Policy, places: &[usize]) -> usize {
    let expected = Expected::of(stream);
    let protocols = [Protocol::H1, Protocol::H2];
    let cuts: Vec<_> = places.iter().flat_map(|at| protocols.map(|protocol| Cut { at: *at, protocol })).collect();
    let mut events = Scene::set(stream, policy).await.play(&cuts).await;
    assert_eq!(events.len(), cuts.len(), "{policy:?} {}: one event of each request", stream.name);
    for cut in &cuts {
        let event = events.remove(&cut.name()).unwrap_or_else(|| panic!("{}: no event of {cut:?}", stream.name));
        expected.hold(stream, (policy, cut.at), &event["data"]);
    }
    cuts.len()
}
