use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{
    config, counted, data, fed, frames, head, listen, only, outbound, read_all, read_head, reset, serve, whole,
};
use crate::config::{self as checked, Timeouts};
use crate::reject::Reject;
use crate::upstream::{Blame, Cause, Failure, OutboundBody, Step, Target};

const SHORT: Duration = Duration::from_millis(60);

#[track_caller]
fn assert_failure(failure: &Failure, (step, code): (Step, &str), reject: &Reject) {
    assert_eq!((failure.step, failure.code()), (step, code), "{failure:?}");
    assert_eq!(&failure.reject(), reject);
    let blame = if code.starts_with("client") { Blame::Client } else { Blame::Upstream };
    assert_eq!(failure.blame(), blame);
    let untouched = matches!(step, Step::Connect) || failure.cause == Cause::NotSent;
    assert_eq!(failure.may_retry(), untouched, "only what cannot have reached the model may be retried");
}

/// One call to an upstream that writes this and then closes, or resets.
async fn call(config: checked::Upstream, listener: &TcpListener, script: &str) -> Result<String, Failure> {
    let (_, target) = only(config);
    let head = head("POST", "/", &[]);
    let script = async {
        let (_, stream) = serve(listener, script.trim_end_matches("RST")).await;
        if script.ends_with("RST") {
            reset(&stream);
        }
    };
    let call = async { Ok(read_all(target.send(whole(&head, "{}")).await?).await?.0) };
    tokio::join!(call, script).0
}

#[tokio::test]
async fn a_refused_connection_is_told_from_an_unknown_host() {
    let (listener, url) = listen().await;
    drop(listener);
    for url in [url.as_str(), "http://host.invalid"] {
        let (upstreams, target) = only(config(url));
        let head = head("POST", "/", &[]);
        let failure = target.send(whole(&head, "{}")).await.unwrap_err();
        assert_failure(&failure, (Step::Connect, "upstream_connect_failed"), &Reject::UpstreamUnreachable);
        assert_eq!((counted(&upstreams).connect_failed, counted(&upstreams).in_flight), (1, 0));
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_counts_against_the_connect_timeout() {
    let (listener, url) = listen().await;
    let mut config = config(&url.replace("http:", "https:"));
    config.timeouts.connect = SHORT;
    let (upstreams, target) = only(config);
    let head = head("POST", "/", &[]);
    let failure = target.send(whole(&head, "{}")).await.unwrap_err();
    assert_failure(&failure, (Step::Connect, "upstream_connect_timeout"), &Reject::UpstreamTimeout);
    assert_eq!(counted(&upstreams).connect_timeouts, 1);
    drop(listener);
}

#[tokio::test]
async fn tls_to_a_clear_text_port_fails_as_tls() {
    let (listener, url) = listen().await;
    let (upstreams, target) = only(config(&url.replace("http:", "https:")));
    let head = head("POST", "/", &[]);
    for bytes in ["HTTP/1.1 400 Bad Request\r\n\r\n", ""] {
        let script = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            stream.write_all(bytes.as_bytes()).await.unwrap();
        };
        let (failure, ()) = tokio::join!(target.send(whole(&head, "{}")), script);
        let failure = failure.unwrap_err();
        assert_failure(&failure, (Step::Connect, "upstream_tls_failed"), &Reject::UpstreamUnreachable);
    }
    assert_eq!((counted(&upstreams).tls_failed, counted(&upstreams).connections_opened), (2, 0));
}

#[tokio::test]
async fn an_end_before_the_head_is_a_reset_and_garbage_is_not() {
    let (listener, url) = listen().await;
    let unasked_tunnel = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let cases = [
        ("", "upstream_reset"),
        ("RST", "upstream_reset"),
        ("HTTP/1.1 200 OK\r\nx-half: ", "upstream_reset"),
        ("SSH-2.0-OpenSSH_9\r\n\r\n", "upstream_invalid_answer"),
        (unasked_tunnel, "upstream_invalid_answer"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\n", "upstream_invalid_answer"),
    ];
    for (script, code) in cases {
        let failure = call(config(&url), &listener, script).await.unwrap_err();
        assert_failure(&failure, (Step::FirstByte, code), &Reject::UpstreamBroken);
    }
}

#[tokio::test]
async fn an_end_within_the_body_is_a_reset_and_garbage_is_not() {
    let (listener, url) = listen().await;
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let cases = [
        (chunked.to_owned(), "upstream_reset"),
        (format!("{chunked}RST"), "upstream_reset"),
        (format!("{chunked}0\r\n"), "upstream_reset"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc".to_owned(), "upstream_reset"),
        (format!("{chunked}zz\r\n"), "upstream_invalid_answer"),
    ];
    for (script, code) in cases {
        let failure = call(config(&url), &listener, &script).await.unwrap_err();
        assert_failure(&failure, (Step::Body, code), &Reject::UpstreamBroken);
    }
}

fn impatient(url: &str, change: impl FnOnce(&mut Timeouts)) -> checked::Upstream {
    let mut config = config(url);
    change(&mut config.timeouts);
    config
}

#[tokio::test]
async fn silence_before_the_head_and_within_the_body_are_two_timeouts() {
    let (listener, url) = listen().await;
    let head = head("POST", "/", &[]);
    let (upstreams, target) = only(impatient(&url, |timeouts| timeouts.first_byte = SHORT));
    let (failure, mut silent) = tokio::join!(target.send(whole(&head, "{}")), serve(&listener, ""));
    assert_failure(&failure.unwrap_err(), (Step::FirstByte, "upstream_first_byte_timeout"), &Reject::UpstreamTimeout);
    assert_eq!(silent.1.read(&mut [0; 1]).await.unwrap_or(0), 0, "the upstream is cut off");
    assert_eq!((counted(&upstreams).first_byte_timeouts, counted(&upstreams).in_flight), (1, 0));

    let (upstreams, target) = only(impatient(&url, |timeouts| timeouts.idle = SHORT));
    let script = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc";
    let (answer, _silent) = tokio::join!(target.send(whole(&head, "{}")), serve(&listener, script));
    let failure = read_all(answer.unwrap()).await.unwrap_err();
    assert_failure(&failure, (Step::Body, "upstream_idle_timeout"), &Reject::UpstreamTimeout);
    assert_eq!((counted(&upstreams).idle_timeouts, counted(&upstreams).in_flight), (1, 0));
}

#[tokio::test]
async fn the_idle_time_counts_from_the_last_frame_and_only_while_somebody_waits() {
    use http_body_util::BodyExt;
    let (listener, url) = listen().await;
    let idle = Duration::from_millis(300);
    let (_, target) = only(impatient(&url, |timeouts| timeouts.idle = idle));
    let head = head("POST", "/", &[]);
    let script = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\na";
    let (answer, (_, mut stream)) = tokio::join!(target.send(whole(&head, "{}")), serve(&listener, script));
    let mut answer = answer.unwrap();
    let paced = async {
        for byte in [b"b", b"c", b"d", b"e"] {
            tokio::time::sleep(idle / 2).await;
            stream.write_all(byte).await.unwrap();
        }
    };
    let read = async {
        for _ in 0..5 {
            answer.body.frame().await.unwrap().unwrap();
        }
    };
    tokio::join!(read, paced);
    // Nobody reads for longer than the limit: that is the client's time, not the upstream's.
    tokio::time::sleep(idle * 2).await;
    let late = async {
        tokio::time::sleep(idle / 4).await;
        stream.write_all(b"f").await.unwrap();
    };
    let (rest, ()) = tokio::join!(read_all(answer), late);
    assert_eq!(rest.unwrap().0, "f");
}

/// Reads until the end of the connection and says whether a chunked body was ended properly.
async fn saw_end_of_body(listener: &TcpListener) -> bool {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all).await;
    all.ends_with(b"0\r\n\r\n")
}

async fn upload(target: &Target, listener: &TcpListener, body: OutboundBody) -> Failure {
    let head = head("POST", "/", &[]);
    let (failure, ended) = tokio::join!(target.send(outbound(&head, body)), saw_end_of_body(listener));
    assert!(!ended, "the upstream must not take a broken body for a whole one");
    failure.unwrap_err()
}

#[tokio::test]
async fn a_body_that_the_client_broke_is_the_clients_failure() {
    let (listener, url) = listen().await;
    let (upstreams, target) = only(impatient(&url, |timeouts| timeouts.first_byte = Duration::from_millis(400)));
    let (feeder, body) = fed();
    feeder.send(Ok(data("abc"))).await.unwrap();
    feeder.send(Err("the client left".into())).await.unwrap();
    let failure = upload(&target, &listener, OutboundBody::Stream { body, limit: 99 }).await;
    assert_failure(&failure, (Step::Send, "client_body_broken"), &Reject::BodyBroken);

    let (feeder, body) = fed();
    feeder.send(Ok(data("abc"))).await.unwrap();
    let failure = upload(&target, &listener, OutboundBody::Stream { body, limit: 99 }).await;
    assert_failure(&failure, (Step::Send, "client_body_broken"), &Reject::BodyBroken);
    drop(feeder);

    let body = frames(vec![data("abc"), data("def")]).await;
    let failure = upload(&target, &listener, OutboundBody::Stream { body, limit: 5 }).await;
    assert_failure(&failure, (Step::Send, "client_body_too_large"), &Reject::BodyTooLarge { limit: 5 });
    assert_eq!((counted(&upstreams).client_failures, counted(&upstreams).resets), (3, 0));
}

#[tokio::test]
async fn a_body_that_breaks_after_the_answer_began_is_still_the_clients_failure() {
    let (listener, url) = listen().await;
    let (_, target) = only(config(&url));
    let head = head("POST", "/", &[]);
    let (feeder, body) = fed();
    let early = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\na").await.unwrap();
        stream
    };
    let body = OutboundBody::Stream { body, limit: 99 };
    let (answer, _stream) = tokio::join!(target.send(outbound(&head, body)), early);
    let answer = answer.unwrap();
    feeder.send(Err("the client left".into())).await.unwrap();
    let failure = read_all(answer).await.unwrap_err();
    assert_failure(&failure, (Step::Body, "client_body_broken"), &Reject::BodyBroken);
}
