use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    config, counted, data, fed, head, listen, only, outbound, read_all, read_head, read_request, serve, whole,
};
use crate::upstream::OutboundBody;

fn lines(headers: &http::HeaderMap) -> Vec<String> {
    let mut lines: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn an_error_answer_passes_as_it_is_without_what_belongs_to_the_connection() {
    let (listener, url) = listen().await;
    let (_, target) = only(config(&url));
    let head = head("POST", "/", &[]);
    let script = "HTTP/1.1 429 Too Many Requests\r\nconnection: x-hop\r\nconnection: close, X-Hop2\r\nx-hop: 1\r\n\
                  x-hop2: 1\r\nkeep-alive: timeout=5\r\nretry-after: 7\r\nx-ratelimit-limit-requests: 9\r\n\
                  x-request-id: u1\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 4\r\n\r\nslow";
    let (answer, _) = tokio::join!(target.send(whole(&head, "{}")), serve(&listener, script));
    let answer = answer.unwrap();
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    let want =
        ["retry-after: 7", "set-cookie: a=1", "set-cookie: b=2", "x-ratelimit-limit-requests: 9", "x-request-id: u1"];
    assert_eq!(lines(&answer.headers), want);
    assert_eq!(answer.body.size_hint().exact(), Some(4), "the length travels with the body");
    assert_eq!(read_all(answer).await.unwrap().0, "slow");
}

#[tokio::test]
async fn a_redirect_is_handed_back_and_never_followed() {
    let (elsewhere, attacker) = listen().await;
    let (listener, url) = listen().await;
    let (upstreams, target) = only(config(&url));
    let head = head("POST", "/", &[]);
    let script = format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {attacker}/x\r\ncontent-length: 0\r\n\r\n");
    let (answer, _) = tokio::join!(target.send(whole(&head, "{}")), serve(&listener, &script));
    let answer = answer.unwrap();
    assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(lines(&answer.headers), [format!("location: {attacker}/x")]);
    assert_eq!((counted(&upstreams).requests, counted(&upstreams).connections_opened), (1, 1));
    tokio::select! {
        biased;
        _ = elsewhere.accept() => panic!("the redirect was followed"),
        () = std::future::ready(()) => {}
    }
}

#[tokio::test]
async fn an_answer_to_head_and_a_304_keep_their_length() {
    let (listener, url) = listen().await;
    let (_, target) = only(config(&url));
    let cases = [
        ("HEAD", "200 OK", "content-length: 42", vec!["content-length: 42"]),
        ("HEAD", "200 OK", "content-length: 4x", vec![]),
        ("GET", "304 Not Modified", "content-length: 42", vec!["content-length: 42"]),
        ("GET", "204 No Content", "content-length: 0", vec![]),
    ];
    for (method, status, length, want) in cases {
        let head = head(method, "/", &[]);
        let script = format!("HTTP/1.1 {status}\r\n{length}\r\nconnection: close\r\n\r\n");
        let (answer, _) = tokio::join!(target.send(whole(&head, "")), serve(&listener, &script));
        let answer = answer.unwrap();
        assert_eq!(lines(&answer.headers), want, "{method} {status} {length}");
        assert!(answer.body.is_end_stream());
        assert_eq!(read_all(answer).await.unwrap().0, "");
    }
}

#[tokio::test]
async fn frames_and_trailers_pass_as_they_come() {
    let (listener, url) = listen().await;
    let (_, target) = only(config(&url));
    let head = head("POST", "/", &[]);
    let script = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n3\r\nabc\r\n";
    let (answer, (_, mut stream)) = tokio::join!(target.send(whole(&head, "{}")), serve(&listener, script));
    let mut answer = answer.unwrap();
    assert_eq!(lines(&answer.headers), Vec::<String>::new());
    assert_eq!(answer.body.size_hint().exact(), None);
    let first = answer.body.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "abc", "before the rest is there");
    stream.write_all(b"2\r\nde\r\n0\r\nx-sum: 9\r\n\r\n").await.unwrap();
    let (rest, trailers) = read_all(answer).await.unwrap();
    assert_eq!((rest.as_str(), trailers.unwrap().get("x-sum").unwrap().as_bytes()), ("de", b"9".as_slice()));
}

#[tokio::test]
async fn two_calls_share_a_connection_and_surplus_bytes_end_it() {
    let (listener, url) = listen().await;
    let (upstreams, target) = only(config(&url));
    let head = head("POST", "/", &[]);
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let (answer, (_, mut stream)) = tokio::join!(target.send(whole(&head, "1")), serve(&listener, ok));
    read_all(answer.unwrap()).await.unwrap();
    let again = async {
        read_request(&mut stream).await;
        stream.write_all(format!("{ok}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil").as_bytes()).await.unwrap();
    };
    let (answer, ()) = tokio::join!(target.send(whole(&head, "2")), again);
    assert_eq!(read_all(answer.unwrap()).await.unwrap().0, "ok");
    assert_eq!(counted(&upstreams).connections_opened, 1);

    // The poisoned connection is closed before anything else is sent on it.
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    let (answer, _) = tokio::join!(target.send(whole(&head, "3")), serve(&listener, ok));
    assert_eq!(read_all(answer.unwrap()).await.unwrap().0, "ok");
    assert_eq!((counted(&upstreams).connections_opened, counted(&upstreams).in_flight), (2, 0));
}

#[tokio::test]
async fn an_answer_may_come_before_the_request_is_whole() {
    let (listener, url) = listen().await;
    let (_, target) = only(config(&url));
    let head = head("POST", "/", &[]);
    let (feeder, body) = fed();
    feeder.send(Ok(data("abc"))).await.unwrap();
    let early = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig").await.unwrap();
        stream
    };
    let (answer, mut stream) =
        tokio::join!(target.send(outbound(&head, OutboundBody::Stream { body, limit: 99 })), early);
    let answer = answer.unwrap();
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(read_all(answer).await.unwrap().0, "big");
    let last: Frame<Bytes> = data("de");
    feeder.send(Ok(last)).await.unwrap();
    drop(feeder);
    let mut rest = String::new();
    while !rest.ends_with("0\r\n\r\n") {
        rest.push(char::from(stream.read_u8().await.unwrap()));
    }
    assert_eq!(rest, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "the upload goes on");
}

#[tokio::test]
async fn dropping_the_answer_cuts_the_upstream_off() {
    let (listener, url) = listen().await;
    let (upstreams, target) = only(config(&url));
    let head = head("POST", "/", &[]);
    let script = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n";
    let (answer, (_, mut stream)) = tokio::join!(target.send(whole(&head, "{}")), serve(&listener, script));
    let answer = answer.unwrap();
    assert_eq!(counted(&upstreams).in_flight, 1);
    drop(answer);
    assert_eq!(counted(&upstreams).in_flight, 0);
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0, "the upstream sees the end");
}

#[tokio::test]
async fn dropping_a_call_that_waits_for_its_head_cuts_the_upstream_off() {
    let (listener, url) = listen().await;
    let (upstreams, target) = only(config(&url));
    let head = head("POST", "/", &[]);
    let mut stream = tokio::select! {
        _ = target.send(whole(&head, "{}")) => panic!("no answer was sent"),
        (_, stream) = serve(&listener, "") => stream,
    };
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0, "the upstream sees the end");
    assert_eq!(counted(&upstreams).in_flight, 0);
}
