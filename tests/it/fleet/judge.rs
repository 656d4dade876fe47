//! Whether clients, events, ledger and money agree.

use std::collections::BTreeMap;

use serde_json::Value;
use tollgate::control::store::{Grouping, Loan, Payer, Store, UsageAsked};
use tollgate::types::{Budget, KeyId, NanoUsd, OrgId, Period, Timestamp};

use super::driver::{Call, Log, Outcome, dearest};
use super::plan::{KEYS, PAYMENTS, id};

/// The topic's events by id.
pub(super) type Events = BTreeMap<String, Value>;
/// Requests, input and output tokens, nano-USD.
type Sums = (i64, i64, i64, i64);

/// Each call has the event that its client expects, and no other.
pub(super) fn calls(log: &Log, events: &Events) {
    let mut sessions: BTreeMap<&str, &Value> = BTreeMap::new();
    for (id, event) in events {
        let data = &event["data"];
        let session = data["session_id"].as_str().expect("every call has its session");
        assert!(log.contains_key(session), "{id} is of a call that nobody made");
        assert!(sessions.insert(session, data).is_none(), "{id} is a second event of session {session}");
    }
    for (session, call) in log {
        let event = sessions.get(session.as_str()).copied();
        let lost = || panic!("lost: session {session}, {call:?}");
        match call.outcome {
            Outcome::Answered(nano) => {
                let data = event.unwrap_or_else(lost);
                assert_eq!(data["outcome"], "ok", "session {session}: {data}");
                assert_eq!(data["key_id"], id(call.key), "session {session}");
                assert_eq!(data["cost"]["total_nano"].as_i64(), Some(nano), "session {session}: {data}");
            }
            Outcome::Spent | Outcome::Held => {
                let data = event.unwrap_or_else(lost);
                assert_eq!((&data["outcome"], &data["status"]), (&"rejected".into(), &429.into()), "{data}");
            }
            Outcome::Unknown => assert_eq!(event, None, "who called is not known"),
            Outcome::Unreachable | Outcome::Lost => {}
        }
    }
}

/// The ledger says of every key, organization and model what the events say.
pub(super) async fn ledger(store: &Store, events: &Events) {
    let mut sums: BTreeMap<Vec<String>, Sums> = BTreeMap::new();
    for event in events.values() {
        let data = &event["data"];
        let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
        let failed = matches!(data["outcome"].as_str(), Some("rejected" | "upstream_error"));
        let model = if failed { text("model_served") } else { text("model_requested") };
        let sum = sums.entry(vec![text("key_id"), text("org_id"), model]).or_default();
        let count = |value: &Value| value.as_i64().unwrap_or(0);
        sum.0 += i64::from(data["outcome"] != "rejected");
        sum.1 += count(&data["usage"]["input_tokens"]);
        sum.2 += count(&data["usage"]["output_tokens"]);
        sum.3 += cost(event);
    }
    let by = vec![Grouping::Key, Grouping::Organization, Grouping::Model];
    let rows = store.usage(&UsageAsked { by, ..UsageAsked::default() }).await.unwrap();
    let kept: BTreeMap<Vec<String>, Sums> = rows
        .into_iter()
        .map(|row| {
            let totals = row.totals;
            (row.names, (totals.requests, totals.input_tokens, totals.output_tokens, totals.cost.0))
        })
        .collect();
    assert_eq!(kept, sums, "the ledger and the events disagree");
    for organization in 0..2 {
        let name = format!("org-{organization}");
        let nano = sums.iter().filter(|(names, _)| names[1] == name).map(|(_, sum)| sum.3).sum();
        let payer = Payer::Organization(OrgId::new(name));
        assert_eq!(store.spent(&payer, (Period::Total, Timestamp::now())).await.unwrap(), NanoUsd(nano), "{payer:?}");
    }
}

/// What each key is charged with is what its events cost, and none has spent more than it may by more than is stated:
/// the dearest call for each life of a sidecar, and what those that were killed had on loan. That is what they had when
/// the load ended: their slices end by time, also while all this is read.
pub(super) async fn money(
    store: &Store,
    (log, events, ended): (&Log, &Events, Timestamp),
    (calls, lives): (usize, usize),
) {
    for (key, means) in KEYS.into_iter().enumerate() {
        let (id, payer) = (id(key), Payer::Key(KeyId::new(id(key))));
        let spent: i64 = events.values().filter(|event| event["data"]["key_id"] == id.as_str()).map(cost).sum();
        let now = Timestamp::now();
        assert_eq!(store.spent(&payer, (Period::Total, now)).await.unwrap().0, spent, "{id}");
        let (before, each) = means.payments(calls);
        let paid = before + PAYMENTS * each;
        let beyond = match means.budget(calls) {
            Some(budget) => (spent - budget).max(0),
            None if paid > 0 => spent,
            None => 0,
        };
        assert_eq!(store.balance(&payer).await.unwrap().0, paid - beyond, "{id}: every payment and charge counts once");
        let Some(allowed) = means.allowance(calls) else { continue };
        let loans = store.loans(&KeyId::new(id.as_str())).await.unwrap();
        let on_loan: i64 = loans.iter().filter(|(_, _, until)| *until > ended).map(|(_, nano, _)| nano.0).sum();
        let refused = log.values().filter(|call| call.key == key && call.outcome == Outcome::Spent).count();
        let most = lives as i64 * dearest();
        println!(
            "{id} {means:?}: spent {spent} of {allowed} ({:+}), {on_loan} still on loan to the killed, refused {refused}",
            spent - allowed
        );
        assert!(refused > 0, "{id} was never refused");
        assert!(spent <= allowed + most, "{id}: spent {spent} of {allowed}, at most {most} more");
        assert!(spent >= allowed - on_loan, "{id}: spent {spent} of {allowed}, {on_loan} on loan to the killed");
        let amount = NanoUsd(means.budget(calls).unwrap_or(0));
        left(store, (&id, Budget { period: means.period(), amount }), allowed - spent).await;
    }
}

/// Nothing is on loan for ever: when the slices of the killed have ended, what is left can be lent, to the nano-dollar.
async fn left(store: &Store, (id, budget): (&str, Budget), expected: i64) {
    let key = KeyId::new(id);
    let minutes = |minutes: u64| Timestamp::from_millis(Timestamp::now().as_millis() + minutes * 60_000);
    let mut sum = 0;
    // Each holder is lent a part of what the others have not.
    for holder in 0.. {
        let holder = format!("heir-{holder}");
        let loan = Loan { key: &key, holder: &holder, used: None, now: minutes(2), until: minutes(4) };
        let part = store.lend(&loan, &budget).await.unwrap().nano_usd.0;
        sum += part;
        if part == 0 {
            break;
        }
    }
    assert_eq!(sum, expected.max(0), "{id}: what is left can be lent");
}

fn cost(event: &Value) -> i64 {
    event["data"]["cost"]["total_nano"].as_i64().unwrap_or(0)
}

/// How many calls ended so.
pub(super) fn count(log: &Log, is_such: impl Fn(&Call) -> bool) -> usize {
    log.values().filter(|call| is_such(call)).count()
}
