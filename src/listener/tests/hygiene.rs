use http::{HeaderName, HeaderValue, Method, Request, Version};

use crate::header::SECRET_KEY;
use crate::listener::hygiene::check;
use crate::reject::Reject;

const ORGANIZATION: HeaderName = HeaderName::from_static("x-organization");

#[derive(Debug, PartialEq, Eq)]
enum Is {
    Fine,
    Bad,
    Unexpected,
    Unsupported,
}

/// Header lines: name and value.
type Lines<'a> = &'a [(&'a str, &'a [u8])];

fn judged(request: &Request<()>) -> Is {
    match check(request, &[ORGANIZATION]) {
        Ok(()) => Is::Fine,
        Err(Reject::BadRequest(_)) => Is::Bad,
        Err(Reject::ExpectationFailed) => Is::Unexpected,
        Err(Reject::NotSupported) => Is::Unsupported,
        Err(other) => panic!("{other:?}"),
    }
}

/// An HTTP/1.1 request with a Host and these header lines.
fn with(lines: Lines<'_>) -> Request<()> {
    let mut request = Request::post("/v1/chat").header("host", "tollgate:4141").body(()).unwrap();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
    }
    request
}

#[test]
fn headers_with_two_meanings_are_refused() {
    let table: &[(Lines<'_>, Is)] = &[
        (&[], Is::Fine),
        (&[("content-length", b"5")], Is::Fine),
        (&[("content-length", b"5"), ("content-length", b"5")], Is::Bad),
        (&[("content-length", b"+5")], Is::Bad),
        (&[("content-length", b"5,5")], Is::Bad),
        (&[("content-length", b"")], Is::Bad),
        (&[("transfer-encoding", b"chunked")], Is::Fine),
        (&[("transfer-encoding", b"Chunked")], Is::Fine),
        (&[("transfer-encoding", b"chunked, chunked")], Is::Bad),
        (&[("transfer-encoding", b"chunked"), ("transfer-encoding", b"chunked")], Is::Bad),
        (&[("transfer-encoding", b"identity, chunked")], Is::Bad),
        (&[("transfer-encoding", b",chunked")], Is::Bad),
        (&[("transfer-encoding", b"chunked;q=1")], Is::Bad),
        (&[("transfer-encoding", b"chunked"), ("content-length", b"5")], Is::Bad),
        (&[("expect", b"100-continue")], Is::Fine),
        (&[("expect", b"100-Continue")], Is::Fine),
        (&[("expect", b"y 100-continue")], Is::Unexpected),
        (&[("expect", b"100-continue, x")], Is::Unexpected),
        (&[("expect", b"")], Is::Unexpected),
        (&[("expect", b"100-continue"), ("expect", b"100-continue")], Is::Unexpected),
        (&[("host", b"tollgate:4141")], Is::Bad),
        (&[("connection", b"keep-alive, Upgrade"), ("upgrade", b"h2c"), ("http2-settings", b"AAMA")], Is::Fine),
        (&[("connection", b"close, TE, Transfer-Encoding")], Is::Fine),
        (&[("connection", b"x-whatever")], Is::Fine),
        (&[("connection", b"Authorization")], Is::Bad),
        (&[("connection", b"close"), ("connection", b"keep-alive ,\tX-API-Key")], Is::Bad),
        (&[("connection", b"secretkey")], Is::Bad),
        (&[("connection", b"content-length")], Is::Bad),
        (&[("connection", b"host")], Is::Bad),
        (&[("connection", b"x-organization")], Is::Bad),
        (&[("connection", b"x-forwarded-for")], Is::Bad),
        (&[("proxy-connection", b"authorization")], Is::Bad),
        (&[("x_api_key", b"k")], Is::Bad),
        (&[("authorization_", b"k")], Is::Bad),
        (&[("secret_key", b"k")], Is::Bad),
        (&[("content_length", b"5")], Is::Bad),
        (&[("x_organization", b"o")], Is::Bad),
        (&[("openai_beta", b"x")], Is::Fine),
        (&[("authorization", b"Bearer k\xc3\xa9")], Is::Bad),
        (&[("x-api-key", b"\xff")], Is::Bad),
        (&[("x-organization", b"\x80")], Is::Bad),
        (&[("x-title", b"caf\xc3\xa9")], Is::Fine),
    ];
    for (lines, expected) in table {
        assert_eq!(judged(&with(lines)), *expected, "{lines:?}");
    }
}

fn to(target: &str, host: Option<&str>, version: Version) -> Request<()> {
    let mut request = Request::get(target).version(version).body(()).unwrap();
    if let Some(host) = host {
        request.headers_mut().insert("host", HeaderValue::from_str(host).unwrap());
    }
    request
}

#[test]
fn a_request_names_one_host_in_one_way() {
    let (v10, v11, v2) = (Version::HTTP_10, Version::HTTP_11, Version::HTTP_2);
    let table = [
        ("/", None, v11, Is::Bad),
        ("/", None, v10, Is::Fine),
        ("/", None, v2, Is::Bad),
        ("/", Some(""), v11, Is::Bad),
        ("/", Some("a, b"), v11, Is::Bad),
        ("/", Some("user@a"), v11, Is::Bad),
        ("/", Some("a:"), v11, Is::Bad),
        ("/", Some("a:0"), v11, Is::Bad),
        ("/", Some("a:65536"), v11, Is::Bad),
        ("/", Some("a:80:80"), v11, Is::Bad),
        ("/", Some("a/b"), v11, Is::Bad),
        ("/", Some("a b"), v11, Is::Bad),
        ("/", Some("[::1"), v11, Is::Bad),
        ("/", Some("[::1]:4141"), v11, Is::Fine),
        ("/", Some("my_service.default.svc:80"), v11, Is::Fine),
        ("http://a/", None, v11, Is::Bad),
        ("http://a/", Some("a"), v11, Is::Fine),
        ("http://a/", Some("A:80"), v11, Is::Fine),
        ("http://a/", Some("b"), v11, Is::Bad),
        ("http://a/", Some("a:81"), v11, Is::Bad),
        ("https://a:443/", Some("a"), v2, Is::Fine),
        ("https://a/", None, v2, Is::Fine),
        ("https://a/", Some("b"), v2, Is::Bad),
        ("http://user@a/", Some("a"), v11, Is::Bad),
        ("ftp://a/", Some("a"), v11, Is::Bad),
        ("/caf\u{e9}", Some("a"), v11, Is::Bad),
        ("/?q=caf\u{e9}", Some("a"), v11, Is::Bad),
        ("/caf%C3%A9", Some("a"), v11, Is::Fine),
        ("*", Some("a"), v11, Is::Fine),
    ];
    for (target, host, version, expected) in table {
        assert_eq!(judged(&to(target, host, version)), expected, "{target} {host:?} {version:?}");
    }
}

#[test]
fn a_tunnel_is_not_served_here() {
    let mut request = to("a:443", Some("a:443"), Version::HTTP_11);
    *request.method_mut() = Method::CONNECT;
    assert_eq!(judged(&request), Is::Unsupported);
}

#[test]
fn chunks_belong_to_http_1_1_only() {
    for version in [Version::HTTP_10, Version::HTTP_2] {
        let mut request = to("/", Some("a"), version);
        request.headers_mut().insert("transfer-encoding", HeaderValue::from_static("chunked"));
        assert_eq!(judged(&request), Is::Bad, "{version:?}");
    }
}

#[test]
fn a_refusal_repeats_nothing_of_the_request() {
    let request = with(&[("connection", SECRET_KEY.as_str().as_bytes()), ("secretkey", b"canary")]);
    let refusal = check(&request, &[]).unwrap_err();
    assert!(!format!("{refusal:?} {}", refusal.row().text).contains("canary"));
}
