use std::sync::{Arc, Mutex};

use http::StatusCode;
use http_body_util::BodyExt;

use super::{
    AsyncWriteExt, Bytes, Full, Incoming, Listener, Peer, Request, Response, config, connect, hear, hear_out, path,
    say, soon, start, until,
};

#[tokio::test]
async fn one_connection_serves_one_request_after_another() {
    let running = start(&config(), path).await;
    let mut client = connect(running.address).await;
    for path in ["/one", "/two"] {
        say(&mut client, &format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        assert!(hear(&mut client, path).await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    assert_eq!(running.counts.stats().accepted, 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let running = start(&config(), path).await;
    let mut client = connect(running.address).await;
    say(&mut client, "GET /one HTTP/1.1\r\nhost: a\r\n\r\nGET /two HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let heard = hear(&mut client, "/two").await;
    assert_eq!(heard.matches("HTTP/1.1 200 OK").count(), 2);
    assert!(heard.find("/one") < heard.find("/two"), "{heard}");
}

#[tokio::test]
async fn frames_leave_at_once() {
    let listener = Listener::bind(&config()).await.unwrap();
    let (_client, arrival) = tokio::join!(connect(listener.local_addr()), listener.arrival());
    assert!(arrival.stream.nodelay().unwrap());
}

/// Refuses without a look at the body, and notes what it was asked.
fn refusing(
    asked: &Arc<Mutex<Vec<String>>>,
) -> impl Fn(Request<Incoming>, Peer) -> std::future::Ready<Response<Full<Bytes>>> + Clone + use<> {
    let asked = Arc::clone(asked);
    move |request: Request<Incoming>, _: Peer| {
        asked.lock().unwrap().push(request.uri().path().to_owned());
        let mut answer = Response::new(Full::new(Bytes::from_static(b"no")));
        *answer.status_mut() = StatusCode::UNAUTHORIZED;
        std::future::ready(answer)
    }
}

#[tokio::test]
async fn an_unread_body_is_never_taken_for_a_request() {
    let asked = Arc::default();
    let running = start(&config(), refusing(&asked)).await;
    let inside = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    for (length, framing) in [
        ("length", format!("content-length: {}", inside.len() + 100_000)),
        ("chunked", "transfer-encoding: chunked".to_owned()),
    ] {
        let mut client = connect(running.address).await;
        say(&mut client, &format!("POST /{length} HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n")).await;
        hear(&mut client, "no").await;
        // The connection may be closed by now: then there is nobody to say it to.
        let body = if length == "chunked" { format!("{:x}\r\n{inside}\r\n", inside.len()) } else { inside.to_owned() };
        let _ = client.write_all(body.as_bytes()).await;
        assert!(!hear_out(&mut client).await.contains("HTTP/1.1"));
    }
    assert_eq!(*asked.lock().unwrap(), ["/length", "/chunked"]);
}

#[tokio::test]
async fn an_unread_body_that_came_whole_is_skipped_and_the_next_request_is_answered() {
    let asked = Arc::default();
    let running = start(&config(), refusing(&asked)).await;
    let mut client = connect(running.address).await;
    let inside = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let first = format!("POST /first HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", inside.len());
    say(&mut client, &format!("{first}{inside}GET /second HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await;
    let heard = hear_out(&mut client).await;
    let asked = asked.lock().unwrap().clone();
    assert!(asked == ["/first", "/second"] || asked == ["/first"], "{asked:?}");
    assert_eq!(heard.matches("HTTP/1.1 401").count(), asked.len(), "{heard}");
}

#[tokio::test]
async fn a_client_that_is_still_uploading_sees_its_refusal() {
    let asked = Arc::default();
    let running = start(&config(), refusing(&asked)).await;
    let mut client = connect(running.address).await;
    let size = 8 << 20;
    say(&mut client, &format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n")).await;
    soon(client.write_all(&vec![b'x'; size])).await.unwrap();
    assert!(hear_out(&mut client).await.starts_with("HTTP/1.1 401 "));
}

async fn expecting(request: Request<Incoming>, _: Peer) -> Response<Full<Bytes>> {
    if request.uri().path() == "/refused" {
        let mut answer = Response::new(Full::new(Bytes::from_static(b"no")));
        *answer.status_mut() = StatusCode::EXPECTATION_FAILED;
        return answer;
    }
    Response::new(Full::new(request.into_body().collect().await.unwrap().to_bytes()))
}

#[tokio::test]
async fn a_refused_expectation_is_answered_without_100_and_an_admitted_one_with_it() {
    let running = start(&config(), expecting).await;
    let head =
        |path: &str| format!("POST {path} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n");
    let mut refused = connect(running.address).await;
    say(&mut refused, &head("/refused")).await;
    assert!(hear(&mut refused, "no").await.starts_with("HTTP/1.1 417 "));

    let mut admitted = connect(running.address).await;
    say(&mut admitted, &head("/admitted")).await;
    assert_eq!(hear(&mut admitted, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    say(&mut admitted, "hello").await;
    assert!(hear(&mut admitted, "hello").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn a_head_beyond_the_bounds_is_refused() {
    let running = start(&config(), path).await;
    let many = "x-many: y\r\n".repeat(65);
    let long = format!("x-long: {}\r\n", "y".repeat(70_000));
    for headers in [many, long] {
        let mut client = connect(running.address).await;
        say(&mut client, &format!("GET / HTTP/1.1\r\nhost: a\r\n{headers}\r\n")).await;
        let heard = hear_out(&mut client).await;
        assert!(heard.starts_with("HTTP/1.1 431 "), "{heard}");
    }
    until(|| running.counts.stats().protocol_errors == 2).await;
}

#[tokio::test]
async fn a_malformed_head_is_refused_and_counted() {
    let running = start(&config(), path).await;
    let lines = [
        "content-length: +5",
        "content-length: 5\r\ncontent-length: 6",
        " folded: x",
        "transfer-encoding: x\r\ncontent-length: 5",
    ];
    for line in lines {
        let mut client = connect(running.address).await;
        say(&mut client, &format!("POST / HTTP/1.1\r\nhost: a\r\n{line}\r\n\r\nhello")).await;
        let heard = hear_out(&mut client).await;
        assert!(heard.starts_with("HTTP/1.1 400 "), "{line}: {heard}");
    }
    until(|| running.counts.stats().protocol_errors == lines.len() as u64).await;
}

#[tokio::test]
async fn a_panic_ends_its_connection_only() {
    let running = start(&config(), |request: Request<Incoming>, peer: Peer| async move {
        assert_ne!(request.uri().path(), "/panic", "as the test wants it");
        path(request, peer).await
    })
    .await;
    let mut client = connect(running.address).await;
    say(&mut client, "GET /panic HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(hear_out(&mut client).await, "");
    until(|| running.counts.stats().panics == 1).await;
    let mut client = connect(running.address).await;
    say(&mut client, "GET /on HTTP/1.1\r\nhost: a\r\n\r\n").await;
    hear(&mut client, "/on").await;
}
