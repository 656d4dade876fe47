//! Budgets: of a keys file, over a restart; of the store, lent in slices to many sidecars.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tollgate::control::store::ledger::{Batch, Charge, Totals};
use tollgate::control::store::{Loan, Payer};
use tollgate::types::{Budget, KeyId, NanoUsd, Period, Timestamp};

use super::{ASK, by, follows, key, sidecar, status};
use crate::control::{Api, On, Place, SECRET};
use crate::support::world::Builder;
use crate::support::{Mock, Reply, World, eventually, until};

/// A call costs a cent: ten output tokens at 1,000 dollars a million.
const PRICES: &str = "version: test\nmodels:\n- { model: demo, input: 0, output: 1000 }\n";
const CENT: i64 = 10_000_000;
const ANSWER: &str = r#"{"model":"demo","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":10,"total_tokens":13}}"#;

fn priced(world: Builder) -> Builder {
    std::fs::write(world.dir().join("prices.yaml"), PRICES).unwrap();
    world.with("prices: prices.yaml")
}

fn paid(events: &[serde_json::Value], key: &str) -> i64 {
    let of_key = events.iter().filter(|event| event["data"]["key_id"] == key);
    of_key.filter_map(|event| event["data"]["cost"]["total_nano"].as_i64()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_of_a_keys_file_is_spent_once_whoever_calls_and_whatever_restarts() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let budget =
        |id: &str, usd: &str| format!("- {{ id: {id}, key: sk-{id}, budget: {{ period: total, usd: {usd} }} }}\n");
    let keys = format!("{}{}- {{ id: free, key: sk-free }}\n", budget("a", "0.20"), budget("b", "0.05"));
    let world = priced(World::before(&upstream).keys(&keys)).start().await;
    // Many at once, of both keys: no update is lost, and none is another key's.
    let calls = (0..60).map(|number| {
        let (address, key) = (world.address, if number % 2 == 0 { "sk-a" } else { "sk-b" });
        tokio::spawn(async move {
            let mut client = crate::support::Client::connect(address).await;
            loop {
                let got = client.post("/v1/chat/completions", Some(key), ASK).await;
                let (status, retry) = (got.status, got.header("retry-after").is_some());
                got.bytes().await;
                // Calls in flight may use what is left: then a retry may help.
                if !(status == 429 && retry) {
                    return status.as_u16();
                }
            }
        })
    });
    let mut let_in = 0;
    for call in calls.collect::<Vec<_>>() {
        let_in += u32::from(call.await.unwrap() == 200);
    }
    assert_eq!(let_in, 25, "twenty cents and five");
    let refused = world.chat(Some("sk-a"), ASK).await;
    assert_eq!((refused.status.as_u16(), refused.header("x-should-retry")), (429, Some("false")));
    assert_eq!(refused.json().await["error"]["code"], "insufficient_quota");
    assert_eq!(status(&world, "sk-free").await, 200);
    // Every refusal has left its event, too.
    let paying = |event: &serde_json::Value| event["data"]["outcome"] == "ok";
    let all = |events: &Vec<_>| events.iter().filter(|event| paying(event)).count() == 26;
    let events = eventually("26 events that cost", || Some(world.read()).filter(all)).await;
    assert_eq!((paid(&events, "a"), paid(&events, "b")), (20 * CENT, 5 * CENT));

    let world = world.restart(|_| ()).await;
    assert_eq!((status(&world, "sk-a").await, status(&world, "sk-b").await), (429, 429), "a restart forgives nothing");
    // A higher budget takes effect at once, and what was spent stays spent.
    let world = world
        .restart(|dir| {
            let keys = budget("a", "0.22");
            std::fs::write(dir.join("keys.yaml"), keys).unwrap();
        })
        .await;
    let got = [status(&world, "sk-a").await, status(&world, "sk-a").await, status(&world, "sk-a").await];
    assert_eq!(got, [200, 200, 429]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_without_a_price_costs_nothing_that_is_known_and_the_event_says_so() {
    let upstream = Mock::always(Reply::json(200, &ANSWER.replace("demo", "other"))).await;
    let keys = "- { id: a, key: sk-a, budget: { period: month, usd: 0.01 } }\n";
    let world = priced(World::before(&upstream).keys(keys)).start().await;
    for _ in 0..3 {
        assert_eq!(world.chat(Some("sk-a"), r#"{"model":"other"}"#).await.status, 200);
    }
    let events = world.finish().await;
    assert!(events.iter().all(|event| event["data"]["flags"].to_string().contains("budget_unpriced")));
}

/// What the ledger makes of an event, if it cost anything.
fn charge(event: &serde_json::Value) -> Option<Charge> {
    let cost = NanoUsd(event["data"]["cost"]["total_nano"].as_i64()?);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let (key, organization, model) = (text(&event["data"]["key_id"]), String::new(), String::new());
    let (id, at) = (text(&event["id"]), Timestamp::parse(&text(&event["time"])).unwrap());
    Some(Charge { id, at, key, organization, model, totals: Totals { requests: 1, cost, ..Totals::default() } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_without_a_budget_lives_on_its_balance_here_and_at_every_sidecar() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let place = Place::new(On::Sqlite).await;
    let control = format!("control: {{ database: {:?}, guard_secret: {{ value: {SECRET} }} }}", place.url);
    let here = priced(World::before(&upstream).with(&control)).start().await;
    let elsewhere = priced(sidecar(&upstream, here.address, "")).start().await;
    follows(&elsewhere).await;
    let store = place.open().await;
    store.import_key(&by(), &key("a")).await.unwrap();
    assert_eq!((status(&here, "sk-a").await, status(&elsewhere, "sk-a").await), (200, 200), "nothing limits it");
    let counted = r#"tollgate_ledger_events_total{result="counted"}"#;
    until("the first call is charged", async || here.metric(counted).await == 1).await;
    let payer = Payer::Key(KeyId::new("a"));
    store.pay(&by(), &payer, (NanoUsd(5 * CENT), "")).await.unwrap();
    for world in [&here, &elsewhere] {
        let known = r#"tollgate_key_cache_entries{kind="known"}"#;
        until("the former record is let go", async || world.metric(known).await == 0).await;
    }
    let mut let_in = 0;
    for number in 0..20 {
        let world = if number % 2 == 0 { &here } else { &elsewhere };
        let got = world.chat(Some("sk-a"), ASK).await;
        assert!(matches!(got.status.as_u16(), 200 | 429), "{}", got.status);
        let_in += i64::from(got.status == 200);
        got.bytes().await;
    }
    assert!((5..=7).contains(&let_in), "{let_in} cents of five, and the last call of each");
    store.pay(&by(), &payer, (NanoUsd(3 * CENT), "")).await.unwrap();
    until("what is paid can be spent", async || status(&elsewhere, "sk-a").await == 200).await;
    here.stop().await;
    elsewhere.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sidecars_together_overspend_a_budget_by_no_more_than_was_on_loan() {
    const DOLLAR: i64 = 100 * CENT;
    let api = Api::new(On::Sqlite).await;
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let budget = Budget { period: Period::Month, amount: NanoUsd(DOLLAR) };
    let mut new = key("a");
    new.record.budget = Some(budget);
    api.store.import_key(&by(), &new).await.unwrap();
    let mut sidecars = Vec::new();
    for _ in 0..3 {
        sidecars.push(priced(sidecar(&upstream, api.world.address, "")).start().await);
    }
    let let_in = Arc::new(AtomicU64::new(0));
    let callers: Vec<_> = (0..12)
        .map(|number| {
            let (address, let_in) = (sidecars[number % 3].address, Arc::clone(&let_in));
            tokio::spawn(async move {
                let mut client = crate::support::Client::connect(address).await;
                for _ in 0..60 {
                    let got = client.post("/v1/chat/completions", Some("sk-a"), ASK).await;
                    let status = got.status.as_u16();
                    got.bytes().await;
                    assert!(matches!(status, 200 | 429), "{status}");
                    let_in.fetch_add(u64::from(status == 200), Ordering::Relaxed);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let spent = i64::try_from(let_in.load(Ordering::Relaxed)).unwrap() * CENT;
    // No event has reached the store: what the sidecars say they used is what it knows. The last call of each may
    // go beyond its slice by what it costs.
    assert!(spent <= DOLLAR + 3 * CENT, "{spent} of {DOLLAR}");
    assert!(spent >= DOLLAR - 12 * CENT, "{spent} of {DOLLAR}: the budget can be used up");
    let mut charges = Vec::new();
    for world in sidecars {
        charges.extend(world.finish().await.iter().filter_map(charge));
    }
    let id = KeyId::new("a");
    assert_eq!(api.store.loans(&id).await.unwrap(), [], "what was on loan is given back on drain");
    let now = Timestamp::now();
    let until = Timestamp::from_millis(now.as_millis() + 1000);
    let next = Loan { key: &id, holder: "next", used: None, now, until };
    let rest = (DOLLAR - spent).max(0);
    let lent = api.store.lend(&next, &budget).await.unwrap();
    assert!(lent.nano_usd.0 <= rest, "{lent:?} is lent of {rest}");
    // The events come late and say the same: nothing is counted twice.
    let batch = Batch { source: "kafka/t".to_owned(), charges, ..Batch::default() };
    api.store.apply(&batch).await.unwrap();
    assert_eq!(api.store.spent(&Payer::Key(id.clone()), (Period::Total, now)).await.unwrap(), NanoUsd(spent));
    assert_eq!(api.store.lend(&next, &budget).await.unwrap().nano_usd, lent.nano_usd);
}
