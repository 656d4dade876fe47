use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Uri, header::AUTHORIZATION};

use super::scripted::Scripted;
use super::{admit, call, call_as, config, headers, keys, record, wants};
use crate::config::{GuardMode, LimitSet};
use crate::guard::cache::CAPACITY;
use crate::guard::{Guard, Refused, Wants};
use crate::reject::{Denial, Reject};
use crate::types::{Digest, GroupId, Pattern, Timestamp};

const UNLIMITED: LimitSet = {
    let none = crate::types::Limits { requests_per_minute: None, tokens_per_minute: None, concurrent_requests: None };
    LimitSet { key: none, organization: none, overall: none }
};

fn guard(records: Vec<crate::types::KeyRecord>) -> Guard {
    Guard::new(&keys(records), &UNLIMITED)
}

fn denial(refused: &Refused) -> Denial {
    assert!(refused.caller.is_none(), "a 401 knows no caller");
    match refused.reject {
        Reject::Unauthorized(denial) => denial,
        ref other => panic!("not a 401: {other:?}"),
    }
}

async fn sleep(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test]
async fn every_401_has_the_same_body() {
    let disabled = crate::types::KeyRecord { enabled: false, ..record("off", &[]) };
    let expired = crate::types::KeyRecord { expires: Some(Timestamp::from_millis(1)), ..record("old", &[]) };
    let secret = crate::types::KeyRecord { secret: Some(Digest::of(b"s3cret")), ..record("sec", &[]) };
    let guard = guard(vec![disabled, expired, secret]);
    let cases: [(&[(&'static str, &str)], Denial); 7] = [
        (&[], Denial::NoKey),
        (&[("x-api-key", "sk-nobody")], Denial::UnknownKey),
        (&[("x-api-key", "sk-off")], Denial::Disabled),
        (&[("x-api-key", "sk-old")], Denial::Expired),
        (&[("x-api-key", "sk-sec")], Denial::Secret),
        (&[("x-api-key", "sk-sec"), ("secretkey", "wrong")], Denial::Secret),
        (&[("x-api-key", "sk-sec"), ("secretkey", "")], Denial::Secret),
    ];
    for (pairs, want) in cases {
        // Twice: fetched, then from the cache.
        for _ in 0..2 {
            let refused = call(&guard, pairs).await.unwrap_err();
            assert_eq!(denial(&refused), want);
            let (row, first) = (refused.reject.row(), Reject::Unauthorized(Denial::NoKey).row());
            assert_eq!((row.status, row.code, row.text), (first.status, first.code, first.text));
        }
    }
    assert!(call(&guard, &[("x-api-key", "sk-sec"), ("secretkey", "s3cret")]).await.is_ok());
    let mut twice = headers(&[("x-api-key", "sk-sec"), ("secretkey", "s3cret")]);
    twice.append("secretkey", HeaderValue::from_static("wrong"));
    let refused = guard.identify(&twice, &Uri::from_static("/")).await.unwrap_err();
    assert_eq!(denial(&refused), Denial::Secret);
}

#[tokio::test]
async fn hostile_credentials_get_one_answer() {
    let guard = guard(vec![record("a", &[])]);
    let huge = "x".repeat(1 << 20);
    let hostile =
        ["' OR 1=1 --", "Bearer ';DROP TABLE keys", "Bearer sk-a\tx", "Bearer \u{202e}sk-a", "sk-a%00", &huge];
    for value in hostile {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap())]);
        let refused = guard.identify(&headers, &Uri::from_static("/")).await.unwrap_err();
        assert_eq!(denial(&refused), Denial::UnknownKey);
    }
    let refused = call(&guard, &[("x-api-key", "sk-a"), ("authorization", "Bearer sk-b")]).await.unwrap_err();
    assert_eq!((refused.reject, refused.caller.is_none()), (Reject::TwoCredentials, true));
}

#[tokio::test]
async fn the_caller_names_one_of_its_own_organizations() {
    let mut several = record("two", &["acme", "beta"]);
    several.group = Some(GroupId::new("research"));
    let guard = guard(vec![several, record("none", &[])]);
    let organization = async |pairs: &[(&'static str, &str)]| match call(&guard, pairs).await {
        Ok(caller) => Ok(caller.organization.map(|id| id.to_string())),
        Err(refused) => Err((refused.reject, refused.caller.and_then(|caller| caller.key).map(|id| id.to_string()))),
    };
    let foreign = |key: &str| Err((Reject::OrganizationForbidden, Some(key.to_owned())));
    assert_eq!(organization(&[("api-key", "sk-two")]).await, Ok(Some("acme".to_owned())));
    let named = [("api-key", "sk-two"), ("openai-organization", "beta")];
    assert_eq!(organization(&named).await, Ok(Some("beta".to_owned())));
    let preferred = [("api-key", "sk-two"), ("openai-organization", "beta"), ("swarms-organization", "acme")];
    assert_eq!(organization(&preferred).await, Ok(Some("acme".to_owned())));
    let empty = [("api-key", "sk-two"), ("openai-organization", "beta"), ("swarms-organization", " ")];
    assert_eq!(organization(&empty).await, Ok(Some("beta".to_owned())));
    assert_eq!(organization(&[("api-key", "sk-two"), ("openai-organization", "gamma")]).await, foreign("two"));
    assert_eq!(organization(&[("api-key", "sk-none"), ("openai-organization", "acme")]).await, foreign("none"));
    assert_eq!(organization(&[("api-key", "sk-none")]).await, Ok(None));
    let permit = admit(&guard, "two", wants(1, 1)).await.unwrap();
    assert_eq!(permit.group().map(GroupId::as_str), Some("research"));
    assert!(!permit.passes_credential());
}

#[tokio::test]
async fn a_key_uses_the_models_of_its_patterns_only() {
    let mut narrow = record("a", &["acme"]);
    narrow.models = vec![Pattern::new("gpt-4o*"), Pattern::new("demo")];
    let guard = guard(vec![narrow, record("b", &[])]);
    let model = |model| Wants { model, ..wants(1, 1) };
    for (id, name, allowed) in
        [("a", "gpt-4o-mini", true), ("a", "demo", true), ("a", "o1", false), ("a", "demo2", false), ("b", "o1", true)]
    {
        let outcome = admit(&guard, id, model(Some(name))).await;
        match outcome {
            Ok(_) => assert!(allowed, "{id} {name}"),
            Err(refused) => {
                assert!(!allowed, "{id} {name}");
                assert_eq!(refused.reject, Reject::ModelForbidden);
                assert_eq!(refused.caller.unwrap().organization.unwrap().as_str(), "acme");
            }
        }
    }
    assert!(admit(&guard, "a", model(None)).await.is_ok());
}

#[tokio::test]
async fn mode_open_checks_nothing_and_passes_the_credential() {
    let guard = Guard::new(&config(GuardMode::Open), &UNLIMITED);
    let pairs = [("authorization", "Bearer theirs"), ("x-api-key", "other"), ("openai-organization", "whoever")];
    let caller = call(&guard, &pairs).await.unwrap();
    assert_eq!((caller.key.clone(), caller.organization.clone().unwrap().as_str()), (None, "whoever"));
    assert!(guard.admit(caller, &wants(1, 1)).await.unwrap().passes_credential());
    let refused = call(&guard, &[("openai-organization", &"o".repeat(257))]).await.unwrap_err();
    assert!(matches!(refused.reject, Reject::BadRequest(_)));
}

#[tokio::test]
async fn a_hundred_callers_with_a_new_key_cost_one_fetch() {
    let source = Scripted::new(vec![record("a", &[])], 0);
    let guard = Arc::new(source.guard());
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let guard = Arc::clone(&guard);
            tokio::spawn(async move { call_as(&guard, "a").await.is_ok() })
        })
        .collect();
    while guard.stats().misses < 100 {
        tokio::task::yield_now().await;
    }
    source.tickets.add_permits(100);
    for call in calls {
        assert!(call.await.unwrap());
    }
    assert_eq!((source.fetches(), guard.stats().fetches), (1, 1));
    assert_eq!(guard.rules.load().access.in_flight(), 0);
}

#[tokio::test]
async fn a_fetcher_that_leaves_strands_no_one() {
    let source = Scripted::new(vec![record("a", &[])], 0);
    let guard = Arc::new(source.guard());
    let spawn = || {
        let guard = Arc::clone(&guard);
        tokio::spawn(async move { call_as(&guard, "a").await.is_ok() })
    };
    let leader = spawn();
    while source.fetches() == 0 {
        tokio::task::yield_now().await;
    }
    let waiter = spawn();
    while guard.stats().misses < 2 {
        tokio::task::yield_now().await;
    }
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    source.tickets.add_permits(1);
    assert!(waiter.await.unwrap());
    assert_eq!(source.fetches(), 2);
    let alone = spawn_other(&guard);
    while source.fetches() < 3 {
        tokio::task::yield_now().await;
    }
    alone.abort();
    assert!(alone.await.unwrap_err().is_cancelled());
    assert_eq!(guard.rules.load().access.in_flight(), 0);
}

fn spawn_other(guard: &Arc<Guard>) -> tokio::task::JoinHandle<bool> {
    let guard = Arc::clone(guard);
    tokio::spawn(async move { call_as(&guard, "other").await.is_ok() })
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_asked_for_again_after_a_short_while_and_a_known_one_after_a_minute() {
    let source = Scripted::new(Vec::new(), 100);
    let guard = source.guard();
    assert_eq!(denial(&call_as(&guard, "a").await.unwrap_err()), Denial::UnknownKey);
    source.records.lock().unwrap().push(record("a", &[]));
    sleep(4).await;
    assert!(call_as(&guard, "a").await.is_err());
    assert_eq!((source.fetches(), guard.stats().negative_hits), (1, 1));
    sleep(1).await;
    assert!(call_as(&guard, "a").await.is_ok());
    source.records.lock().unwrap().clear();
    sleep(59).await;
    assert!(call_as(&guard, "a").await.is_ok());
    assert_eq!((source.fetches(), guard.stats().hits), (2, 1));
    sleep(1).await;
    assert_eq!(denial(&call_as(&guard, "a").await.unwrap_err()), Denial::UnknownKey);
}

#[tokio::test]
async fn an_authority_that_is_down_refuses_no_key_for_longer_than_it_is_down() {
    let source = Scripted::new(vec![record("a", &[])], 100);
    let guard = source.guard();
    source.down.store(true, SeqCst);
    let refused = call_as(&guard, "a").await.unwrap_err();
    assert_eq!((refused.reject, refused.caller.is_none()), (Reject::AuthorityUnreachable, true));
    assert_eq!((guard.stats().fetch_errors, guard.stats().cached_unknown), (1, 0));
    source.down.store(false, SeqCst);
    assert!(call_as(&guard, "a").await.is_ok());
    source.down.store(true, SeqCst);
    assert!(call_as(&guard, "a").await.is_ok(), "a cached key needs no authority");
}

#[tokio::test]
async fn a_flood_of_random_keys_is_bounded_and_harms_no_good_key() {
    let source = Scripted::new(vec![record("good", &[])], 200_001);
    let guard = source.guard();
    assert!(call_as(&guard, "good").await.is_ok());
    for number in 0..200_000_u32 {
        assert!(call_as(&guard, &number.to_string()).await.is_err());
    }
    let before = guard.stats();
    assert_eq!((before.cached_keys, before.cached_unknown), (1, CAPACITY as u64));
    assert_eq!(before.evictions, 200_000 - CAPACITY as u64);
    assert!(call_as(&guard, "good").await.is_ok());
    let after = guard.stats();
    assert_eq!((after.hits, after.fetches), (before.hits + 1, before.fetches));
}

#[tokio::test]
async fn a_reload_revokes_a_key_at_once_and_leaves_permits_alone() {
    let guard = guard(vec![record("a", &[]), record("b", &[])]);
    let mut permit = admit(&guard, "a", wants(1, 1)).await.unwrap();
    assert!(call_as(&guard, "b").await.is_ok());
    guard.reload(&keys(vec![record("b", &[]), record("c", &[])]), &UNLIMITED);
    assert_eq!(denial(&call_as(&guard, "a").await.unwrap_err()), Denial::UnknownKey);
    assert!(call_as(&guard, "b").await.is_ok());
    assert!(call_as(&guard, "c").await.is_ok());
    permit.settle(5);
    assert_eq!(permit.key().unwrap().as_str(), "a");
}

#[tokio::test]
async fn a_fetch_begun_before_a_reload_fills_no_cache_after_it() {
    let source = Scripted::new(vec![record("a", &[])], 0);
    let guard = Arc::new(source.guard());
    let early = {
        let guard = Arc::clone(&guard);
        tokio::spawn(async move { call_as(&guard, "a").await.is_ok() })
    };
    while source.fetches() == 0 {
        tokio::task::yield_now().await;
    }
    guard.reload(&keys(Vec::new()), &UNLIMITED);
    source.tickets.add_permits(1);
    early.await.unwrap();
    assert_eq!(denial(&call_as(&guard, "a").await.unwrap_err()), Denial::UnknownKey);
}

#[tokio::test]
async fn no_plain_key_is_in_any_debug_output() {
    let secret = crate::types::KeyRecord { secret: Some(Digest::of(b"s3cret")), ..record("a-plain-key", &[]) };
    let guard = guard(vec![secret]);
    let pairs = [("x-api-key", "sk-a-plain-key"), ("secretkey", "s3cret")];
    let caller = call(&guard, &pairs).await.unwrap();
    let refused = call(&guard, &pairs[..1]).await.unwrap_err();
    let permit = guard.admit(caller.clone(), &wants(1, 1)).await.unwrap();
    let printed = format!("{guard:?} {caller:?} {refused:?} {permit:?}");
    assert!(printed.contains("a-plain-key") && !printed.contains("sk-a-plain-key") && !printed.contains("s3cret"));
}
