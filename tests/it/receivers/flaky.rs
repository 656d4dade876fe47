//! Receivers that reset, fail, limit, are slow, or take events and lose their answer: each gets every event.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{ANSWER, ids, known};
use crate::storage::assert_balanced;
use crate::support::{Asked, Mock, Reply, World, chat, eventually};

/// By path: how many requests came, and the events that were taken.
#[derive(Default)]
struct Taken(Mutex<HashMap<String, (usize, HashSet<String>)>>);

impl Taken {
    /// Of every twenty requests seven fail, in as many ways.
    fn answer(&self, asked: &Asked) -> Reply {
        let mut paths = self.0.lock().unwrap();
        let (count, taken) = paths.entry(asked.path().to_owned()).or_default();
        *count += 1;
        let wait =
            |status: &str| Reply::raw(&format!("HTTP/1.1 {status}\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n"));
        match *count % 20 {
            1 => return Reply::default().reset(),
            2 => return Reply::json(500, "{}"),
            3 => return wait("429 Too Many Requests"),
            4 => return wait("503 Service Unavailable"),
            5 => return Reply::raw("HTTP/1.1 2").reset(),
            _ => taken.extend(ids(asked)),
        }
        match *count % 20 {
            6 => Reply::default().reset(),
            7 => Reply::default().pause(Duration::from_millis(500)),
            // The head says it: a body that never comes takes nothing back.
            8 => Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n").reset(),
            9 => Reply::raw("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"),
            _ => Reply::json(202, "{}"),
        }
    }

    fn have(&self, path: &str, ids: &HashSet<String>) -> bool {
        self.0.lock().unwrap().get(path).is_some_and(|(_, taken)| taken == ids)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_reaches_receivers_that_fail_in_every_way_over_a_restart() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let taken = Arc::<Taken>::default();
    let receiver = Mock::start({
        let taken = Arc::clone(&taken);
        move |asked| taken.answer(asked)
    })
    .await;
    let url = receiver.url();
    let one = |name: &str, format: &str| {
        format!("  - {{ name: {name}, url: \"{url}/{name}\", format: {format}, timeout: 300ms }}\n")
    };
    let http = [
        one("whole", "cloudevents"),
        one("apart", "cloudevents-binary"),
        one("together", "cloudevents-batch, batch: 8"),
    ];
    let events =
        format!("events:\n  spool: {{ dir: spool }}\n  file: {{ path: usage.jsonl }}\n  http:\n{}", http.concat());
    let world = World::before(&upstream).with(&events).start().await;
    for _ in 0..15 {
        world.chat(None, &chat(false)).await.bytes().await;
    }
    assert_balanced(&world).await;
    let world = world.restart(|_| {}).await;
    for _ in 0..15 {
        world.chat(None, &chat(false)).await.bytes().await;
    }
    let events = world.events(30).await;
    assert_eq!(events.len(), 30);
    for path in ["/whole", "/apart", "/together"] {
        eventually(path, || taken.have(path, &known(&events)).then_some(())).await;
    }
    let pending = "tollgate_spool_pending_events";
    while world.metric(pending).await > 0 {
        assert_balanced(&world).await;
    }
    for sink in ["http-whole", "http-apart", "http-together"] {
        assert!(world.metric(&format!("tollgate_sink_delivered_total{{sink=\"{sink}\"}}")).await >= 15, "{sink}");
        assert_eq!(world.metric(&format!("tollgate_sink_dead_letters_total{{sink=\"{sink}\"}}")).await, 0, "{sink}");
    }
    assert!(world.metric(r#"tollgate_sink_retries_total{sink="http-whole"}"#).await > 0);
    assert_balanced(&world).await;
    world.stop().await;
    // Both forms say the same, to the byte where the event stands alone.
    let line = |id: &str| events.iter().find(|event| event["id"] == id).unwrap();
    for asked in receiver.asked() {
        match asked.path() {
            "/whole" => assert_eq!(asked.json(), *line(&asked.headers["idempotency-key"])),
            "/apart" => {
                let event = line(&asked.headers["ce-id"]);
                assert_eq!(asked.json(), event["data"]);
                for name in ["specversion", "source", "type", "subject", "time"] {
                    assert_eq!(asked.headers[&format!("ce-{name}")], event[name].as_str().unwrap());
                }
            }
            _ => assert!(ids(&asked).len() <= 8),
        }
    }
}

#[tokio::test]
async fn an_event_that_a_receiver_never_takes_is_put_aside_and_counted_and_the_balance_holds() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let bad = |asked: &Asked| asked.json()["data"]["session_id"] == "bad";
    let receiver = Mock::start(move |asked| Reply::json(if bad(asked) { 400 } else { 200 }, "{}")).await;
    let http = format!("events: {{ spool: {{ dir: spool }}, http: [{{ url: \"{}\" }}] }}", receiver.url());
    let world = World::before(&upstream).with(&http).start().await;
    for session in ["good", "bad", "good"] {
        let request = http::Request::post("/v1/chat/completions").header("session-id", session);
        let request = request.header("content-type", "application/json");
        let request = request.body(http_body_util::Full::new(chat(false).into())).unwrap();
        world.client().await.send(request).await.bytes().await;
    }
    let dead = world.dir.path().join("spool/dead/http-127-0-0-1.jsonl");
    let text =
        eventually("the dead letter", || std::fs::read_to_string(&dead).ok().filter(|text| text.ends_with('\n'))).await;
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["code"], &lines[0]["reason"]), (1, &400.into(), &"invalid".into()));
    assert_eq!(lines[0]["event"]["data"]["session_id"], "bad");
    while world.metric("tollgate_spool_pending_events").await > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.metric(r#"tollgate_sink_dead_letters_total{sink="http-127-0-0-1"}"#).await, 1);
    assert_eq!(world.metric(r#"tollgate_sink_delivered_total{sink="http-127-0-0-1"}"#).await, 2);
    assert_balanced(&world).await;
    world.stop().await;
}
