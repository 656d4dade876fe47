//! Events arrive, whatever their destination does, and requests do not wait for it.

use std::time::Instant;

use crate::support::{Mock, Reply, World, chat};

const ANSWER: &str = r#"{"model":"demo-1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":10,"total_tokens":20}}"#;

#[tokio::test]
async fn events_wait_in_the_spool_while_their_file_cannot_be_written_and_survive_a_restart() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let builder = World::before(&upstream);
    // A folder stands where the file should be.
    let file = builder.dir().join("usage.jsonl");
    std::fs::create_dir(&file).unwrap();
    let world = builder.start().await;
    for _ in 0..3 {
        assert_eq!(world.chat(None, &chat(false)).await.status, 200);
    }
    assert_eq!(world.metric(r#"tollgate_events_total{state="committed"}"#).await, 3);
    assert_eq!(world.metric(r#"tollgate_events_total{state="delivered"}"#).await, 0);
    let world = world.restart(|dir| std::fs::remove_dir(dir.join("usage.jsonl")).unwrap()).await;
    let events = world.events(3).await;
    assert_eq!(events.len(), 3);
    world.finish().await;
}

#[tokio::test]
async fn numbers_start_again_in_a_new_epoch_and_ids_never_repeat() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = World::before(&upstream).start().await;
    world.chat(None, &chat(false)).await.bytes().await;
    let world = world.restart(|_| {}).await;
    world.chat(None, &chat(false)).await.bytes().await;
    let events = world.events(2).await;
    let sequence = |at: usize, name: &str| events[at]["data"]["sequence"][name].clone();
    assert_eq!((sequence(0, "number"), sequence(1, "number")), (1.into(), 1.into()));
    assert_eq!(sequence(1, "epoch").as_u64(), sequence(0, "epoch").as_u64().map(|epoch| epoch + 1));
    assert_eq!(sequence(0, "spool"), sequence(1, "spool"));
    assert_ne!(events[0]["id"], events[1]["id"]);
    world.stop().await;
}

#[tokio::test]
async fn metrics_say_what_happened_under_the_documented_names() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = World::before(&upstream).start().await;
    world.chat(None, &chat(false)).await.bytes().await;
    world.events(1).await;
    let text = world.metrics().await;
    for name in [
        "tollgate_requests_total",
        "tollgate_request_duration_seconds",
        "tollgate_overhead_seconds",
        "tollgate_tokens_total",
        "tollgate_cost_usd_total",
        "tollgate_in_flight_requests",
        "tollgate_key_cache_lookups_total",
        "tollgate_events_total",
        "tollgate_spool_bytes",
        "tollgate_spool_oldest_event_timestamp_seconds",
        "tollgate_build_info",
        "process_resident_memory_bytes",
    ] {
        assert!(text.contains(&format!("# TYPE {name} ")), "{name} is missing in\n{text}");
    }
    let line = r#"tollgate_requests_total{code="200",model="demo",operation="chat",outcome="ok",upstream="mock"}"#;
    assert_eq!(world.metric(line).await, 1);
    assert_eq!(
        world
            .metric(r#"tollgate_tokens_total{direction="input",model="demo",source="provider",upstream="mock"}"#)
            .await,
        10
    );
    world.finish().await;
}

#[tokio::test]
async fn readiness_follows_the_spool_and_liveness_does_not() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = World::before(&upstream).start().await;
    let mut client = crate::support::Client::connect(world.ops).await;
    assert_eq!(client.get("/readyz").await.status, 200);
    assert_eq!(client.get("/livez").await.status, 200);
    drop(client);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_requests_leave_a_thousand_events() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = World::before(&upstream).start().await;
    let started = Instant::now();
    let workers: Vec<_> = (0..32)
        .map(|worker| {
            let address = world.address;
            tokio::spawn(async move {
                let mut client = crate::support::Client::connect(address).await;
                for _ in (worker..1000).step_by(32) {
                    client.post("/v1/chat/completions", None, chat(false)).await.bytes().await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    println!("1,000 requests at concurrency 32 in {:?}", started.elapsed());
    let events = world.finish().await;
    assert_eq!(events.len(), 1000);
    let ids: std::collections::HashSet<_> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 1000);
}
