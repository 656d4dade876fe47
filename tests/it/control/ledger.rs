//! The ledger: each event once, charged rightly, whatever is replayed; and what people read of it.

use std::collections::BTreeMap;
use std::process::Command;

use tollgate::control::store::ledger::{Batch, Charge, DeadLetter, Loss, Totals};
use tollgate::control::store::{By, Grouping, NewKey, Payer, Store, UsageAsked};
use tollgate::types::{Budget, KeyId, NanoUsd, Period, Timestamp};

use super::{Api, On, Place, SECRET, on_both};
use crate::support::{unset, until};

on_both! {
    replays_and_copies_change_nothing
    a_budget_is_used_before_the_balance_and_debt_outlives_the_period
    two_that_apply_at_once_lose_nothing_of_each_other
    without_kafka_the_ledger_reads_the_spool
}

const USD: i64 = 1_000_000_000;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn charge(id: &str, key: &str, nano: i64) -> Charge {
    let totals = Totals { requests: 1, input_tokens: 10, output_tokens: 2, cost: NanoUsd(nano), ..Totals::default() };
    let (key, organization, model) = (key.to_owned(), "org_a".to_owned(), "m".to_owned());
    Charge { id: id.to_owned(), at: at("2026-11-21T10:00:00Z"), key, organization, model, totals }
}

fn batch(charges: Vec<Charge>) -> Batch {
    Batch { source: "kafka/t".to_owned(), charges, ..Batch::default() }
}

async fn total(store: &Store) -> (i64, i64) {
    let rows = store.usage(&UsageAsked::default()).await.unwrap();
    (rows[0].totals.requests, rows[0].totals.cost.0)
}

async fn replays_and_copies_change_nothing(on: On) {
    let place = Place::new(on).await;
    let store = place.open().await;
    let loss = Loss {
        id: "loss-1".to_owned(),
        at: at("2026-11-21T10:00:00Z"),
        spool: "s".to_owned(),
        epoch: 1,
        reason: "damage".to_owned(),
        numbers: (Some(3), Some(4)),
    };
    let dead = DeadLetter { part: 0, position: 7, reason: "not_an_event", record: "{".to_owned() };
    let first = Batch {
        losses: vec![loss],
        dead: vec![dead],
        positions: BTreeMap::from([(0, 8), (1, 3)]),
        ..batch(vec![charge("a-1-1", "k", 5), charge("a-1-1", "k", 5), charge("a-1-2", "k", 7)])
    };
    let applied = store.apply(&first).await.unwrap();
    assert_eq!((applied.counted, applied.duplicates, applied.losses), (2, 1, 1));
    for _ in 0..2 {
        let again = store.apply(&first).await.unwrap();
        assert_eq!((again.counted, again.duplicates, again.losses), (0, 4, 0));
    }
    assert_eq!(total(&store).await, (2, 12));
    assert_eq!(store.put_aside().await.unwrap(), (1, 1));
    assert_eq!(store.positions("kafka/t").await.unwrap(), BTreeMap::from([(0, 8), (1, 3)]));
    let month = (Period::Month, at("2026-11-30T00:00:00Z"));
    assert_eq!(store.spent(&Payer::Key(KeyId::new("k")), month).await.unwrap(), NanoUsd(12));
    // A batch that fails leaves nothing: its ids are free again.
    let mut bad = batch(vec![charge("a-1-3", "k", 1)]);
    bad.positions.insert(0, -1);
    store.apply(&bad).await.unwrap_err();
    assert_eq!(total(&store).await, (2, 12));
    assert_eq!(store.apply(&batch(vec![charge("a-1-3", "k", 1)])).await.unwrap().counted, 1);
}

async fn a_budget_is_used_before_the_balance_and_debt_outlives_the_period(on: On) {
    let place = Place::new(on).await;
    let store = place.open().await;
    let (by, id) = (By::new("test"), KeyId::new("k"));
    store.create_key(&by, &NewKey::new(id.clone()), "sk-").await.unwrap();
    let payer = Payer::Key(id.clone());
    store.set_budget(&by, &id, Some(&Budget { period: Period::Day, amount: NanoUsd(10 * USD) })).await.unwrap();
    store.pay(&by, &payer, (NanoUsd(5 * USD), "")).await.unwrap();
    let balance = async || store.balance(&payer).await.unwrap().0 / USD;
    store.apply(&batch(vec![charge("1", "k", 8 * USD)])).await.unwrap();
    assert_eq!(balance().await, 5, "the budget covers it");
    store.apply(&batch(vec![charge("2", "k", 4 * USD)])).await.unwrap();
    assert_eq!(balance().await, 3, "what the budget does not cover");
    store.apply(&batch(vec![charge("3", "k", 6 * USD)])).await.unwrap();
    assert_eq!(balance().await, -3, "by what was in flight");
    let mut next_day = charge("4", "k", 2 * USD);
    next_day.at = at("2026-11-22T00:00:00Z");
    store.apply(&batch(vec![next_day])).await.unwrap();
    assert_eq!(balance().await, -3, "a new day has its budget, and the debt is still there");
}

async fn two_that_apply_at_once_lose_nothing_of_each_other(on: On) {
    let place = Place::new(on).await;
    let (one, two) = (place.open().await, place.open().await);
    // Each event comes to both, in another order, together with others of the same keys.
    let work = async |store: &Store, backwards: bool| {
        for round in 0..20 {
            let mut charges: Vec<_> =
                (0..20).map(|at| charge(&format!("e-{round}-{at}"), &format!("k{}", at % 3), 1)).collect();
            if backwards {
                charges.reverse();
            }
            store.apply(&batch(charges)).await.unwrap();
        }
    };
    tokio::join!(work(&one, false), work(&two, true));
    assert_eq!(total(&one).await, (400, 400));
    let organization = Payer::Organization(tollgate::types::OrgId::new("org_a"));
    assert_eq!(one.spent(&organization, (Period::Total, Timestamp::now())).await.unwrap(), NanoUsd(400));
}

async fn without_kafka_the_ledger_reads_the_spool(on: On) {
    let api = Api::with(on, "", Some("- id: k\n  key: sk-xxx\n  organizations: [org_a]\n")).await;
    let body = r#"{"model":"cogvlm-chat-17b","temperature":0.7,"top_p":0.9,"max_tokens":200,"input_tokens":100,
        "output_tokens":80,"input_cost":0.5,"output_cost":0.3,"total_cost":0.8}"#;
    let headers = [("secretkey", SECRET), ("authorization", "sk-xxx")];
    for _ in 0..3 {
        assert_eq!(api.post("/api/guard/log-usage", &headers, body).await.0, 200);
    }
    let by = vec![Grouping::Key, Grouping::Organization, Grouping::Model];
    let asked = UsageAsked { by, ..UsageAsked::default() };
    let first = async || api.store.usage(&asked).await.unwrap().into_iter().next();
    until("all three are counted", async || first().await.is_some_and(|row| row.totals.requests == 3)).await;
    let row = first().await.unwrap();
    assert_eq!(row.names, ["k", "org_a", "cogvlm-chat-17b"]);
    assert_eq!((row.totals.input_tokens, row.totals.output_tokens, row.totals.cost.0), (300, 240, 2_400_000_000));
    assert_eq!(api.world.metric("tollgate_ledger_events_total{result=\"counted\"}").await, 3);
}

fn tollgate(arguments: &[&str], place: &Place) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let output = unset(command.args(arguments).args(["--database", &place.url])).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn usage_is_a_table_csv_or_json_of_what_was_asked_for() {
    let place = Place::new(On::Sqlite).await;
    let store = place.open().await;
    let mut later = charge("3", "b", 5 * USD + 1);
    later.at = at("2026-11-22T10:00:00Z");
    store.apply(&batch(vec![charge("1", "a", 61_000), charge("2", "a", 9_000), later])).await.unwrap();
    let (code, out, _) = tollgate(&["usage", "--by", "key,model"], &place);
    let expected = "\
KEY  MODEL  REQUESTS  ERRORS  REJECTED  INPUT  CACHED  OUTPUT  REASONING  UNPRICED     COST_USD
b    m             1       0         0     10       0       2          0         0  5.000000001
a    m             2       0         0     20       0       4          0         0  0.000070000
";
    assert_eq!((code, out.as_str()), (Some(0), expected));
    let (_, csv, _) = tollgate(&["usage", "--by", "day", "--until", "2026-11-22", "--format", "csv"], &place);
    let expected = "day,requests,errors,rejected,input,cached,output,reasoning,unpriced,cost_usd\r\n\
                    2026-11-21,2,0,0,20,0,4,0,0,0.000070000\r\n";
    assert_eq!(csv, expected);
    let (_, json, _) = tollgate(&["usage", "--key", "b", "--by", "org", "--format", "json"], &place);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json[0]["org"], &json[0]["requests"]), (&"org_a".into(), &1.into()));
    let (code, _, err) = tollgate(&["usage", "--since", "yesterday"], &place);
    assert_eq!(code, Some(2), "{err}");
}

#[tokio::test]
async fn organizations_and_models_are_made_listed_and_priced() {
    let place = Place::new(On::Sqlite).await;
    for arguments in [
        &["orgs", "create", "org_acme", "--name", "Acme Inc.", "--requests-per-minute", "600"][..],
        &["orgs", "recharge", "org_acme", "2.5"],
        &["models", "add", "gpt-4o", "--provider", "openai"],
        &["models", "price", "gpt-4o", "--input", "2.5", "--output", "10", "--from", "2026-01-01T00:00:00Z"],
    ] {
        let (code, _, err) = tollgate(arguments, &place);
        assert_eq!(code, Some(0), "{arguments:?}: {err}");
    }
    let (_, out, _) = tollgate(&["orgs", "list"], &place);
    let expected = "\
ID        NAME       REQUESTS_PER_MINUTE  TOKENS_PER_MINUTE  CONCURRENT_REQUESTS  BALANCE_USD
org_acme  Acme Inc.                  600                                          2.500000000
";
    assert_eq!(out, expected);
    let (_, out, _) = tollgate(&["models", "list"], &place);
    let expected = "\
MODEL   PROVIDER  STATE      INPUT_USD    OUTPUT_USD  SINCE
gpt-4o  openai    enabled  2.500000000  10.000000000  2026-01-01T00:00:00.000Z
";
    assert_eq!(out, expected);
    let (code, _, err) = tollgate(&["models", "price", "unknown", "--input", "1", "--output", "1"], &place);
    assert_eq!((code, err.as_str()), (Some(2), "tollgate: it names something that does not exist\n"));
    let (code, _, err) = tollgate(&["orgs", "delete", "org_b"], &place);
    assert_eq!((code, err.as_str()), (Some(2), "tollgate: there is no such organization\n"));
}
