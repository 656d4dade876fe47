use bytes::Bytes;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use http_body::Frame;

use super::{config, data, frames, head, listen, only, outbound, seen_of, whole};
use crate::config::Credential;
use crate::reject::Reject;
use crate::types::Secret;
use crate::upstream::rewrite::Rewrite;
use crate::upstream::{Encoding, Outbound, OutboundBody, PassCredential, Step};

/// Everything that a client could send to be stripped, next to what must travel.
const HOSTILE: &[(&str, &str)] = &[
    ("host", "evil.example"),
    ("content-length", "999"),
    ("transfer-encoding", "gzip, chunked"),
    ("expect", "100-continue"),
    ("connection", "keep-alive"),
    ("connection", "X-Nominated, authorization"),
    ("x-nominated", "1"),
    ("keep-alive", "timeout=5"),
    ("proxy-connection", "keep-alive"),
    ("proxy-authorization", "Basic s3cret"),
    ("te", "trailers"),
    ("trailer", "x-sum"),
    ("upgrade", "h2c"),
    ("http2-settings", "AAMAAABk"),
    ("authorization", "Bearer s3cret"),
    ("x-api-key", "s3cret"),
    ("x-ug-api-key", "s3cret"),
    ("api-key", "s3cret"),
    ("x-goog-api-key", "s3cret"),
    ("x_api_key", "s3cret"),
    ("secretkey", "s3cret"),
    ("swarms-organization", "org"),
    ("x-organization", "org"),
    ("openai-organization", "org"),
    ("openai-project", "proj"),
    ("x-connection-id", "c1"),
    ("forwarded", "for=10.0.0.1"),
    ("x-forwarded-for", "10.0.0.1"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-port", "1"),
    ("x-real-ip", "10.0.0.1"),
    ("x-original-url", "/admin"),
    ("accept", "text/event-stream"),
    ("accept-encoding", "gzip"),
    ("anthropic-version", "2023-06-01"),
    ("content-type", "application/json"),
    ("cookie", "a=b"),
    ("user-agent", "sdk/1"),
    ("x-request-id", "r1"),
    ("x-stainless-retry-count", "0"),
];

#[tokio::test]
async fn a_key_of_ours_never_goes_upstream_and_the_configured_credential_goes_to_the_configured_host_only() {
    let (listener, url) = listen().await;
    let mut config = config(&url);
    let value = Secret::new("Bearer provider");
    config.credential = Some(Credential { header: AUTHORIZATION, value });
    let (_, target) = only(config);
    let head = head("POST", "http://evil.example/v1/chat?key=s3cret&a=b", HOSTILE);
    let request = Outbound { encoding: Encoding::Identity, ..whole(&head, "{}") };
    let seen = seen_of(&target, &listener, request).await;
    assert_eq!(seen.line, "POST /v1/chat?a=b HTTP/1.1");
    let host = format!("host: {}", listener.local_addr().unwrap());
    let want = [
        "accept-encoding: identity",
        "accept: text/event-stream",
        "anthropic-version: 2023-06-01",
        "authorization: Bearer provider",
        "content-length: 2",
        "content-type: application/json",
        "cookie: a=b",
        &host,
        "user-agent: sdk/1",
        "x-request-id: r1",
        "x-stainless-retry-count: 0",
    ];
    assert_eq!(seen.headers, want);
    assert_eq!(seen.body, "{}");
}

#[tokio::test]
async fn without_a_configured_credential_the_clients_own_passes_only_where_it_may() {
    let (listener, url) = listen().await;
    let (_, target) = only(config(&url));
    let sent: Vec<_> = HOSTILE.iter().copied().filter(|(name, _)| *name != "connection").collect();
    let head = head("POST", "/v1/chat?key=s3cret", &sent);
    let request = Outbound { credential: PassCredential::ClientsOwn, ..whole(&head, "{}") };
    let seen = seen_of(&target, &listener, request).await;
    assert_eq!(seen.line, "POST /v1/chat?key=s3cret HTTP/1.1");
    let host = format!("host: {}", listener.local_addr().unwrap());
    let want = [
        "accept-encoding: gzip",
        "accept: text/event-stream",
        "anthropic-version: 2023-06-01",
        "api-key: s3cret",
        "authorization: Bearer s3cret",
        "content-length: 2",
        "content-type: application/json",
        "cookie: a=b",
        &host,
        "openai-organization: org",
        "openai-project: proj",
        "user-agent: sdk/1",
        "x-api-key: s3cret",
        "x-goog-api-key: s3cret",
        "x-nominated: 1",
        "x-request-id: r1",
        "x-stainless-retry-count: 0",
        "x-ug-api-key: s3cret",
    ];
    assert_eq!(seen.headers, want);

    let seen = seen_of(&target, &listener, whole(&head, "{}")).await;
    let leaked = seen.headers.iter().any(|line| line.contains("s3cret") || line.contains("org"));
    assert!(!leaked && !seen.line.contains("s3cret"), "{:?}", seen.headers);
}

#[test]
fn an_upstream_is_asked_for_no_encoding_that_cannot_be_read() {
    let cases = [
        (&["gzip, br;q=0.9, x-snappy, *;q=0.1", "zstd"][..], "gzip, br;q=0.9, zstd"),
        (&["compress"], "identity"),
        (&[], "identity"),
    ];
    for (asked, want) in cases {
        let asked = asked.iter().map(|line| (http::header::ACCEPT_ENCODING, HeaderValue::from_static(line)));
        let mut from = HeaderMap::new();
        from.extend(asked);
        let rewrite = Rewrite::new(&config("http://localhost")).unwrap();
        let headers = rewrite.headers(&from, PassCredential::Never, Encoding::AsAsked);
        assert_eq!(headers[http::header::ACCEPT_ENCODING], want);
    }
}

#[test]
fn trace_headers_stay_from_third_parties_and_reach_this_machine() {
    let mut from = HeaderMap::new();
    for name in crate::header::TRACE {
        from.insert(name, HeaderValue::from_static("t"));
    }
    let cases = [
        ("https://api.openai.com", 0),
        ("http://10.0.0.1", 0),
        ("http://localhost.evil.example", 0),
        ("http://127.0.0.1:8000", 3),
        ("http://[::1]:8000", 3),
        ("http://localhost", 3),
    ];
    for (url, want) in cases {
        let headers = Rewrite::new(&config(url)).unwrap().headers(&from, PassCredential::Never, Encoding::AsAsked);
        let traced = crate::header::TRACE.iter().filter(|name| headers.contains_key(*name)).count();
        assert_eq!(traced, want, "{url}");
    }
}

#[test]
fn the_configured_credential_is_not_printed() {
    let mut config = config("http://127.0.0.1:1");
    config.credential = Some(Credential { header: AUTHORIZATION, value: Secret::new("Bearer s3cret") });
    let (upstreams, target) = only(config);
    assert!(!format!("{upstreams:?} {target:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_body_is_framed_by_what_it_is() {
    let (listener, url) = listen().await;
    let (_, target) = only(config(&url));
    let wrong = [("content-length", "999"), ("transfer-encoding", "chunked")];
    let (get, post) = (head("GET", "/", &wrong), head("POST", "/", &wrong));
    let stream = async |parts: Vec<Frame<Bytes>>| OutboundBody::Stream { body: frames(parts).await, limit: 100 };
    let chunked = "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let cases = [
        (whole(&get, ""), None, ""),
        (whole(&get, "abc"), Some("content-length: 3"), "abc"),
        (whole(&post, ""), Some("content-length: 0"), ""),
        (whole(&post, "abcd"), Some("content-length: 4"), "abcd"),
        (outbound(&post, stream(vec![data("abc"), data("de")]).await), Some("transfer-encoding: chunked"), chunked),
        (outbound(&get, stream(vec![data("abc"), data("de")]).await), Some("transfer-encoding: chunked"), chunked),
    ];
    for (request, want, body) in cases {
        let what = format!("{request:?}");
        let seen = seen_of(&target, &listener, request).await;
        let framing = |line: &&String| line.starts_with("content-length") || line.starts_with("transfer-encoding");
        let found: Vec<&String> = seen.headers.iter().filter(framing).collect();
        assert_eq!(found, want.iter().collect::<Vec<_>>(), "{what}");
        assert_eq!(seen.body, body, "{what}");
    }
}

#[tokio::test]
async fn the_trailers_of_a_request_end_here() {
    let (listener, url) = listen().await;
    let (_, target) = only(config(&url));
    let mut trailers = HeaderMap::new();
    trailers.insert(AUTHORIZATION, HeaderValue::from_static("s3cret"));
    let body = OutboundBody::Stream { body: frames(vec![data("a"), Frame::trailers(trailers)]).await, limit: 9 };
    let head = head("POST", "/", &[("trailer", "authorization"), ("te", "trailers")]);
    let seen = seen_of(&target, &listener, outbound(&head, body)).await;
    assert_eq!(seen.body, "1\r\na\r\n0\r\n\r\n");
}

#[tokio::test]
async fn what_cannot_be_forwarded_is_refused_before_anything_is_opened() {
    let (listener, url) = listen().await;
    let (upstreams, target) = only(config(&url));
    for (method, uri) in [("CONNECT", "evil.example:443"), ("OPTIONS", "*"), ("GET", "/v1/../x")] {
        let head = head(method, uri, &[]);
        let failure = target.send(whole(&head, "")).await.unwrap_err();
        assert_eq!(failure.step, Step::Rewrite);
        assert!(matches!(failure.reject(), Reject::NotSupported | Reject::BadRequest(_)), "{method} {uri}");
    }
    assert_eq!(super::counted(&upstreams).connections_opened, 0);
    drop(listener);
}
