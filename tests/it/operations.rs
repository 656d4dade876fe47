//! Ending, reloading and being watched, while requests run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::{Client, Mock, Reply, World, chat, until};

const EVENT: &str = "data: {\"id\":\"c\",\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const ANSWER: &str = r#"{"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;

#[tokio::test]
async fn while_draining_streams_finish_new_connections_are_refused_and_readiness_says_so() {
    let gate = Arc::new(Notify::new());
    let reply = Reply::head(200, "text/event-stream").chunk(EVENT).gate(&gate).chunk(DONE).end();
    let upstream = Mock::always(reply).await;
    let world = World::before(&upstream).start().await;
    let (address, ops) = (world.address, world.ops);
    let mut got = world.chat(None, &chat(true)).await;
    assert_eq!(got.piece().await.unwrap().unwrap(), EVENT);
    let stopping = tokio::spawn(world.finish());
    loop {
        let answer = Client::connect(ops).await.get("/readyz").await;
        if answer.status == 503 {
            break;
        }
        assert!(!stopping.is_finished());
    }
    crate::support::eventually("new connections are refused", || {
        std::net::TcpStream::connect(address).is_err().then_some(())
    })
    .await;
    gate.notify_one();
    assert_eq!(got.text().await, DONE);
    let events = stopping.await.unwrap();
    assert_eq!((events.len(), &events[0]["data"]["outcome"]), (1, &"ok".into()));
}

#[tokio::test]
async fn a_second_signal_cuts_what_still_runs_and_it_is_recorded() {
    let gate = Arc::new(Notify::new());
    let reply = Reply::head(200, "text/event-stream").chunk(EVENT).gate(&gate).chunk(DONE).end();
    let upstream = Mock::always(reply).await;
    let world = World::before(&upstream).start().await;
    let mut got = world.chat(None, &chat(true)).await;
    assert_eq!(got.piece().await.unwrap().unwrap(), EVENT);
    let (begun, ops) = (tokio::time::Instant::now(), world.ops);
    let draining = until("the process drains", async || Client::connect(ops).await.get("/readyz").await.status == 503);
    let events = world.finish_unless(draining).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "the drain time is 25 s");
    assert_eq!(events.len(), 1);
    assert_eq!(
        (&events[0]["data"]["outcome"], &events[0]["data"]["error"]),
        (&"interrupted".into(), &"shutdown".into())
    );
    while let Some(Ok(_)) = got.piece().await {}
}

#[tokio::test]
async fn answers_that_are_read_on_end_with_the_process() {
    let gate = Arc::new(Notify::new());
    let reply = Reply::head(200, "text/event-stream").chunk(EVENT).gate(&gate).chunk(DONE).end();
    let upstream = Mock::always(reply).await;
    let world = World::before(&upstream).upstream("  disconnect: drain\n").start().await;
    let mut client = world.client().await;
    let mut got = client.post("/v1/chat/completions", None, chat(true)).await;
    assert_eq!(got.piece().await.unwrap().unwrap(), EVENT);
    drop(got);
    client.hang_up();
    let data = world.only_event().await["data"].clone();
    assert!(data["flags"].as_array().unwrap().contains(&"drained".into()), "{data}");
    assert_eq!(data["delivered"]["content_frames"], 1);
    assert_eq!(data["usage"]["complete"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_reloads_under_load_fail_no_request() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = World::before(&upstream).keys("- id: good\n  key: sk-good\n").start().await;
    let (ended, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (ended, asked, address) = (Arc::clone(&ended), Arc::clone(&asked), world.address);
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                while !ended.load(Ordering::Relaxed) {
                    let got = client.post("/v1/chat/completions", Some("sk-good"), chat(false)).await;
                    assert_eq!(got.status, 200);
                    assert_eq!(got.text().await, ANSWER);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    // SIGHUP reaches every world of this process; each takes its own files anew.
    for _ in 0..100 {
        let before = asked.load(Ordering::Relaxed);
        let sent = std::process::Command::new("kill").args(["-HUP", &std::process::id().to_string()]).status();
        assert!(sent.unwrap().success());
        crate::support::eventually("requests go on", || (asked.load(Ordering::Relaxed) > before).then_some(())).await;
    }
    ended.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    let events = world.finish().await;
    assert_eq!(events.len(), asked.load(Ordering::Relaxed));
}

#[tokio::test]
async fn slow_clients_do_not_keep_the_operations_port_from_answering() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = World::before(&upstream).start().await;
    let mut slow = Vec::new();
    for _ in 0..70 {
        let mut stream = TcpStream::connect(world.ops).await.unwrap();
        stream.write_all(b"GET /metr").await.unwrap();
        slow.push(stream);
    }
    let begun = tokio::time::Instant::now();
    assert_eq!(Client::connect(world.ops).await.get("/livez").await.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    drop(slow);
    world.finish().await;
}
