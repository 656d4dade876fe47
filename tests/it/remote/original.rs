//! Beside a server of the original guard API, which lets each call pass or not, by model.

use std::collections::BTreeMap;

use crate::support::{Asked, Mock, Reply, World, until};

/// What the original says to a deployment whose secret is not `hush`.
pub(crate) fn wrong_secret(asked: &Asked) -> Option<Reply> {
    match asked.header("secretkey") {
        "hush" => None,
        "" => Some(Reply::text(401, "Secret Key is missing")),
        _ => Some(Reply::text(401, "Invalid Secret Key")),
    }
}

/// Answers as the original does (COMPAT §1.1), in its order.
fn original(asked: &Asked) -> Reply {
    if asked.path() != "/api/guard/auth" {
        return Reply::text(404, "Not Found");
    }
    if let Some(refused) = wrong_secret(asked) {
        return refused;
    }
    let Ok(body) = serde_json::from_str::<serde_json::Value>(&asked.body) else {
        return Reply::text(500, "Internal Server Error");
    };
    if !["sk-one", "sk-two"].contains(&asked.header("authorization")) {
        return Reply::text(401, "Invalid API Key");
    }
    let Some(model) = body["model"].as_str() else { return Reply::text(400, "model is missing") };
    match (asked.header("swarms-organization"), model) {
        ("org_other", _) => Reply::text(401, "User is not part of the organization"),
        (_, "spent") => Reply::text(403, "You have exceeded your billing limit"),
        (_, "busy") => Reply::text(429, "Too Many Requests. Please try again later."),
        (_, "cheap" | "dear") => Reply::text(200, "Success"),
        _ => Reply::text(404, "Model not found"),
    }
}

async fn call(world: &World, key: &str, (model, organization): (&str, &str)) -> u16 {
    let request = http::Request::post("/v1/chat/completions")
        .header("authorization", format!("Bearer {key}"))
        .header("swarms-organization", organization)
        .header("content-type", "application/json");
    let body = format!(r#"{{"model":"{model}"}}"#);
    let request = request.body(http_body_util::Full::new(body.into())).unwrap();
    world.client().await.send(request).await.status.as_u16()
}

async fn beside(authority: &Mock, upstream: &Mock, secret: &str) -> World {
    let remote = format!("url: \"{}\"{secret}, ttl: 1h", authority.url());
    World::before(upstream).with(&format!("guard: {{ mode: remote, remote: {{ {remote} }} }}\n")).start().await
}

#[tokio::test]
async fn an_original_server_decides_about_each_model_and_what_it_said_of_one_says_nothing_of_another() {
    let authority = Mock::start(original).await;
    let upstream = Mock::always(Reply::json(200, "{}")).await;
    let world = beside(&authority, &upstream, ", secret: { value: hush }").await;
    let cases = [
        ("sk-one", ("cheap", ""), 200),
        ("sk-one", ("dear", ""), 200),
        ("sk-one", ("secret-model", ""), 403),
        ("sk-one", ("cheap", "org_other"), 403),
        ("sk-one", ("spent", ""), 429),
        ("sk-one", ("busy", ""), 429),
        ("sk-wrong", ("cheap", ""), 401),
        ("sk-two", ("cheap", "org_a"), 200),
    ];
    for _ in 0..3 {
        for (key, wants, want) in cases {
            assert_eq!(call(&world, key, wants).await, want, "{key} {wants:?}");
        }
    }
    // Each decision was asked for once, with the key as it is; `busy` says nothing that may be kept.
    let mut asked: BTreeMap<String, u32> = BTreeMap::new();
    for one in authority.asked().iter().filter(|one| one.path() == "/api/guard/auth") {
        let header = |name: &str| one.headers.get(name).cloned().unwrap_or_default();
        let what = format!("{} {} {}", header("authorization"), header("swarms-organization"), one.body);
        *asked.entry(what).or_default() += 1;
    }
    assert_eq!(asked.remove(r#"sk-one  {"model":"busy"}"#), Some(3), "{asked:?}");
    assert!(asked.values().all(|times| *times == 1), "{asked:?}");
    assert!(asked.contains_key(r#"sk-one  {"model":"dear"}"#), "{asked:?}");
    let events = world.finish().await;
    let known = events.iter().find(|event| event["data"]["org_id"] == "org_a").unwrap();
    assert!(known["data"]["key_id"].as_str().unwrap().starts_with("key-"), "a key is known by its digest");
}

#[tokio::test]
async fn a_wrong_secret_of_the_deployment_is_no_fault_of_the_caller() {
    let authority = Mock::start(original).await;
    let upstream = Mock::always(Reply::json(200, "{}")).await;
    let world = beside(&authority, &upstream, ", secret: { value: wrong }").await;
    assert_eq!(call(&world, "sk-one", ("cheap", "")).await, 503);
    // Without one the client's own is passed on, and answers for itself.
    let world = beside(&authority, &upstream, "").await;
    let send = async |secret: &str| {
        let request = http::Request::post("/v1/chat/completions").header("authorization", "sk-one");
        let request = request.header("secretkey", secret).header("content-type", "application/json");
        let request = request.body(http_body_util::Full::new(r#"{"model":"cheap"}"#.into())).unwrap();
        world.client().await.send(request).await.status.as_u16()
    };
    assert_eq!((send("hush").await, send("guessed").await, send("hush").await), (200, 401, 200));
    until("the upstream saw two calls", async || upstream.asked().len() == 2).await;
    assert!(upstream.asked().iter().all(|asked| !asked.headers.contains_key("secretkey")));
}
