use std::sync::Arc;

use super::{config, counted, head, listen, serve, whole};
use crate::config::Matching;
use crate::types::Pattern;
use crate::upstream::tests::EMPTY_OK;
use crate::upstream::{Routing, Upstreams, UpstreamsError};

fn named(name: &str, matching: Matching) -> crate::config::Upstream {
    crate::config::Upstream { name: name.into(), matching, ..config("http://127.0.0.1:1") }
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::new(*text)).collect()
}

fn table() -> Upstreams {
    let all = Matching {
        models: patterns(&["gpt-*"]),
        paths: patterns(&["/v1/chat/*"]),
        hosts: patterns(&["api.openai.com"]),
        connection_ids: patterns(&["c1"]),
    };
    let configs = [
        named("all", all),
        named("models", Matching { models: patterns(&["claude-*", "gpt-*"]), ..Matching::default() }),
        named("paths", Matching { paths: patterns(&["/v1/models*"]), ..Matching::default() }),
        named("hosts", Matching { hosts: patterns(&["*.example", "[::1]:8080"]), ..Matching::default() }),
        named("connections", Matching { connection_ids: patterns(&["c2"]), ..Matching::default() }),
    ];
    Upstreams::new(&configs).unwrap()
}

#[test]
fn the_first_upstream_whose_lists_all_match_takes_the_request() {
    let upstreams = table();
    let everything = Routing {
        model: Some("gpt-4o"),
        path: "/v1/chat/completions",
        host: Some("API.openai.com:443"),
        connection_id: Some("c1"),
    };
    let none = Routing { path: "/", ..Routing::default() };
    let cases = [
        (everything, Some("all")),
        (Routing { path: "/v1/v1/chat/completions", ..everything }, Some("all")),
        (Routing { path: "/v1/completions", ..everything }, Some("models")),
        (Routing { host: Some("api.openai.com.evil"), ..everything }, Some("models")),
        (Routing { connection_id: None, ..everything }, Some("models")),
        (Routing { model: Some("claude-x"), ..none }, Some("models")),
        (Routing { model: Some("llama"), ..none }, None),
        (Routing { path: "/v1/models/x", ..none }, Some("paths")),
        (Routing { host: Some("a.EXAMPLE:8443"), ..none }, Some("hosts")),
        (Routing { host: Some("[::1]:8080"), ..none }, Some("hosts")),
        (Routing { host: Some("[::1]:8081"), ..none }, None),
        (Routing { connection_id: Some("c2"), ..none }, Some("connections")),
        (none, None),
    ];
    for (ask, want) in cases {
        let name = upstreams.route(&ask).map(|target| target.name.to_string());
        assert_eq!(name.as_deref(), want, "{ask:?}");
    }
}

#[test]
fn a_list_of_models_never_matches_a_request_without_a_model() {
    let any = named("any", Matching { models: patterns(&["*"]), ..Matching::default() });
    let upstreams = Upstreams::new(&[any]).unwrap();
    assert!(upstreams.route(&Routing { path: "/v1/models", ..Routing::default() }).is_none());
    assert!(upstreams.route(&Routing { model: Some(""), ..Routing::default() }).is_some());
}

#[tokio::test]
async fn a_reload_keeps_connections_and_counts_of_what_did_not_change() {
    let (listener, url) = listen().await;
    let mut changed = config(&url);
    let upstreams = Upstreams::new(&[changed.clone()]).unwrap();
    let before = upstreams.route(&Routing::default()).unwrap();
    let head = head("GET", "/", &[]);
    let (answer, (_, mut stream)) = tokio::join!(before.send(whole(&head, "")), serve(&listener, EMPTY_OK));
    answer.unwrap();

    changed.matching.paths = patterns(&["/new"]);
    upstreams.reload(&[changed.clone()]).unwrap();
    let after = upstreams.route(&Routing { path: "/new", ..Routing::default() }).unwrap();
    let again = async {
        super::read_request(&mut stream).await;
        tokio::io::AsyncWriteExt::write_all(&mut stream, EMPTY_OK.as_bytes()).await.unwrap();
    };
    let (answer, ()) = tokio::join!(after.send(whole(&head, "")), again);
    answer.unwrap();
    assert_eq!((counted(&upstreams).requests, counted(&upstreams).connections_opened), (2, 1));

    changed.url = "http://127.0.0.1:1".parse().unwrap();
    upstreams.reload(&[changed]).unwrap();
    let elsewhere = upstreams.route(&Routing { path: "/new", ..Routing::default() }).unwrap();
    assert!(!Arc::ptr_eq(&after.link, &elsewhere.link), "another host has connections of its own");
    assert_eq!(counted(&upstreams).requests, 2, "counts stay with the name");
}

#[test]
fn a_bad_upstream_is_refused_whole_and_the_old_ones_stay() {
    let upstreams = Upstreams::new(&[config("http://127.0.0.1:1")]).unwrap();
    let mut bad_credential = config("http://127.0.0.1:1");
    bad_credential.credential = Some(crate::config::Credential {
        header: http::header::AUTHORIZATION,
        value: crate::types::Secret::new("Bearer s3cret\r\nx: y"),
    });
    let cases = [config("ftp://host/"), config("/relative"), config("http://user:s3cret@host/"), bad_credential];
    for bad in cases {
        let error = upstreams.reload(&[bad]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        assert!(matches!(error, UpstreamsError::Url(_) | UpstreamsError::UserInfo(_) | UpstreamsError::Credential(_)));
    }
    assert!(upstreams.route(&Routing::default()).is_some());
}
