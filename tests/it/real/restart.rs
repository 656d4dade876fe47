//! The end of the process, asked for and sudden, with streams under way: none is lost and none appears twice.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Notify;

use super::running::{Running, Site};
use super::topic::Topic;
use super::{assert_dense, assert_valid, count, distinct};
use crate::peers::off_runtime;
use crate::support::{Client, Got, Mock, PATIENCE, Reply, chat, until};

const BEGUN: &str =
    "data: {\"id\":\"c\",\"model\":\"demo-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hello\"}}]}\n\n";
const USAGE: &str = "data: {\"id\":\"c\",\"model\":\"demo-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// An upstream whose streams of model `held` stop after the first token until the gate opens.
async fn upstream(gate: &Arc<Notify>) -> Mock {
    let begun = Reply::head(200, "text/event-stream").chunk(BEGUN);
    let held = begun.clone().gate(gate).chunk(USAGE).chunk(DONE).end();
    let quick = begun.chunk(USAGE).chunk(DONE).end();
    Mock::start(move |asked| if asked.body.contains("held") { held.clone() } else { quick.clone() }).await
}

async fn stream(running: &Running, model: &str) -> (Client, Got) {
    let mut client = running.client().await;
    let got = client.post("/v1/chat/completions", None, chat(true).replace("demo", model)).await;
    assert_eq!(got.status, 200);
    (client, got)
}

/// A stream that has brought its first token.
async fn held(running: &Running) -> (Client, Got) {
    let (client, mut got) = stream(running, "held").await;
    assert_eq!(got.piece().await.unwrap().unwrap(), BEGUN);
    (client, got)
}

/// Plays whole streams to their end.
async fn finished(running: &Running, calls: usize) {
    for _ in 0..calls {
        let (_client, got) = stream(running, "quick").await;
        assert!(got.text().await.ends_with(DONE));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_process_finishes_its_streams_delivers_their_events_and_exits_with_0() {
    let topic = Topic::create("restart-term").await;
    let gate = Arc::new(Notify::new());
    let upstream = upstream(&gate).await;
    let site = Site::new(&format!("- name: mock\n  url: {}", upstream.url()), &topic.and_file());
    let running = site.start().await;
    finished(&running, 5).await;
    let (_client, in_flight) = held(&running).await;

    running.signal("TERM");
    let address = running.address;
    until("nothing new is taken on", async || tokio::net::TcpStream::connect(address).await.is_err()).await;
    gate.notify_one();
    assert!(in_flight.text().await.ends_with(DONE), "the stream comes to its end");
    assert_eq!(running.exit_code().await, Some(0));

    let (kafka, file) = (topic.events().await, site.file());
    assert_eq!((kafka.len(), file.len()), (6, 6));
    assert_eq!(count(&kafka, "outcome", "ok"), 6);
    assert_dense(&kafka);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_has_lost_nothing_and_what_was_in_flight_is_interrupted_exactly_once() {
    const DONE_BEFORE: usize = 20;
    const IN_FLIGHT: usize = 5;
    let topic = Topic::create("restart-kill").await;
    let gate = Arc::new(Notify::new());
    let upstream = upstream(&gate).await;
    let site = Site::new(&format!("- name: mock\n  url: {}", upstream.url()), &topic.and_file());
    let running = site.start().await;
    finished(&running, DONE_BEFORE).await;
    let mut in_flight = Vec::new();
    for _ in 0..IN_FLIGHT {
        in_flight.push(held(&running).await);
    }

    running.kill().await;
    for (_client, got) in in_flight {
        assert!(tokio::time::timeout(PATIENCE, whole(got)).await.unwrap().is_err(), "a cut stream is not a whole one");
    }
    // Twice: what was recovered once must not be recovered again.
    let running = site.start().await;
    finished(&running, 1).await;
    running.delivered().await;
    running.kill().await;
    site.start().await.stop().await;

    for events in [distinct(topic.events().await), distinct(site.file())] {
        assert_eq!(events.len(), DONE_BEFORE + IN_FLIGHT + 1, "{:?}", outcomes(&events));
        assert_eq!(count(&events, "outcome", "ok"), DONE_BEFORE + 1);
        assert_eq!(count(&events, "outcome", "interrupted"), IN_FLIGHT);
        assert_dense(&events);
        off_runtime(move || assert_valid(&events)).await;
    }
}

async fn whole(mut got: Got) -> hyper::Result<()> {
    while let Some(piece) = got.piece().await {
        piece?;
    }
    Ok(())
}

fn outcomes(events: &[Value]) -> Vec<&Value> {
    events.iter().map(|event| &event["data"]["outcome"]).collect()
}
