//! What the store promises, on SQLite and on PostgreSQL.

use tollgate::control::store::{
    Asked, By, Enabled, Group, Holder, Loan, Member, MemberRole, Membership, Model, ModelStanding, NewKey,
    Organization, Page, Payer, Plan, Priced, Store, StoreError, User,
};
use tollgate::types::{
    Budget, Digest, GroupId, KeyId, KeyRecord, Limits, NanoUsd, OrgId, Pattern, Period, Price, Timestamp, Used,
};

use super::{On, Place, on_both};

on_both! {
    a_key_is_found_by_its_digest_and_shown_once
    a_key_has_the_models_of_its_group_too
    organizations_are_the_keys_own_and_those_of_its_user
    a_change_that_fails_leaves_nothing
    every_change_is_in_the_audit_log_and_names_no_key
    changes_at_the_same_time_get_dense_revisions_and_none_is_lost
    a_revocation_names_every_key_whose_record_changed
    a_new_month_has_spent_nothing
    payments_at_the_same_time_all_count
    loans_together_never_exceed_what_is_left
    once_a_model_is_listed_others_are_unknown_and_prices_are_dated
    an_invoiced_user_is_held_to_the_months_limit
    records_survive_a_restart_and_an_import
    lists_come_in_pages_and_no_text_is_read_as_sql
    deployments_may_ask_until_they_are_disabled
}

fn by() -> By {
    By::new("test")
}

fn key(id: &str) -> NewKey {
    NewKey::new(KeyId::new(id))
}

fn organization(id: &str) -> Organization {
    Organization { id: OrgId::new(id), name: id.to_owned(), limits: Limits::default() }
}

fn user(id: &str) -> User {
    User { id: id.to_owned(), name: id.to_owned(), ..User::default() }
}

fn asked(id: &KeyId) -> Asked<'_> {
    let at = Timestamp::parse("2026-11-21T10:00:00Z").unwrap();
    Asked { key: id, budget: None, user: None, organization: None, model: None, at }
}

async fn make(store: &Store, new: &NewKey) -> Digest {
    let made = store.create_key(&by(), new, "tg-").await.unwrap();
    Digest::of(made.key.expose().as_bytes())
}

async fn record(store: &Store, key: &Digest) -> KeyRecord {
    KeyRecord::clone(&store.find(key).await.unwrap().expect("the key is there").record)
}

async fn a_key_is_found_by_its_digest_and_shown_once(on: On) {
    let place = Place::new(on).await;
    let store = place.open().await;
    let mut new = key("ci");
    new.record.limits =
        Limits { requests_per_minute: Some(u32::MAX), tokens_per_minute: Some(7), concurrent_requests: None };
    new.record.budget = Some(Budget { period: Period::Month, amount: NanoUsd(i64::MAX) });
    new.record.expires = Timestamp::parse("2027-01-01T00:00:00Z");
    new.record.secret = Some(Digest::of(b"secret"));
    let made = store.create_key(&by(), &new, "tg-").await.unwrap();
    let digest = Digest::of(made.key.expose().as_bytes());
    let found = store.find(&digest).await.unwrap().unwrap();
    new.record.key = digest;
    assert_eq!(*found.record, new.record);
    assert_eq!(found.revision, store.revision().await.unwrap());
    assert_eq!(store.find(&Digest::of(b"sk-other")).await.unwrap().map(|found| found.user), None);
    let view = store.key(&KeyId::new("ci")).await.unwrap();
    let (letters, text) = (view.letters.clone(), made.key.expose());
    assert_eq!(letters, format!("{}…{}", &text[..7], &text[text.len() - 4..]));
    assert!(!format!("{view:?}").contains(text));
    assert!(!format!("{:?}", store.audit(None, Page::default()).await.unwrap()).contains(text));
    assert!(matches!(store.create_key(&by(), &new, "tg-").await, Err(StoreError::Exists("key"))));

    let reset = store.reset_key(&by(), &KeyId::new("ci"), "tg-").await.unwrap();
    assert!(store.find(&digest).await.unwrap().is_none());
    assert!(store.find(&Digest::of(reset.expose().as_bytes())).await.unwrap().is_some());
    store.enable_key(&by(), &KeyId::new("ci"), Enabled::No).await.unwrap();
    assert!(!record(&store, &Digest::of(reset.expose().as_bytes())).await.enabled);
    store.delete_key(&by(), &KeyId::new("ci")).await.unwrap();
    assert!(store.find(&Digest::of(reset.expose().as_bytes())).await.unwrap().is_none());
    assert!(matches!(store.delete_key(&by(), &KeyId::new("ci")).await, Err(StoreError::NotFound("key"))));
}

async fn a_key_has_the_models_of_its_group_too(on: On) {
    let place = Place::new(on).await;
    let store = place.open().await;
    let group = GroupId::new("research");
    store.save_group(&by(), &Group { id: group.clone(), name: "R".to_owned() }).await.unwrap();
    let mut new = key("ci");
    new.record.group = Some(group.clone());
    let digest = make(&store, &new).await;
    assert!(record(&store, &digest).await.models.is_empty(), "without any permission all are allowed");
    let patterns = |names: &[&str]| names.iter().map(|name| Pattern::new(*name)).collect::<Vec<_>>();
    let (ours, own) = (Holder::Group(group.clone()), Holder::Key(KeyId::new("ci")));
    store.permit(&by(), &ours, &patterns(&["gpt-*", "demo"])).await.unwrap();
    store.permit(&by(), &own, &patterns(&["demo", "claude"])).await.unwrap();
    assert_eq!(record(&store, &digest).await.models, patterns(&["claude", "demo", "gpt-*"]));
    store.forbid(&by(), &ours, &patterns(&["gpt-*", "demo"])).await.unwrap();
    assert_eq!(record(&store, &digest).await.models, patterns(&["claude", "demo"]));
    assert!(matches!(store.delete_group(&by(), &group).await, Err(StoreError::Invalid(_))));
}

async fn organizations_are_the_keys_own_and_those_of_its_user(on: On) {
    let place = Place::new(on).await;
    let store = place.open().await;
    for id in ["org_a", "org_b", "org_c"] {
        store.save_organization(&by(), &organization(id)).await.unwrap();
    }
    for id in ["ann", "bob"] {
        store.save_user(&by(), &user(id)).await.unwrap();
    }
    let member = |user: &str, role| Member { user: user.to_owned(), role };
    store.save_member(&by(), &OrgId::new("org_c"), &member("ann", MemberRole::Owner)).await.unwrap();
    store.save_member(&by(), &OrgId::new("org_a"), &member("ann", MemberRole::Reader)).await.unwrap();
    let second = store.save_member(&by(), &OrgId::new("org_c"), &member("bob", MemberRole::Owner)).await;
    assert!(matches!(second, Err(StoreError::Exists(_))), "an organization has one owner: {second:?}");
    let mut new = key("ci");
    new.user = Some("ann".to_owned());
    new.record.organizations = vec![OrgId::new("org_b"), OrgId::new("org_a")];
    let digest = make(&store, &new).await;
    let found = record(&store, &digest).await;
    assert_eq!(found.organizations, [OrgId::new("org_b"), OrgId::new("org_a")]);
    assert_eq!(found.memberships, [OrgId::new("org_c")]);
    store.remove_member(&by(), &OrgId::new("org_c"), "ann").await.unwrap();
    store.delete_organization(&by(), &OrgId::new("org_b")).await.unwrap();
    let found = record(&store, &digest).await;
    assert_eq!((found.organizations, found.memberships), (vec![OrgId::new("org_a")], vec![]));
    assert_eq!(store.organizations(Page::default()).await.unwrap().total, 2);
    assert_eq!(store.members(&OrgId::new("org_a")).await.unwrap(), [member("ann", MemberRole::Reader)]);
}

async fn a_change_that_fails_leaves_nothing(on: On) {
    let place = Place::new(on).await;
    let store = place.open().await;
    let before = store.revision().await.unwrap();
    let mut nowhere = key("ci");
    nowhere.record.organizations = vec![OrgId::new("org_none")];
    assert!(matches!(store.create_key(&by(), &nowhere, "tg-").await, Err(StoreError::Invalid(_))));
    let mut broke = key("ci");
    broke.record.budget = Some(Budget { period: Period::Day, amount: NanoUsd(0) });
    assert!(matches!(store.create_key(&by(), &broke, "tg-").await, Err(StoreError::Invalid(_))));
    assert_eq!(store.revision().await.unwrap(), before);
    assert_eq!(store.keys(None, Page::default()).await.unwrap().total, 0);
    assert!(store.audit(None, Page::default()).await.unwrap().is_empty());
    make(&store, &key("ci")).await;
}

async fn every_change_is_in_the_audit_log_and_names_no_key(on: On) {
    let place = Place::new(on).await;
    let store = place.open().await;
    make(&store, &key("ci")).await;
    let id = KeyId::new("ci");
    store
        .limit_key(&By::new("cli:ann"), &id, Limits { requests_per_minute: Some(9), ..Limits::default() })
        .await
        .unwrap();
    store.enable_key(&by(), &id, Enabled::No).await.unwrap();
    store.pay(&by(), &Payer::Key(id), (NanoUsd(5), "gift")).await.unwrap();
    let log = store.audit(Some("ci"), Page::default()).await.unwrap();
    let actions: Vec<_> = log.iter().rev().map(|row| (row.revision, row.action.as_str())).collect();
    assert_eq!(actions, [(1, "key.create"), (2, "key.limit"), (3, "key.disable"), (4, "balance.pay")]);
    assert_eq!(log[2].actor, "cli:ann");
    assert_eq!(log[2].detail, r#"{"limits":{"requests_per_minute":9}}"#);
    assert!(log[0].at >= log[3].at);
}

async fn changes_at_the_same_time_get_dense_revisions_and_none_is_lost(on: On) {
    let place = Place::new(on).await;
    // Two stores, as two control planes have.
    let stores = [place.open().await, place.open().await];
    let mut tasks = tokio::task::JoinSet::new();
    for at in 0..40 {
        let store = stores[at % 2].clone();
        tasks.spawn(async move { make(&store, &key(&format!("key-{at}"))).await });
    }
    assert_eq!(tasks.join_all().await.len(), 40);
    assert_eq!(stores[0].revision().await.unwrap(), 40);
    let log = stores[1].audit(None, Page { limit: 100, offset: 0 }).await.unwrap();
    assert!(log.iter().rev().map(|row| row.revision).eq(1..=40));
}

async fn a_revocation_names_every_key_whose_record_changed(on: On) {
    let place = Place::new(on).await;
    let store = place.open().await;
    let group = GroupId::new("g");
    store.save_group(&by(), &Group { id: group.clone(), name: String::new() }).await.unwrap();
    let mut digests = Vec::new();
    for id in ["a", "b", "c"] {
        let mut new = key(id);
        new.record.group = (id != "c").then(|| group.clone());
        digests.push(make(&store, &new).await);
    }
    let start = store.revision().await.unwrap();
    assert_eq!(store.revoked_after(start).await.unwrap(), Some(vec![]));
    store.permit(&by(), &Holder::Group(group), &[Pattern::new("demo")]).await.unwrap();
    store.reset_key(&by(), &KeyId::new("c"), "tg-").await.unwrap();
    let revoked = store.revoked_after(start).await.unwrap().unwrap();
    let seen: Vec<_> = revoked.iter().map(|one| (one.revision, one.key_id.as_str(), one.key)).collect();
    assert_eq!(seen, [(start + 1, "a", digests[0]), (start + 1, "b", digests[1]), (start + 2, "c", digests[2])]);
    assert_eq!(store.revoked_after(start + 1).await.unwrap().unwrap().len(), 1);

    store.forget_revocations(Timestamp::from_millis(Timestamp::now().as_millis() + 1000)).await.unwrap();
    assert_eq!(store.revoked_after(start).await.unwrap(), None, "what was forgotten is said to be");
    assert_eq!(store.revoked_after(start + 2).await.unwrap(), Some(vec![]));
}

async fn a_new_month_has_spent_nothing(on: On) {
    let place = Place::new(on).await;
    let store = place.open().await;
    let budget = Budget { period: Period::Month, amount: NanoUsd(1_000) };
    let mut new = key("ci");
    new.record.budget = Some(budget);
    make(&store, &new).await;
    let (id, payer) = (KeyId::new("ci"), Payer::Key(KeyId::new("ci")));
    let last = Timestamp::parse("2026-11-30T23:59:59.999Z").unwrap();
    store.add_spending(&payer, last, NanoUsd(600)).await.unwrap();
    store.add_spending(&payer, last, NanoUsd(600)).await.unwrap();
    let of = |at| Asked { budget: Some(&budget), at, ..asked(&id) };
    let standing = store.standing(&of(last)).await.unwrap();
    assert_eq!((standing.is_spent, standing.remaining), (true, Some(NanoUsd(-200))), "debt is carried");
    let first = Timestamp::parse("2026-12-01T00:00:00Z").unwrap();
    let standing = store.standing(&of(first)).await.unwrap();
    assert_eq!(
        (standing.is_spent, standing.remaining),
        (false, Some(NanoUsd(800))),
        "the first call passes, and pays what was owed"
    );
    assert_eq!(store.spent(&payer, (Period::Total, first)).await.unwrap(), NanoUsd(1_200));
    store.pay(&by(), &payer, (NanoUsd(201), "")).await.unwrap();
    assert!(!store.standing(&of(last)).await.unwrap().is_spent, "a balance goes on where the budget ends");
}

async fn payments_at_the_same_time_all_count(on: On) {
    let place = Place::new(on).await;
    let stores = [place.open().await, place.open().await];
    make(&stores[0], &key("ci")).await;
    let payer = Payer::Key(KeyId::new("ci"));
    let mut tasks = tokio::task::JoinSet::new();
    for at in 0..30 {
        let (store, payer) = (stores[at % 2].clone(), payer.clone());
        tasks.spawn(async move { store.pay(&by(), &payer, (NanoUsd(7), "")).await.unwrap() });
    }
    let mut balances: Vec<_> = tasks.join_all().await.into_iter().map(|balance| balance.0).collect();
    balances.sort_unstable();
    assert!(balances.into_iter().eq((1..=30).map(|count| count * 7)));
    assert_eq!(stores[0].balance(&payer).await.unwrap(), NanoUsd(210));
    assert_eq!(stores[0].payments(&payer, Page { limit: 100, offset: 0 }).await.unwrap().len(), 30);
}

async fn loans_together_never_exceed_what_is_left(on: On) {
    let place = Place::new(on).await;
    let stores = [place.open().await, place.open().await];
    let budget = Budget { period: Period::Day, amount: NanoUsd(1_000_000_000) };
    let mut new = key("ci");
    new.record.budget = Some(budget);
    make(&stores[0], &new).await;
    let id = KeyId::new("ci");
    let now = Timestamp::parse("2026-11-21T10:00:00Z").unwrap();
    let until = Timestamp::parse("2026-11-21T10:01:00Z").unwrap();
    stores[0].add_spending(&Payer::Key(id.clone()), now, NanoUsd(100_000_000)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for at in 0..60 {
        let (store, id) = (stores[at % 2].clone(), id.clone());
        tasks.spawn(async move {
            let holder = format!("sidecar-{at}");
            store.lend(&Loan { key: &id, holder: &holder, used: None, now, until }, &budget).await.unwrap().nano_usd.0
        });
    }
    let lent: i64 = tasks.join_all().await.into_iter().sum();
    assert_eq!(lent, 900_000_000, "all that is left is lent, and no more");
    let again = Loan { key: &id, holder: "sidecar-0", used: None, now, until };
    let before = stores[0].loans(&id).await.unwrap();
    let renewed = stores[0].lend(&again, &budget).await.unwrap().nano_usd.0;
    let others: i64 = before.iter().filter(|(holder, ..)| holder != "sidecar-0").map(|(_, amount, _)| amount.0).sum();
    assert!(renewed + others <= 900_000_000);
    let used = |nano| Used { nano_usd: NanoUsd(nano), since: Period::Day.start(now), held: NanoUsd(0) };
    stores[0].give_back(&id, ("sidecar-0", used(0))).await.unwrap();
    assert!(stores[0].loans(&id).await.unwrap().iter().all(|(holder, ..)| holder != "sidecar-0"));
    let later =
        Loan { key: &id, holder: "late", used: None, now: until, until: Timestamp::from_millis(until.as_millis() + 1) };
    let lent = stores[0].lend(&later, &budget).await.unwrap();
    assert_eq!(lent.nano_usd, NanoUsd(90_000_000), "loans end by time");
    // What a holder used is gone from what is left before any event of it has come, however often it says so.
    let telling = Loan { used: Some(used(400_000_000)), ..later };
    for _ in 0..3 {
        let told = stores[1].lend(&telling, &budget).await.unwrap();
        assert_eq!((told.nano_usd, told.used), (NanoUsd(50_000_000), NanoUsd(400_000_000)));
    }
    let tomorrow = Timestamp::parse("2026-11-22T00:00:00Z").unwrap();
    let first = Loan { now: tomorrow, until: tomorrow, ..telling };
    let told = stores[1].lend(&first, &budget).await.unwrap();
    assert_eq!((told.nano_usd, told.used), (NanoUsd(100_000_000), NanoUsd(0)), "yesterday's use is no part of today's");
}

async fn once_a_model_is_listed_others_are_unknown_and_prices_are_dated(on: On) {
    let place = Place::new(on).await;
    let store = place.open().await;
    let id = KeyId::new("ci");
    let of = |model| Asked { model: Some(model), ..asked(&id) };
    assert_eq!(store.standing(&of("demo")).await.unwrap().model, ModelStanding::Unlisted);
    let mut model = Model { name: "demo".to_owned(), provider: String::new(), config: "{}".to_owned(), enabled: true };
    store.save_model(&by(), &model).await.unwrap();
    assert_eq!(store.standing(&of("demo")).await.unwrap().model, ModelStanding::Served);
    assert_eq!(store.standing(&of("other")).await.unwrap().model, ModelStanding::Unknown);
    model.enabled = false;
    store.save_model(&by(), &model).await.unwrap();
    assert_eq!(store.standing(&of("demo")).await.unwrap().model, ModelStanding::Unknown);

    let price = |input| Price {
        models: Pattern::new("demo"),
        input: NanoUsd(input),
        output: NanoUsd(2),
        cache_read: Some(NanoUsd(1)),
        cache_write: None,
        cache_write_1h: Some(NanoUsd(3)),
        reasoning: None,
    };
    let at = |text| Timestamp::parse(text).unwrap();
    for (from, input) in [("2026-01-01T00:00:00Z", 10), ("2026-06-01T00:00:00Z", 20)] {
        store.set_price(&by(), "demo", &Priced { from: at(from), price: price(input) }).await.unwrap();
    }
    assert_eq!(store.price("demo", at("2025-12-31T23:59:59Z")).await.unwrap(), None);
    let found = store.price("demo", at("2026-05-31T23:59:59Z")).await.unwrap().unwrap();
    assert_eq!(found, Priced { from: at("2026-01-01T00:00:00Z"), price: price(10) });
    assert_eq!(store.price("demo", at("2026-06-01T00:00:00Z")).await.unwrap().unwrap().price.input, NanoUsd(20));
}

async fn an_invoiced_user_is_held_to_the_months_limit(on: On) {
    let place = Place::new(on).await;
    let store = place.open().await;
    let ann = User { plan: Plan::Invoice, credit_limit: Some(NanoUsd(100)), ..user("ann") };
    store.save_user(&by(), &ann).await.unwrap();
    for id in ["one", "two"] {
        make(&store, &NewKey { user: Some("ann".to_owned()), ..key(id) }).await;
    }
    let id = KeyId::new("one");
    let of = Asked { user: Some("ann"), ..asked(&id) };
    store.add_spending(&Payer::Key(KeyId::new("two")), of.at, NanoUsd(99)).await.unwrap();
    assert_eq!(store.standing(&of).await.unwrap().user, Membership::Present);
    assert!(!store.standing(&of).await.unwrap().is_spent);
    store.add_spending(&Payer::Key(id.clone()), of.at, NanoUsd(1)).await.unwrap();
    assert!(store.standing(&of).await.unwrap().is_spent, "all keys of the user count");
    store.delete_user(&by(), "ann").await.unwrap();
    assert_eq!(store.standing(&of).await.unwrap().user, Membership::Deleted);
}

async fn records_survive_a_restart_and_an_import(on: On) {
    let place = Place::new(on).await;
    let store = place.open().await;
    let mut new = key("ci");
    new.record.key = Digest::of(b"sk-known");
    new.record.models = vec![Pattern::new("demo")];
    store.import_key(&by(), &new).await.unwrap();
    store.close().await;
    let store = place.open().await;
    assert_eq!(store.records().await.unwrap(), [new.record.clone()]);
    assert!(matches!(store.import_key(&by(), &new).await, Err(StoreError::Exists("key"))));
}

async fn lists_come_in_pages_and_no_text_is_read_as_sql(on: On) {
    let place = Place::new(on).await;
    let store = place.open().await;
    let hostile = ["'; DROP TABLE api_keys; --", "100%", "a_b", "\u{1F511}", "$1", "\\"];
    for id in hostile {
        make(&store, &key(id)).await;
    }
    let page = store.keys(None, Page { limit: 2, offset: 3 }).await.unwrap();
    assert_eq!((page.total, page.items.len(), page.items[0].id.as_str()), (6, 2, "\u{1F511}"));
    for (text, found) in [("0%", 1), ("_", 2), ("DROP", 1), ("'", 1), ("b", 2), ("nothing", 0)] {
        let listed = store.keys(Some(text), Page::default()).await.unwrap();
        assert_eq!(listed.items.len(), found, "{text}");
    }
    for id in ["", "a\nb", &"x".repeat(129)] {
        assert!(matches!(store.create_key(&by(), &key(id), "tg-").await, Err(StoreError::Invalid(_))), "{id:?}");
    }
}

async fn deployments_may_ask_until_they_are_disabled(on: On) {
    let place = Place::new(on).await;
    let store = place.open().await;
    let secret = Digest::of(b"secret");
    assert!(!store.is_deployment(&secret).await.unwrap());
    store.save_deployment(&by(), "eu", &secret).await.unwrap();
    assert!(store.is_deployment(&secret).await.unwrap());
    store.disable_deployment(&by(), "eu").await.unwrap();
    assert!(!store.is_deployment(&secret).await.unwrap());
}
