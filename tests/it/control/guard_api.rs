//! The guard API against COMPAT §1: each row with its exact status and text, and what is ours beside it.

use serde_json::{Value, json};
use tollgate::control::store::{
    By, Enabled, Holder, Member, MemberRole, Model, NewKey, Organization, Payer, Plan, User,
};
use tollgate::types::{Budget, Digest, Grant, KeyId, Limits, NanoUsd, OrgId, Pattern, Period, Timestamp};

use super::{Answer, Api, On, SECRET, on_both};

on_both! {
    auth_refuses_in_the_order_and_the_words_of_the_original
    the_examples_of_the_seed_work_as_printed
    log_usage_refuses_in_the_order_and_the_words_of_the_original
    log_usage_leaves_one_event_and_takes_nothing_from_the_limit
    limits_are_the_organizations_and_the_callers_own_and_nobody_elses
    money_that_is_spent_is_refused_and_what_was_used_is_still_recorded
    users_models_and_a_failing_database_have_their_own_words
    answers_are_json_for_who_asks_for_it
    a_key_with_a_secret_of_its_own_is_good_with_that_secret_only
    a_grant_tells_a_sidecar_all_that_it_needs
    keys_of_the_file_and_of_the_store_are_answered_alike
    wrong_secrets_are_soon_refused_unheard_and_keys_are_not_harmed_by_a_flood
}

const AUTH: &str = "/api/guard/auth";
const LOG: &str = "/api/guard/log-usage";
const KEY: &str = "sk-xxx";
const MODEL: &str = r#"{"model":"cogvlm-chat-17b","messages":[{"role":"user","content":"hi"}]}"#;

/// What the original says of a body with these four faults.
const ISSUES: &str = r#"[
  {
    "code": "invalid_type",
    "expected": "number",
    "received": "null",
    "path": [
      "temperature"
    ],
    "message": "Expected number, received null"
  },
  {
    "code": "invalid_type",
    "expected": "boolean",
    "received": "string",
    "path": [
      "stream"
    ],
    "message": "Expected boolean, received string"
  },
  {
    "code": "invalid_type",
    "expected": "number",
    "received": "string",
    "path": [
      "input_tokens"
    ],
    "message": "Expected number, received string"
  },
  {
    "code": "invalid_type",
    "expected": "number",
    "received": "undefined",
    "path": [
      "max_tokens"
    ],
    "message": "Required"
  }
]"#;

/// Headers, body, and the status and text that answer them.
type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, u16, &'a str);

fn by() -> By {
    By::new("test")
}

/// A key that clients know as `sk-` and its id.
fn key(id: &str) -> NewKey {
    let mut new = NewKey::new(KeyId::new(id));
    new.record.key = Digest::of(format!("sk-{id}").as_bytes());
    new
}

fn per_minute(requests: u32) -> Limits {
    Limits { requests_per_minute: Some(requests), ..Limits::default() }
}

fn organization(id: &str, limits: Limits) -> Organization {
    Organization { id: OrgId::new(id), name: id.to_owned(), limits }
}

fn usage() -> Value {
    json!({
        "model": "cogvlm-chat-17b", "temperature": 0.7, "input_cost": 0.5, "top_p": 0.9, "output_cost": 0.3,
        "total_cost": 0.8, "input_tokens": 100, "output_tokens": 80, "max_tokens": 200,
        "messages": [{"role": "system", "content": "You are a poetic assistant."}],
    })
}

fn text(status: u16, text: &str) -> Answer {
    (status, "text/plain;charset=UTF-8".to_owned(), text.to_owned())
}

async fn auth(api: &Api, headers: &[(&str, &str)]) -> Answer {
    api.post(AUTH, &[&[("secretkey", SECRET)], headers].concat(), MODEL).await
}

async fn log(api: &Api, body: &Value) -> Answer {
    api.post(LOG, &[("secretkey", SECRET), ("authorization", KEY)], &body.to_string()).await
}

async fn auth_refuses_in_the_order_and_the_words_of_the_original(on: On) {
    let api = Api::new(on).await;
    api.store.import_key(&by(), &key("xxx")).await.unwrap();
    api.store.import_key(&by(), &key("gone")).await.unwrap();
    api.store.delete_key(&by(), &KeyId::new("gone")).await.unwrap();
    api.store.save_organization(&by(), &organization("org_other", Limits::default())).await.unwrap();
    let (secret, bad) = (("secretkey", SECRET), ("authorization", "sk-bad"));
    let organization = |id| ("swarms-organization", id);
    let good = ("authorization", KEY);
    let rows: [Row<'_>; 14] = [
        // Each also has every later fault, so the order shows.
        (&[bad, organization("org_none")], "{", 401, "Secret Key is missing"),
        (&[("secretkey", ""), bad], "{", 401, "Secret Key is missing"),
        (&[("secretkey", "wrong"), bad, organization("org_none")], "{", 401, "Invalid Secret Key"),
        (&[secret, organization("org_none")], "{", 500, "Internal Server Error"),
        (&[secret], "null", 500, "Internal Server Error"),
        (&[secret, organization("org_none")], "{}", 401, "API Key is missing"),
        (&[secret, ("authorization", "Bearer ")], "{}", 401, "API Key is missing"),
        (&[secret, bad, organization("org_none")], "{}", 401, "Invalid API Key"),
        (&[secret, ("authorization", "sk-gone")], "{}", 401, "Invalid API Key"),
        (&[secret, good, organization("org_none")], "{}", 400, "model is missing"),
        (&[secret, good, organization("org_none")], r#"{"model":""}"#, 400, "model is missing"),
        (&[secret, good, organization("org_none")], MODEL, 404, "Organization not found"),
        (&[secret, good, organization("org_other")], MODEL, 401, "User is not part of the organization"),
        (&[secret, good], MODEL, 200, "Success"),
    ];
    for (headers, body, status, told) in rows {
        assert_eq!(api.post(AUTH, headers, body).await, text(status, told), "{headers:?} {body}");
    }
    let got = api.send("GET", AUTH, (&[], "")).await;
    assert_eq!(got.status, 405);
    assert_eq!(api.post("/api/guard/other", &[], "").await.0, 404);
}

async fn the_examples_of_the_seed_work_as_printed(on: On) {
    let api = Api::new(on).await;
    let mut new = key("xxx");
    new.user = Some("ann".to_owned());
    let ann = User { id: "ann".to_owned(), name: "Ann".to_owned(), ..User::default() };
    api.store.save_user(&by(), &ann).await.unwrap();
    api.store.import_key(&by(), &new).await.unwrap();
    api.store.save_organization(&by(), &organization("org_a", Limits::default())).await.unwrap();
    let owner = Member { user: "ann".to_owned(), role: MemberRole::Owner };
    api.store.save_member(&by(), &OrgId::new("org_a"), &owner).await.unwrap();
    let headers = [("SecretKey", SECRET), ("Authorization", KEY), ("Swarms-Organization", "org_a")];
    assert_eq!(api.post(AUTH, &headers[..2], MODEL).await, text(200, "Success"));
    assert_eq!(api.post(AUTH, &headers, MODEL).await, text(200, "Success"), "a member may name the organization");
    let bearer = [("SecretKey", SECRET), ("Authorization", "Bearer sk-xxx")];
    assert_eq!(api.post(AUTH, &bearer, MODEL).await, text(200, "Success"), "the original client sends it so");
    assert_eq!(api.post(LOG, &headers[..2], &usage().to_string()).await, text(200, "Success"));
    assert_eq!(api.post(LOG, &headers, &usage().to_string()).await, text(200, "Success"));
    let events = api.world.finish().await;
    let payers: Vec<_> = events.iter().map(|event| event["data"]["org_id"].as_str()).collect();
    assert_eq!(payers, [None, Some("org_a")], "a member's own calls are not the organization's");
}

async fn log_usage_refuses_in_the_order_and_the_words_of_the_original(on: On) {
    let api = Api::new(on).await;
    api.store.import_key(&by(), &key("xxx")).await.unwrap();
    let model =
        Model { name: "cogvlm-chat-17b".to_owned(), provider: String::new(), config: "{}".to_owned(), enabled: true };
    api.store.save_model(&by(), &model).await.unwrap();
    assert_eq!(api.post(LOG, &[], "{}").await, text(401, "Secret Key is missing"));
    assert_eq!(api.post(LOG, &[("secretkey", "wrong")], "{}").await, text(401, "Invalid Secret Key"));
    assert_eq!(api.post(LOG, &[("secretkey", SECRET)], "{").await, text(500, "Internal Server Error"));

    let mut body = usage();
    body["temperature"] = Value::Null;
    body["stream"] = json!("yes");
    body["input_tokens"] = json!("100");
    body.as_object_mut().unwrap().remove("max_tokens");
    // No key: the body is looked at first.
    assert_eq!(api.post(LOG, &[("secretkey", SECRET)], &body.to_string()).await, text(400, ISSUES));
    let (status, _, whole) = api.post(LOG, &[("secretkey", SECRET)], "[]").await;
    assert_eq!((status, whole.contains(r#""message": "Expected object, received array""#)), (400, true), "{whole}");

    let with = |name: &str, value: Value| {
        let mut body = usage();
        body[name] = value;
        body
    };
    for (name, value, message) in [
        ("output_tokens", json!(-1), "Number must be greater than or equal to 0"),
        ("total_cost", json!(-0.1), "Number must be greater than or equal to 0"),
        ("input_tokens", json!(1.5), "Expected integer, received float"),
    ] {
        let (status, _, told) = log(&api, &with(name, value)).await;
        assert_eq!((status, told.contains(message)), (400, true), "{told}");
    }
    let secret = [("secretkey", SECRET)];
    let whole = usage().to_string();
    assert_eq!(api.post(LOG, &secret, &whole).await, text(401, "API Key is missing"));
    let bad = [secret[0], ("authorization", "sk-bad")];
    assert_eq!(api.post(LOG, &bad, &whole).await, text(401, "Invalid API Key"));
    assert_eq!(log(&api, &with("model", json!(""))).await, text(400, "model is missing"));
    assert_eq!(log(&api, &with("model", json!("other"))).await, text(404, "Model not found"));
    let elsewhere = [secret[0], ("authorization", KEY), ("swarms-organization", "org_none")];
    assert_eq!(api.post(LOG, &elsewhere, &whole).await, text(404, "Organization not found"));
    assert_eq!(log(&api, &usage()).await, text(200, "Success"));
    assert_eq!(api.world.finish().await.len(), 1, "what was refused left no event");
}

async fn log_usage_leaves_one_event_and_takes_nothing_from_the_limit(on: On) {
    let api = Api::new(on).await;
    let mut new = key("xxx");
    new.record.limits = per_minute(2);
    api.store.import_key(&by(), &new).await.unwrap();
    for _ in 0..5 {
        assert_eq!(log(&api, &usage()).await.0, 200);
    }
    let good = [("authorization", KEY)];
    assert_eq!([auth(&api, &good).await.0, auth(&api, &good).await.0, auth(&api, &good).await.0], [200, 200, 429]);
    assert_eq!(log(&api, &usage()).await.0, 200);
    let events = api.world.finish().await;
    assert_eq!(events.len(), 6);
    let event = &events[0];
    assert_eq!(event["subject"], "xxx");
    let data = &event["data"];
    assert_eq!(data["key_id"], "xxx");
    assert_eq!(data["outcome"], "ok");
    assert_eq!(data["model_requested"], "cogvlm-chat-17b");
    assert_eq!(data["usage"]["input_tokens"], 100);
    assert_eq!(data["usage"]["output_tokens"], 80);
    assert_eq!(data["cost"]["total_nano"], 800_000_000);
    assert_eq!(data["cost"]["input_nano"], 500_000_000);
    assert_eq!(data["request"]["max_tokens"], 200);
    assert_eq!(data["request"]["temperature"], 0.7);
    assert_eq!(data["flags"], json!(["usage_reported"]));
    let line = event.to_string();
    assert!(!line.contains(KEY) && !line.contains(SECRET) && !line.contains("poetic"), "{line}");
}

async fn limits_are_the_organizations_and_the_callers_own_and_nobody_elses(on: On) {
    let api = Api::new(on).await;
    api.store.save_organization(&by(), &organization("org_a", per_minute(4))).await.unwrap();
    for id in ["one", "two", "three"] {
        let mut new = key(id);
        new.record.organizations = vec![OrgId::new("org_a")];
        new.record.limits = if id == "one" { per_minute(2) } else { Limits::default() };
        api.store.import_key(&by(), &new).await.unwrap();
    }
    let in_org = |key| [("authorization", key), ("swarms-organization", "org_a")];
    for _ in 0..2 {
        assert_eq!(auth(&api, &in_org("sk-one")).await, text(200, "Success"));
    }
    let refused = text(429, "Too Many Requests. Please try again later.");
    assert_eq!(auth(&api, &in_org("sk-one")).await, refused, "its own limit");
    for _ in 0..2 {
        assert_eq!(auth(&api, &in_org("sk-two")).await, text(200, "Success"), "one at its limit blocks nobody");
    }
    assert_eq!(auth(&api, &in_org("sk-three")).await, refused, "the organization's limit");
    let headers = [("secretkey", SECRET), ("authorization", "sk-three"), ("swarms-organization", "org_a")];
    let got = api.send("POST", AUTH, (&headers, MODEL)).await;
    assert!((1..=15).contains(&got.header("retry-after").unwrap().parse::<u32>().unwrap()));
}

async fn money_that_is_spent_is_refused_and_what_was_used_is_still_recorded(on: On) {
    let api = Api::new(on).await;
    let ann = User { plan: Plan::Invoice, credit_limit: Some(NanoUsd(5)), id: "ann".to_owned(), ..User::default() };
    api.store.save_user(&by(), &ann).await.unwrap();
    let mut new = key("xxx");
    new.user = Some("ann".to_owned());
    api.store.import_key(&by(), &new).await.unwrap();
    let mut own = key("own");
    own.record.budget = Some(Budget { period: Period::Day, amount: NanoUsd(5) });
    api.store.import_key(&by(), &own).await.unwrap();
    let now = Timestamp::now();
    for id in ["xxx", "own"] {
        let good = ("authorization", format!("sk-{id}"));
        let good = [(good.0, good.1.as_str())];
        assert_eq!(auth(&api, &good).await.0, 200, "{id}");
        api.store.add_spending(&Payer::Key(KeyId::new(id)), now, NanoUsd(5)).await.unwrap();
        assert_eq!(auth(&api, &good).await, text(403, "You have exceeded your billing limit"), "{id}");
    }
    assert_eq!(log(&api, &usage()).await, text(403, "You have exceeded your billing limit"));
    assert_eq!(api.world.finish().await.len(), 1, "a debt is not forgotten because it is one");
}

async fn users_models_and_a_failing_database_have_their_own_words(on: On) {
    let api = Api::new(on).await;
    let ann = User { id: "ann".to_owned(), ..User::default() };
    api.store.save_user(&by(), &ann).await.unwrap();
    let mut owned = key("owned");
    owned.user = Some("ann".to_owned());
    api.store.import_key(&by(), &owned).await.unwrap();
    api.store.import_key(&by(), &key("xxx")).await.unwrap();
    api.store.delete_user(&by(), "ann").await.unwrap();
    assert_eq!(auth(&api, &[("authorization", "sk-owned")]).await, text(404, "User not found"));

    let good = [("authorization", KEY)];
    let mut model = Model { name: "other".to_owned(), provider: String::new(), config: "{}".to_owned(), enabled: true };
    api.store.save_model(&by(), &model).await.unwrap();
    assert_eq!(auth(&api, &good).await, text(404, "Model not found"));
    model.name = "cogvlm-chat-17b".to_owned();
    api.store.save_model(&by(), &model).await.unwrap();
    assert_eq!(auth(&api, &good).await.0, 200);
    model.enabled = false;
    api.store.save_model(&by(), &model).await.unwrap();
    assert_eq!(auth(&api, &good).await, text(404, "Model not found"));
    model.enabled = true;
    api.store.save_model(&by(), &model).await.unwrap();
    api.store.permit(&by(), &Holder::Key(KeyId::new("xxx")), &[Pattern::new("other")]).await.unwrap();
    assert_eq!(auth(&api, &good).await, text(403, "You do not have permission to use this model"));

    let database = sqlx::AnyPool::connect(&api.place.url).await.unwrap();
    sqlx::query("ALTER TABLE balances RENAME TO lost").execute(&database).await.unwrap();
    assert_eq!(auth(&api, &good).await, text(500, "Internal server error"));
    let grant = [("authorization", KEY), ("accept", "application/vnd.tollgate.grant+json")];
    assert_eq!(auth(&api, &grant).await.0, 503, "a sidecar goes on with what it holds");
    sqlx::query("ALTER TABLE lost RENAME TO balances").execute(&database).await.unwrap();
    assert_eq!(auth(&api, &good).await.0, 403);
}

async fn answers_are_json_for_who_asks_for_it(on: On) {
    let api = Api::new(on).await;
    api.store.import_key(&by(), &key("xxx")).await.unwrap();
    let json = |status, body: &str| (status, "application/json".to_owned(), body.to_owned());
    let accept = ("accept", "text/html, application/json;q=0.9");
    let told = auth(&api, &[("authorization", KEY), accept]).await;
    assert_eq!(told, json(200, r#"{"status":200,"message":"Success"}"#));
    let told = auth(&api, &[("authorization", "sk-bad"), accept]).await;
    assert_eq!(told, json(401, r#"{"status":401,"message":"Invalid API Key"}"#));
    let any = auth(&api, &[("authorization", KEY), ("accept", "*/*")]).await;
    assert_eq!(any, text(200, "Success"));
}

async fn a_key_with_a_secret_of_its_own_is_good_with_that_secret_only(on: On) {
    let api = Api::new(on).await;
    let mut new = key("xxx");
    new.record.secret = Some(Digest::of(b"its-own"));
    api.store.import_key(&by(), &new).await.unwrap();
    api.store.import_key(&by(), &key("plain")).await.unwrap();
    api.store.save_deployment(&by(), "eu", &Digest::of(b"eu-secret")).await.unwrap();
    let ask = async |secret, key| api.post(AUTH, &[("secretkey", secret), ("authorization", key)], MODEL).await;
    assert_eq!(ask("its-own", KEY).await, text(200, "Success"));
    assert_eq!(ask(SECRET, KEY).await, text(401, "Invalid Secret Key"));
    assert_eq!(ask("its-own", "sk-plain").await, text(401, "Invalid Secret Key"));
    assert_eq!(ask("eu-secret", "sk-plain").await, text(200, "Success"), "a deployment listed in the store may ask");
    api.store.disable_deployment(&by(), "eu").await.unwrap();
    assert_eq!(ask("eu-secret", "sk-plain").await, text(401, "Invalid Secret Key"));
}

async fn a_grant_tells_a_sidecar_all_that_it_needs(on: On) {
    let api = Api::new(on).await;
    api.store.save_organization(&by(), &organization("org_a", per_minute(7))).await.unwrap();
    let mut new = key("xxx");
    new.record.organizations = vec![OrgId::new("org_a")];
    new.record.limits = per_minute(1);
    new.record.secret = Some(Digest::of(b"its-own"));
    new.record.budget = Some(Budget { period: Period::Month, amount: NanoUsd(2_000_000_000) });
    api.store.import_key(&by(), &new).await.unwrap();
    let accept = ("accept", "application/vnd.tollgate.grant+json");
    let ask = async |instance| {
        let headers = [("secretkey", SECRET), ("authorization", KEY), accept, ("x-tollgate-instance", instance)];
        let (status, kind, body) = api.post(AUTH, &headers, "").await;
        assert_eq!((status, kind.as_str()), (200, "application/vnd.tollgate.grant+json"), "{body}");
        serde_json::from_str::<Grant>(&body).unwrap()
    };
    // Asking is no call: it may be done more often than the limit says.
    let (one, two, again) = (ask("one").await, ask("two").await, ask("one").await);
    assert_eq!(one.record, new.record);
    assert_eq!(one.organization, Some(OrgId::new("org_a")));
    assert_eq!(one.organization_limits, per_minute(7));
    assert_eq!((one.ttl_ms, one.revision), (60_000, api.store.revision().await.unwrap()));
    let slices = [&one, &two, &again].map(|grant| grant.budget.unwrap().nano_usd.0);
    assert_eq!(slices, [200_000_000, 180_000_000, 182_000_000], "a tenth of what others do not hold");
    assert!(one.budget.unwrap().expires > Timestamp::now());
    let unknown = api.post(AUTH, &[("secretkey", SECRET), ("authorization", "sk-bad"), accept], "").await;
    assert_eq!((unknown.0, unknown.2.as_str()), (401, r#"{"status":401,"message":"Invalid API Key"}"#));
    api.store.enable_key(&by(), &KeyId::new("xxx"), Enabled::No).await.unwrap();
    let disabled = api.post(AUTH, &[("secretkey", SECRET), ("authorization", KEY), accept], "").await;
    assert_eq!(disabled.0, 401);
}

async fn keys_of_the_file_and_of_the_store_are_answered_alike(on: On) {
    let keys = "- id: filed\n  key: sk-filed\n  organizations: [org_f]\n  budget: { period: day, usd: 1 }\n";
    let api = Api::with(on, "", Some(keys)).await;
    api.store.import_key(&by(), &key("xxx")).await.unwrap();
    for key in ["sk-filed", "sk-xxx"] {
        assert_eq!(auth(&api, &[("authorization", key)]).await, text(200, "Success"), "{key}");
        let got = api.world.chat(Some(key), r#"{"model":"demo"}"#).await;
        assert_eq!(got.status, 200, "{key}: the proxy knows it too");
    }
    let filed = [("authorization", "sk-filed"), ("swarms-organization", "org_f")];
    assert_eq!(auth(&api, &filed).await.0, 200, "an organization that a record names is one");
    api.store.add_spending(&Payer::Key(KeyId::new("filed")), Timestamp::now(), NanoUsd(1_000_000_000)).await.unwrap();
    assert_eq!(auth(&api, &filed).await, text(403, "You have exceeded your billing limit"));
    assert_eq!(api.world.chat(Some("sk-none"), r#"{"model":"demo"}"#).await.status, 401);
}

async fn wrong_secrets_are_soon_refused_unheard_and_keys_are_not_harmed_by_a_flood(on: On) {
    let api = Api::new(on).await;
    api.store.import_key(&by(), &key("xxx")).await.unwrap();
    for at in 0..200 {
        let bad = format!("sk-bad-{at}");
        assert_eq!(auth(&api, &[("authorization", &bad)]).await, text(401, "Invalid API Key"));
    }
    assert_eq!(auth(&api, &[("authorization", KEY)]).await.0, 200);
    let mut heard = 0;
    while api.post(AUTH, &[("secretkey", "guess")], MODEL).await.0 == 401 {
        heard += 1;
        assert!(heard < 40);
    }
    assert!(heard >= 30);
    let right = api.post(AUTH, &[("secretkey", SECRET), ("authorization", KEY)], MODEL).await;
    assert_eq!(right, text(429, "Too Many Requests. Please try again later."), "not even the right one is compared");
}
