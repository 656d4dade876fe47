//! `log-usage` to a guard: our own control plane, and a server of the original, which is scripted after its source.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tollgate::control::store::{Grouping, UsageAsked};

use super::ANSWER;
use crate::control::{Api, On, SECRET};
use crate::remote::original::wrong_secret;
use crate::remote::{by, key};
use crate::storage::assert_balanced;
use crate::support::world::Builder;
use crate::support::{Asked, Mock, Reply, World, eventually, until};

/// A call costs a cent: ten output tokens at 1,000 dollars a million.
const PRICES: &str = "version: test\nmodels:\n- { model: \"*\", input: 0, output: 1000 }\n";
const CENT: i64 = 10_000_000;
const KEYS: &str =
    "- { id: a, key: sk-a }\n- { id: b, key: sk-b }\n- { id: c, key: sk-c, organizations: [org_other] }\n";

fn reporting(upstream: &Mock, (guard, secret): (&str, &str)) -> Builder {
    let world = World::before(upstream).keys(KEYS);
    std::fs::write(world.dir().join("prices.yaml"), PRICES).unwrap();
    let http = format!(
        "{{ name: guard, url: \"{guard}\", format: log-usage, secret: {{ value: {secret} }}, api_keys: {{ a: {{ value: sk-a }} }}, api_key: {{ value: sk-b }} }}"
    );
    let events = format!("events: {{ spool: {{ dir: spool }}, file: {{ path: usage.jsonl }}, http: [{http}] }}\n");
    world.with(&events).with("prices: prices.yaml")
}

async fn call(world: &World, key: &str, body: &str) -> u16 {
    let got = world.chat(Some(key), body).await;
    let status = got.status.as_u16();
    got.bytes().await;
    status
}

fn sink(what: &str) -> String {
    format!("tollgate_sink_{what}{{sink=\"http-guard\"}}")
}

async fn settled(world: &World) {
    until("everything is done with", async || world.metric("tollgate_spool_pending_events").await == 0).await;
    assert_balanced(world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_control_plane_takes_the_reports_of_a_sidecar_and_its_ledger_agrees() {
    const ASK: &str = r#"{"model":"demo","max_tokens":64,"temperature":0.5,"top_p":0.25}"#;
    let api = Api::new(On::Sqlite).await;
    for id in ["a", "b"] {
        api.store.import_key(&by(), &key(id)).await.unwrap();
    }
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = reporting(&upstream, (&format!("http://{}", api.world.address), SECRET)).start().await;
    for _ in 0..5 {
        assert_eq!(call(&world, "sk-a", ASK).await, 200);
    }
    for _ in 0..3 {
        assert_eq!(call(&world, "sk-b", ASK).await, 200);
    }
    // Refused here: no usage.
    assert_eq!(call(&world, "sk-a", "[]").await, 400);
    let reported = api.world.events(8).await;
    settled(&world).await;
    assert_eq!(world.metric(&sink("delivered_total")).await, 8);
    assert_eq!(world.metric(&sink("skipped_total")).await, 1);
    assert_eq!(reported.len(), 8);
    let of = |id: &str| reported.iter().filter(|event| event["data"]["key_id"] == id).count();
    assert_eq!((of("a"), of("b")), (5, 3));
    for event in &reported {
        let data = &event["data"];
        assert_eq!((&data["usage"]["input_tokens"], &data["usage"]["output_tokens"]), (&10.into(), &10.into()));
        assert_eq!((&data["cost"]["total_nano"], &data["cost"]["output_nano"]), (&CENT.into(), &CENT.into()));
        assert_eq!((&data["request"]["max_tokens"], &data["request"]["top_p"]), (&64.into(), &0.25.into()));
        assert_eq!((&data["model_requested"], &data["dialect"]), (&"demo".into(), &"guard.log_usage".into()));
    }
    let asked = UsageAsked { by: vec![Grouping::Key], ..UsageAsked::default() };
    let mut told = BTreeMap::new();
    until("the ledger has them", async || {
        let rows = api.store.usage(&asked).await.unwrap();
        told = rows.into_iter().map(|row| (row.names[0].clone(), (row.totals.requests, row.totals.cost.0))).collect();
        told.values().map(|(requests, _)| requests).sum::<i64>() == 8
    })
    .await;
    assert_eq!(told, BTreeMap::from([("a".to_owned(), (5, 5 * CENT)), ("b".to_owned(), (3, 3 * CENT))]));
    world.stop().await;
}

/// Answers as the original does (COMPAT §1.2), in its order.
fn original(asked: &Asked) -> Reply {
    if asked.path() != "/api/guard/log-usage" {
        return Reply::text(404, "<!DOCTYPE html><html></html>");
    }
    if let Some(refused) = wrong_secret(asked) {
        return refused;
    }
    let Ok(body) = serde_json::from_str::<Value>(&asked.body) else { return Reply::text(500, "Internal Server Error") };
    let numbers = [
        "temperature",
        "top_p",
        "input_cost",
        "output_cost",
        "total_cost",
        "input_tokens",
        "output_tokens",
        "max_tokens",
    ];
    if !numbers.iter().all(|name| body[name].is_number()) || !body["model"].is_string() {
        return Reply::text(400, "[\n  {\n    \"code\": \"invalid_type\"\n  }\n]");
    }
    if !["sk-a", "sk-b"].contains(&asked.header("authorization")) {
        return Reply::text(401, "Invalid API Key");
    }
    match (asked.header("swarms-organization"), body["model"].as_str().unwrap()) {
        ("org_other", _) => Reply::text(401, "User is not part of the organization"),
        ("", "demo") => Reply::text(200, "Success"),
        _ => Reply::text(404, "Model not found"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_original_server_gets_each_report_with_all_its_fields_and_its_refusals_are_put_aside() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    // Its limit is used up at first.
    let busy = Arc::new(AtomicUsize::new(3));
    let guard = Mock::start(move |asked| {
        let left = busy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_ok() { Reply::raw("HTTP/1.1 429 X\r\ncontent-length: 0\r\n\r\n") } else { original(asked) }
    })
    .await;
    let world = reporting(&upstream, (&guard.url(), "hush")).start().await;
    let ask = |model: &str| format!(r#"{{"model":"{model}"}}"#);
    for key in ["sk-a", "sk-a", "sk-b"] {
        assert_eq!(call(&world, key, &ask("demo")).await, 200);
    }
    assert_eq!(call(&world, "sk-c", &ask("demo")).await, 200);
    assert_eq!(call(&world, "sk-b", &ask("secret-model")).await, 200);
    settled(&world).await;
    let counts = [world.metric(&sink("delivered_total")).await, world.metric(&sink("dead_letters_total")).await];
    assert_eq!(counts, [3, 2]);
    let dead = std::fs::read_to_string(world.dir.path().join("spool/dead/http-guard.jsonl")).unwrap();
    let mut dead: Vec<(u64, String)> = dead
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| (line["code"].as_u64().unwrap(), line["event"]["data"]["key_id"].as_str().unwrap().to_owned()))
        .collect();
    dead.sort();
    assert_eq!(dead, [(401, "c".to_owned()), (404, "b".to_owned())]);
    // What was asked with: the key that stands for the caller, and the id of the event.
    let events = world.finish().await;
    for asked in guard.asked() {
        let event = events.iter().find(|event| event["id"] == asked.headers["idempotency-key"]).unwrap();
        let stands_for = if event["data"]["key_id"] == "a" { "sk-a" } else { "sk-b" };
        assert_eq!(asked.headers["authorization"], stands_for);
        assert_eq!(asked.json()["total_cost"].as_f64(), Some(0.01));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_secret_loses_nothing_and_holds_up_no_call() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let guard = Mock::start(original).await;
    let world = reporting(&upstream, (&guard.url(), "wrong")).start().await;
    for _ in 0..4 {
        assert_eq!(call(&world, "sk-a", r#"{"model":"demo"}"#).await, 200);
    }
    eventually("it was refused more than once", || (guard.asked().len() > 8).then_some(())).await;
    assert_eq!(world.metric(&sink("dead_letters_total")).await, 0);
    assert_eq!(world.metric("tollgate_spool_pending_events").await, 4);
    assert_balanced(&world).await;
    let world = world
        .restart(|dir| {
            let path = dir.join("tollgate.yaml");
            let mended = std::fs::read_to_string(&path).unwrap().replace("value: wrong", "value: hush");
            std::fs::write(path, mended).unwrap();
        })
        .await;
    settled(&world).await;
    assert_eq!(world.metric(&sink("delivered_total")).await, 4);
    world.stop().await;
}
