//! A thousand calls at once, whole and streamed, leave a thousand events in Kafka and in the file.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;

use super::running::Site;
use super::topic::Topic;
use super::{assert_dense, assert_valid, count};
use crate::peers::{LlamaPeer, check_metrics, off_runtime};
use crate::support::{Client, Got};

const CALLS: usize = 1000;
const AT_ONCE: usize = 32;

fn body(call: usize) -> String {
    let stream = call.is_multiple_of(2);
    format!(
        r#"{{"model":"demo","stream":{stream},"max_tokens":4,"messages":[{{"role":"user","content":"call {call}"}}]}}"#
    )
}

/// Makes every `AT_ONCE`th call over one connection; yields how many were not answered whole.
async fn work(address: SocketAddr, first: usize) -> Vec<String> {
    let mut client = Client::connect(address).await;
    let mut failed = Vec::new();
    for call in (first..CALLS).step_by(AT_ONCE) {
        let got: Got = client.post("/v1/chat/completions", None, body(call)).await;
        let status = got.status;
        let text = got.text().await;
        let whole = if call.is_multiple_of(2) { text.ends_with("data: [DONE]\n\n") } else { text.ends_with('}') };
        if status != 200 || !whole {
            failed.push(format!("call {call}: {status} {text}"));
        }
    }
    failed
}

fn ids(events: &[Value]) -> BTreeSet<&str> {
    events.iter().map(|event| event["id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_calls_at_once_leave_a_thousand_events_in_kafka_and_in_the_file() {
    let topic = Topic::create("thousand").await;
    let llama = off_runtime(|| LlamaPeer::shared().url.clone()).await;
    let site = Site::new(&format!("- name: llama\n  url: {llama}"), &topic.and_file());
    let running = site.start().await;
    let started = Instant::now();
    let workers: Vec<_> = (0..AT_ONCE).map(|first| tokio::spawn(work(running.address, first))).collect();
    let mut failed = Vec::new();
    for worker in workers {
        failed.extend(worker.await.unwrap());
    }
    println!("{CALLS} calls to llama.cpp at concurrency {AT_ONCE}: {:?}, {} failed", started.elapsed(), failed.len());
    running.delivered().await;
    println!("{CALLS} events in Kafka and in the file after {:?}", started.elapsed());
    let page = running.metrics().await;
    for line in page.lines().filter(|line| line.starts_with("tollgate_upstream_")) {
        println!("{line}");
    }
    running.stop().await;
    assert!(failed.is_empty(), "no call fails when llama.cpp closes connections between calls: {failed:#?}");
    off_runtime(move || check_metrics(&page)).await.unwrap_or_else(|faults| panic!("{faults}"));

    let (kafka, file) = (topic.events().await, site.file());
    assert_eq!((kafka.len(), file.len()), (CALLS, CALLS));
    assert_eq!(ids(&kafka), ids(&file));
    assert_dense(&kafka);
    assert_eq!(count(&kafka, "outcome", "ok"), CALLS);
    assert!(kafka.iter().all(|event| event["data"]["usage"]["source"] == "provider"));
    assert_eq!(kafka.iter().filter(|event| event["data"]["stream"] == true).count(), CALLS / 2);
    off_runtime(move || assert_valid(&kafka)).await;
}
