//! What a pool says and holds, without a store.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, advance};

use super::message::{Ask, Told, Verdict};
use super::pool::{Look, Next, Pool, Waiter};
use crate::types::Limits;

const ALL: Limits =
    Limits { requests_per_minute: Some(640), tokens_per_minute: Some(64_000), concurrent_requests: Some(128) };

/// What a store with room for everything answers.
fn yes(ask: &Ask) -> Told {
    Told {
        requests_level: 600 * 6,
        into_step_ms: 0,
        tokens_level: 60_000 * 60_000,
        requests_more: ask.requests.more,
        tokens_more: ask.tokens.more,
        slots_more: ask.slots.more,
        verdicts: vec![Verdict::Granted; ask.needs.len()],
    }
}

fn waiter(need: u64) -> (Waiter, impl Sized) {
    let (answer, answered) = oneshot::channel();
    (Waiter { need, answer }, answered)
}

/// A pool under these limits, after its first request was granted.
fn used(limits: Limits) -> Pool {
    let pool = Pool::new("k".into());
    let now = Instant::now();
    assert!(pool.take(limits, 100, now).is_none(), "nothing is held yet");
    let (first, _answered) = waiter(100);
    assert_eq!(pool.wait(first), Next::Tell);
    let (ask, waited) = pool.ask(now);
    let (outcomes, next) = pool.told(&yes(&ask), &waited, now);
    assert!(outcomes.into_iter().all(|outcome| outcome.is_ok()));
    assert_eq!(next, Next::Nothing);
    pool
}

#[tokio::test(start_paused = true)]
async fn of_a_large_limit_a_64th_is_held_ahead_and_used_without_asking() {
    let pool = used(ALL);
    let now = Instant::now();
    // Ten requests, a thousand tokens, two places: the third request finds no place.
    assert!(pool.take(ALL, 400, now).is_some());
    assert!(pool.take(ALL, 400, now).is_some());
    assert!(pool.take(ALL, 100, now).is_none());
    pool.leave();
    assert!(pool.take(ALL, 300, now).is_none(), "200 tokens are left");
    assert!(pool.take(ALL, 200, now).is_some());
}

#[tokio::test(start_paused = true)]
async fn of_a_small_limit_nothing_is_held_and_what_comes_back_is_told_at_once() {
    let small = Limits { requests_per_minute: Some(63), tokens_per_minute: Some(63), concurrent_requests: Some(63) };
    let pool = used(small);
    assert!(pool.take(small, 0, Instant::now()).is_none());
    assert_eq!(pool.settle(100, 40), Next::Tell);
    assert_eq!(pool.leave(), Next::Nothing, "it is in the queue already");
    let (ask, _) = pool.ask(Instant::now());
    assert_eq!((ask.requests.more, ask.tokens.more, ask.slots.more), (0, 0, 0));
    assert_eq!((ask.tokens.back, ask.slots.back), (60, 0));
}

#[tokio::test(start_paused = true)]
async fn debt_that_the_store_did_not_hear_of_is_still_owed() {
    let pool = used(ALL);
    assert_eq!(pool.settle(100, 5_000), Next::Tell);
    let (ask, _) = pool.ask(Instant::now());
    assert_eq!(ask.tokens.back, 900 - 4_800);
    pool.unanswered(&ask);
    pool.lost();
    assert_eq!(pool.tell(), Next::Tell);
    let (again, _) = pool.ask(Instant::now());
    assert_eq!(again.tokens.back, 900 - 4_800);
    pool.told(&yes(&again), &[], Instant::now());
    let (settled, _) = pool.ask(Instant::now());
    assert_eq!(settled.tokens.back, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_used_goes_back_and_what_is_in_flight_is_said_anew() {
    let pool = used(ALL);
    assert!(pool.track());
    assert_eq!(pool.look(Instant::now()), Look::Keep(Next::Nothing));
    advance(Duration::from_secs(1)).await;
    assert_eq!(pool.look(Instant::now()), Look::Keep(Next::Tell));
    let (ask, _) = pool.ask(Instant::now());
    assert_eq!((ask.requests.back, ask.tokens.back), (10, 1_000));
    assert_eq!((ask.slots.back, ask.slots.more), (1, 0), "the one in flight");
    pool.told(&yes(&ask), &[], Instant::now());
    assert_eq!(pool.look(Instant::now()), Look::Keep(Next::Nothing));
    advance(Duration::from_secs(3)).await;
    assert_eq!(pool.look(Instant::now()), Look::Keep(Next::Tell), "it is still in flight");
    pool.leave();
    let (ask, _) = pool.ask(Instant::now());
    assert_eq!(ask.slots.back, 0);
    pool.told(&yes(&ask), &[], Instant::now());
    assert_eq!(pool.look(Instant::now()), Look::LetGo);
    assert!(pool.track());
}

#[tokio::test(start_paused = true)]
async fn a_lost_store_lets_go_of_who_waits_and_hears_of_all_in_flight_when_it_is_back() {
    let pool = used(ALL);
    let (one, _answered) = waiter(5);
    pool.wait(one);
    pool.lost();
    pool.enter(ALL, Instant::now());
    assert!(pool.take(ALL, 1, Instant::now()).is_none(), "what was held counts for nothing meanwhile");
    pool.tell();
    let (ask, waited) = pool.ask(Instant::now());
    assert!(waited.is_empty());
    assert_eq!(ask.slots.back, 2, "one from before and one from meanwhile");
}

#[tokio::test(start_paused = true)]
async fn who_has_left_does_not_ask() {
    let pool = used(ALL);
    let ((gone, left), (stays, _answered)) = (waiter(1), waiter(2));
    pool.wait(gone);
    pool.wait(stays);
    drop(left);
    assert_eq!(pool.ask(Instant::now()).0.needs, [2]);
}
