//! Slices on loan, and what is known of them when their holder is gone.

use tollgate::control::store::ledger::{Batch, Charge, Totals};
use tollgate::control::store::{By, Loan, NewKey, Payer, Store};
use tollgate::types::{Budget, Digest, KeyId, NanoUsd, Period, Timestamp, Used};

use super::{On, Place, on_both};

on_both! {
    what_a_killed_holder_spent_is_known_by_its_events_though_those_of_others_are_late
    what_calls_in_flight_hold_is_lent_to_no_one_else
    a_key_without_a_budget_is_lent_its_balance
}

const CENT: i64 = 10_000_000;

fn at(seconds: u64) -> Timestamp {
    let start = Timestamp::parse("2026-11-21T10:00:00Z").unwrap();
    Timestamp::from_millis(start.as_millis() + seconds * 1000)
}

struct Scene {
    store: Store,
    key: KeyId,
    budget: Budget,
    _place: Place,
}

impl Scene {
    async fn new(on: On, cents: i64) -> Self {
        let place = Place::new(on).await;
        let (store, key) = (place.open().await, KeyId::new("ci"));
        let budget = Budget { period: Period::Total, amount: NanoUsd(cents * CENT) };
        let mut new = NewKey::new(key.clone());
        new.record.budget = Some(budget).filter(|_| cents > 0);
        new.record.key = Digest::of(b"sk-ci");
        store.import_key(&By::new("test"), &new).await.unwrap();
        Self { store, key, budget, _place: place }
    }

    /// What this holder is lent at this second, for a minute, having used and holding so many cents.
    async fn lend(&self, holder: &str, (now, used, held): (u64, i64, i64)) -> (i64, i64) {
        let since = self.budget.period.start(at(now));
        let used = Some(Used { nano_usd: NanoUsd(used * CENT), since, held: NanoUsd(held * CENT) });
        let loan = Loan { key: &self.key, holder, used, now: at(now), until: at(now + 60) };
        let slice = self.store.lend(&loan, &self.budget).await.unwrap();
        (slice.nano_usd.0 / CENT, slice.used.0 / CENT)
    }

    /// An event of this spool comes.
    async fn event(&self, id: &str, cents: i64) {
        let totals = Totals { requests: 1, cost: NanoUsd(cents * CENT), ..Totals::default() };
        let (key, organization, model) = ("ci".to_owned(), String::new(), "m".to_owned());
        let charge = Charge { id: id.to_owned(), at: at(1), key, organization, model, totals };
        let batch = Batch { source: "kafka/t".to_owned(), charges: vec![charge], ..Batch::default() };
        self.store.apply(&batch).await.unwrap();
    }
}

async fn what_a_killed_holder_spent_is_known_by_its_events_though_those_of_others_are_late(on: On) {
    let scene = Scene::new(on, 1000).await;
    assert_eq!(scene.lend("aaaa-1", (0, 0, 0)).await, (100, 0));
    assert_eq!(scene.lend("bbbb-1", (0, 0, 0)).await, (90, 0));
    // The first spends ninety and is killed before it says so. The second has used half of the budget, and said so.
    scene.event("aaaa-1-7", 90).await;
    assert_eq!(scene.lend("bbbb-1", (59, 500, 0)).await, (31, 500), "the slice of the first is still on loan");
    assert_eq!(scene.lend("bbbb-1", (61, 500, 0)).await, (41, 500), "it ends, and what was spent of it stays spent");
    // Its own events come, and change nothing.
    for number in 0..5 {
        scene.event(&format!("bbbb-1-{number}"), 100).await;
    }
    assert_eq!(scene.lend("bbbb-1", (62, 500, 0)).await, (41, 500));
    // An event of a call that no slice was needed for is a charge like any other.
    scene.event("cccc-1-1", 10).await;
    assert_eq!(scene.lend("bbbb-1", (63, 500, 0)).await, (40, 500));
}

async fn what_calls_in_flight_hold_is_lent_to_no_one_else(on: On) {
    let scene = Scene::new(on, 100).await;
    assert_eq!(scene.lend("aaaa-1", (0, 0, 0)).await, (10, 0));
    assert_eq!(scene.lend("aaaa-1", (1, 0, 10)).await, (19, 0), "what is held, and a tenth of the rest");
    assert_eq!(scene.lend("bbbb-1", (2, 0, 0)).await, (8, 0), "a tenth of what is left");
    // More is held than there is: those calls go on, and nobody is lent anything.
    assert_eq!(scene.lend("aaaa-1", (3, 0, 200)).await, (91, 0));
    assert_eq!(scene.lend("bbbb-1", (4, 0, 0)).await, (0, 0));
}

async fn a_key_without_a_budget_is_lent_its_balance(on: On) {
    let scene = Scene::new(on, 0).await;
    let found = async || scene.store.find(&Digest::of(b"sk-ci")).await.unwrap().unwrap().record.budget;
    assert_eq!(found().await, None, "what was never paid for is not limited");
    scene.event("aaaa-1-1", 3).await;
    let payer = Payer::Key(scene.key.clone());
    scene.store.pay(&By::new("test"), &payer, (NanoUsd(20 * CENT), "")).await.unwrap();
    assert_eq!(found().await, Some(scene.budget), "a budget of nothing: its balance is what it lives on");
    assert_eq!(scene.store.records().await.unwrap()[0].budget, None, "which is no part of its record");
    assert_eq!(scene.lend("aaaa-1", (0, 0, 0)).await, (2, 0), "a tenth");
    scene.event("aaaa-1-2", 2).await;
    assert_eq!(scene.lend("aaaa-1", (1, 2, 0)).await, (1, 2), "of eighteen");
    assert_eq!(scene.lend("bbbb-1", (1, 20, 0)).await, (0, 20), "the balance is spent");
    assert_eq!(scene.store.balance(&payer).await.unwrap(), NanoUsd(18 * CENT));
}
