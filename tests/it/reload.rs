//! A changed configuration takes effect without a restart; a bad one changes nothing.

use crate::support::{Client, Mock, Reply, World, chat};

const ANSWER: &str =
    r#"{"model":"demo-1","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":10,"total_tokens":20}}"#;

async fn status(world: &World, key: &str) -> u16 {
    world.chat(Some(key), &chat(false)).await.status.as_u16()
}

/// Waits until a call with this key is answered so.
async fn until(world: &World, key: &str, wanted: u16) {
    let answered = async || status(world, key).await == wanted;
    crate::support::until(&format!("{key} is answered {wanted}"), answered).await;
}

#[tokio::test]
async fn a_changed_keys_file_takes_effect_and_open_connections_stay() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = World::before(&upstream).keys("- id: old\n  key: sk-old\n").start().await;
    let mut open = Client::connect(world.address).await;
    assert_eq!(open.post("/v1/chat/completions", Some("sk-old"), chat(false)).await.status, 200);
    std::fs::write(world.dir.path().join("keys.yaml"), "- id: new\n  key: sk-new\n").unwrap();
    until(&world, "sk-new", 200).await;
    assert_eq!(
        open.post("/v1/chat/completions", Some("sk-old"), chat(false)).await.status,
        401,
        "a revoked key is refused on an open connection too"
    );
    world.finish().await;
}

#[tokio::test]
async fn a_bad_file_is_refused_whole_and_the_old_one_stays() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = World::before(&upstream).keys("- id: old\n  key: sk-old\n").start().await;
    let keys = world.dir.path().join("keys.yaml");
    // A new key that is fine, beside one that is not: neither may take effect.
    std::fs::write(&keys, "- id: new\n  key: sk-new\n- id: new\n  key: { sha256: xyz }\n").unwrap();
    let refused = r#"tollgate_config_reloads_total{result="refused"}"#;
    let deadline = tokio::time::Instant::now() + crate::support::PATIENCE;
    while world.metric(refused).await == 0 {
        assert!(tokio::time::Instant::now() < deadline, "the change was not looked at");
    }
    assert_eq!((status(&world, "sk-old").await, status(&world, "sk-new").await), (200, 401));
    std::fs::write(&keys, "- id: new\n  key: sk-new\n").unwrap();
    until(&world, "sk-new", 200).await;
    assert_eq!(status(&world, "sk-old").await, 401);
    world.finish().await;
}

#[tokio::test]
async fn changed_limits_and_upstreams_take_effect() {
    let (first, second) = (Mock::always(Reply::json(200, ANSWER)).await, Mock::always(Reply::json(201, ANSWER)).await);
    let world = World::before(&first).start().await;
    assert_eq!(status(&world, "any").await, 200);
    let file = world.dir.path().join("tollgate.yaml");
    let changed = std::fs::read_to_string(&file).unwrap().replace(&first.url(), &second.url());
    std::fs::write(&file, format!("{changed}\nlimits: {{ requests_per_minute: 100000 }}\n")).unwrap();
    until(&world, "any", 201).await;
    world.finish().await;
}
