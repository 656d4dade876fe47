use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::time::Instant;

use super::{admit, call, call_as, config, keys, per_key, record, wants};
use crate::config::{GuardMode, LimitSet};
use crate::guard::{Guard, Permit, Refused, Wants};
use crate::reject::{LimitState, Limited, Reject};
use crate::types::Limits;

const NONE: Limits = Limits { requests_per_minute: None, tokens_per_minute: None, concurrent_requests: None };

fn requests(limit: u32) -> Limits {
    Limits { requests_per_minute: Some(limit), ..NONE }
}

fn tokens(limit: u64) -> Limits {
    Limits { tokens_per_minute: Some(limit), ..NONE }
}

fn concurrency(limit: u32) -> Limits {
    Limits { concurrent_requests: Some(limit), ..NONE }
}

fn limited(outcome: Result<Permit, Refused>) -> LimitState {
    let refused = outcome.unwrap_err();
    assert!(refused.caller.is_some(), "a limited caller is known");
    match refused.reject {
        Reject::Limited(state) => state,
        other => panic!("not limited: {other:?}"),
    }
}

/// A thousand calls at once on several threads; the permits of those admitted.
async fn rush(guard: &Arc<Guard>, wants: Wants<'static>) -> Vec<Permit> {
    let gate = Arc::new(Barrier::new(1000));
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let (guard, gate) = (Arc::clone(guard), Arc::clone(&gate));
            tokio::spawn(async move {
                gate.wait().await;
                admit(&guard, "a", wants).await.ok()
            })
        })
        .collect();
    let mut permits = Vec::new();
    for call in calls {
        permits.extend(call.await.unwrap());
    }
    permits
}

fn one_key(limits: Limits) -> Arc<Guard> {
    Arc::new(Guard::new(&keys(vec![record("a", &["acme"])]), &per_key(limits)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_at_once_exactly_the_limit_is_admitted() {
    for scope in 0..3 {
        let limits = [requests(250), NONE, NONE];
        let [key, organization, overall] = [0, 1, 2].map(|at| limits[(at + scope) % 3]);
        let guard = Guard::new(&keys(vec![record("a", &["acme"])]), &LimitSet { key, organization, overall });
        assert_eq!(rush(&Arc::new(guard), wants(1, 1)).await.len(), 250);
    }
    assert_eq!(rush(&one_key(concurrency(7)), wants(1, 1)).await.len(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tokens_overshoot_by_no_more_than_was_understated() {
    let guard = one_key(tokens(1000));
    let began = Instant::now();
    let mut permits = rush(&guard, wants(50, 50)).await;
    // One more request trickles in every six seconds, should the machine be that slow.
    let trickled = began.elapsed().as_secs() as usize / 6 + 1;
    assert!((10..10 + trickled + 1).contains(&permits.len()), "{}", permits.len());
    for permit in &mut permits {
        assert_eq!(permit.reserved_tokens(), Some(100));
        permit.settle(150);
    }
    let state = limited(admit(&guard, "a", wants(50, 50)).await);
    assert_eq!((state.what, state.remaining), (Limited::Tokens, 0));
    // 500 of debt and 100 to reserve at 1000 per minute, less what has been refilled.
    assert!(state.retry_after.unwrap() + began.elapsed() >= Duration::from_secs(36), "{:?}", state.retry_after);
}

#[tokio::test(start_paused = true)]
async fn settling_returns_what_was_not_used_and_carries_debt_over_minutes() {
    let guard = one_key(tokens(600));
    let mut permit = admit(&guard, "a", wants(100, 500)).await.unwrap();
    assert_eq!(limited(admit(&guard, "a", wants(1, 0)).await).retry_after, Some(Duration::from_millis(100)));
    permit.settle(200);
    drop(permit);
    let mut permit = admit(&guard, "a", wants(400, 0)).await.unwrap();
    permit.settle(100);
    permit.settle(2200);
    drop(permit);
    // 200 + 2200 used of 600: 1800 of debt are three minutes.
    assert_eq!(limited(admit(&guard, "a", wants(60, 0)).await).retry_after, Some(Duration::from_secs(186)));
    tokio::time::advance(Duration::from_secs(185)).await;
    limited(admit(&guard, "a", wants(60, 0)).await);
    tokio::time::advance(Duration::from_secs(1)).await;
    // Dropped unsettled: what it reserved stays used.
    drop(admit(&guard, "a", wants(60, 0)).await.unwrap());
    limited(admit(&guard, "a", wants(1, 0)).await);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_bound_its_output_reserves_a_little() {
    let unbounded = Wants { model: None, input_tokens: 10, max_output_tokens: None };
    for (limit, want) in [(400, 110), (100_000, 1034)] {
        let permit = admit(&one_key(tokens(limit)), "a", unbounded).await.unwrap();
        assert_eq!(permit.reserved_tokens(), Some(want));
    }
    assert_eq!(admit(&one_key(NONE), "a", unbounded).await.unwrap().reserved_tokens(), None);
    let state = limited(admit(&one_key(tokens(400)), "a", wants(1, 400)).await);
    assert_eq!((state.limit, state.remaining, state.retry_after), (400, 400, None));
}

#[tokio::test]
async fn a_dropped_permit_frees_its_place() {
    let guard = one_key(concurrency(2));
    let first = admit(&guard, "a", wants(1, 1)).await.unwrap();
    let _second = admit(&guard, "a", wants(1, 1)).await.unwrap();
    let state = limited(admit(&guard, "a", wants(1, 1)).await);
    assert_eq!((state.what, state.limit, state.remaining), (Limited::Concurrency, 2, 0));
    assert!(state.retry_after.is_some());
    drop(first);
    let _third = admit(&guard, "a", wants(1, 1)).await.unwrap();
    limited(admit(&guard, "a", wants(1, 1)).await);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_one_limit_takes_from_no_other() {
    let limits = LimitSet {
        key: Limits { concurrent_requests: Some(5), tokens_per_minute: Some(1000), ..NONE },
        organization: NONE,
        overall: Limits { tokens_per_minute: Some(100), requests_per_minute: Some(1), ..NONE },
    };
    let guard = Guard::new(&keys(vec![record("a", &[])]), &limits);
    for _ in 0..20 {
        let state = limited(admit(&guard, "a", wants(101, 0)).await);
        assert_eq!((state.what, state.limit), (Limited::Tokens, 100));
    }
    let permit = admit(&guard, "a", wants(50, 0)).await.unwrap();
    for _ in 0..20 {
        // Tokens would be there; requests are not, so the tokens go back.
        assert_eq!(limited(admit(&guard, "a", wants(50, 0)).await).what, Limited::Requests);
    }
    assert_eq!(permit.rate().map(|rate| (rate.limit, rate.remaining)), Some((1, 0)));
}

#[tokio::test(start_paused = true)]
async fn each_key_has_its_own_limit_and_its_record_comes_before_the_default() {
    let mut generous = record("b", &["acme"]);
    generous.limits = requests(3);
    let config = keys(vec![record("a", &["acme"]), generous]);
    let guard = Guard::new(&config, &LimitSet { key: requests(1), organization: requests(4), overall: NONE });
    assert!(admit(&guard, "a", wants(1, 1)).await.is_ok());
    assert_eq!(limited(admit(&guard, "a", wants(1, 1)).await).limit, 1);
    let rate = admit(&guard, "b", wants(1, 1)).await.unwrap().rate().unwrap();
    assert_eq!((rate.limit, rate.remaining), (3, 2));
    assert!(admit(&guard, "b", wants(1, 1)).await.is_ok());
    assert!(admit(&guard, "b", wants(1, 1)).await.is_ok());
    assert_eq!(limited(admit(&guard, "b", wants(1, 1)).await).limit, 3);
    tokio::time::advance(Duration::from_secs(20)).await;
    assert!(admit(&guard, "b", wants(1, 1)).await.is_ok(), "the organization has got one back");
    assert_eq!(guard.stats().limit_scopes, 3);
}

#[tokio::test(start_paused = true)]
async fn in_mode_open_all_callers_share_one_limit() {
    let guard = Guard::new(&config(GuardMode::Open), &per_key(requests(2)));
    let mut outcomes = Vec::new();
    for (key, organization) in [("k1", "o1"), ("k2", "o2"), ("k3", "o3")] {
        let caller = call(&guard, &[("x-api-key", key), ("openai-organization", organization)]).await.unwrap();
        outcomes.push(guard.admit(caller, &wants(1, 1)).await.is_ok());
    }
    assert_eq!(outcomes, [true, true, false]);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_what_was_used_of_a_limit() {
    let limits = Limits { requests_per_minute: Some(10), tokens_per_minute: Some(600), concurrent_requests: Some(2) };
    let guard = one_key(limits);
    let mut held = admit(&guard, "a", wants(300, 0)).await.unwrap();
    drop(admit(&guard, "a", wants(300, 0)).await.unwrap());
    guard.reload(&keys(vec![record("a", &["acme"])]), &per_key(limits));
    assert_eq!(limited(admit(&guard, "a", wants(1, 0)).await).what, Limited::Tokens);
    held.settle(900);
    let smaller = Limits { concurrent_requests: Some(1), ..limits };
    guard.reload(&keys(vec![record("a", &["acme"])]), &per_key(smaller));
    assert_eq!(limited(admit(&guard, "a", wants(1, 0)).await).what, Limited::Concurrency);
    drop(held);
    // 600 of debt, taken before the reload and settled after it.
    assert_eq!(limited(admit(&guard, "a", wants(60, 0)).await).retry_after, Some(Duration::from_secs(66)));
    tokio::time::advance(Duration::from_secs(70)).await;
    guard.reload(&keys(vec![record("a", &["acme"])]), &per_key(requests(1)));
    assert!(admit(&guard, "a", wants(9999, 0)).await.is_ok());
    assert_eq!(limited(admit(&guard, "a", wants(1, 0)).await).what, Limited::Requests);
    guard.reload(&keys(vec![record("a", &["acme"])]), &LimitSet::default());
    assert!(call_as(&guard, "a").await.is_ok());
    assert!(admit(&guard, "a", wants(1, 0)).await.unwrap().rate().is_none());
}
