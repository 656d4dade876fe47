//! Connections that the upstream closes between two answers without having said so: a request that it cannot have read
//! is sent once more, any other is not.

use std::os::fd::AsFd;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use rustix::net::{Shutdown, shutdown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{
    EMPTY_OK, config, counted, data, frames, head, listen, only, outbound, read_all, read_request, reset, serve, whole,
};
use crate::upstream::habit::SETTLING;
use crate::upstream::{Answer, Cause, Failure, OutboundBody, Step, Target, Upstreams};

const SECOND: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond";

/// An upstream that has answered one call and left the connection open, and that connection.
async fn used() -> (Upstreams, std::sync::Arc<Target>, TcpListener, TcpStream) {
    let (listener, url) = listen().await;
    let (upstreams, target) = only(config(&url));
    let first = head("POST", "/first", &[]);
    let (answer, (_, stream)) = tokio::join!(target.send(whole(&first, "{}")), serve(&listener, EMPTY_OK));
    read_all(answer.unwrap()).await.unwrap();
    (upstreams, target, listener, stream)
}

/// Sends the second call, while the upstream does this with the connection of the first.
async fn second(target: &Target, head: &Parts, upstream: impl Future<Output = ()>) -> Result<String, Failure> {
    let call = async { Ok(read_all(target.send(whole(head, r#"{"model":"m"}"#)).await?).await?.0) };
    let both = async { tokio::join!(call, upstream).0 };
    tokio::time::timeout(Duration::from_secs(5), both).await.expect("the call goes over a new connection")
}

/// Takes the call on a new connection and answers it.
async fn take_anew(listener: &TcpListener) -> TcpStream {
    let (seen, stream) = serve(listener, SECOND).await;
    assert_eq!((seen.line.as_str(), seen.body.as_str()), ("POST /second HTTP/1.1", r#"{"model":"m"}"#));
    stream
}

/// The same, and the connection serves no other call.
async fn take_again(listener: &TcpListener) {
    let mut stream = take_anew(listener).await;
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0, "and nothing follows");
}

/// Nobody connects a second time.
async fn nobody(listener: &TcpListener) {
    let again = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(again.is_err(), "the call came twice");
}

#[tokio::test]
async fn a_connection_closed_before_the_call_is_not_used_even_if_the_runtime_has_not_heard_of_it() {
    for how in [Shutdown::Write, Shutdown::Both] {
        let (upstreams, target, listener, stream) = used().await;
        // Nothing is awaited between the close and the call, so the runtime has not looked at its sockets since.
        shutdown(stream.as_fd(), how).unwrap();
        let head = head("POST", "/second", &[]);
        assert_eq!(second(&target, &head, take_again(&listener)).await.unwrap(), "second");
        assert_eq!((counted(&upstreams).resent, counted(&upstreams).resets), (1, 0));
    }
}

#[tokio::test]
async fn a_connection_reset_before_the_call_is_not_used_either() {
    let (_, target, listener, stream) = used().await;
    reset(&stream);
    drop(stream);
    let head = head("POST", "/second", &[]);
    assert_eq!(second(&target, &head, take_again(&listener)).await.unwrap(), "second");
}

#[tokio::test]
async fn a_call_that_the_upstream_closed_upon_without_reading_it_is_sent_again() {
    for read in [0, 10] {
        let (upstreams, target, listener, mut stream) = used().await;
        let upstream = async {
            stream.peek(&mut [0; 1]).await.unwrap();
            stream.read_exact(&mut vec![0; read]).await.unwrap();
            // As llama.cpp does: the close comes first, and what lies unread makes it a reset.
            shutdown(stream.as_fd(), Shutdown::Both).unwrap();
            drop(stream);
            take_again(&listener).await;
        };
        let head = head("POST", "/second", &[]);
        assert_eq!(second(&target, &head, upstream).await.unwrap(), "second", "{read} bytes were read");
        assert_eq!((counted(&upstreams).resent, counted(&upstreams).resets), (1, 0));
    }
}

#[tokio::test]
async fn a_call_that_the_upstream_may_have_read_is_never_sent_again() {
    for (with_reset, unread) in [(false, false), (true, false), (true, true)] {
        let (upstreams, target, listener, mut stream) = used().await;
        let upstream = async {
            if unread {
                stream.peek(&mut [0; 1]).await.unwrap();
            } else {
                read_request(&mut stream).await;
            }
            if with_reset {
                reset(&stream);
            }
            drop(stream);
            nobody(&listener).await;
        };
        let head = head("POST", "/second", &[]);
        let failure = second(&target, &head, upstream).await.unwrap_err();
        assert_eq!((failure.step, &failure.cause), (Step::FirstByte, &Cause::Reset), "{failure:?}");
        assert!(!failure.may_retry());
        assert_eq!((counted(&upstreams).resent, counted(&upstreams).resets), (0, 1));
    }
}

const STREAM: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";

/// Reads what [`STREAM`] says, to the end of what has to be done for it.
async fn read_streamed(answer: Answer) {
    assert_eq!(read_all(answer).await.unwrap().0, "a");
    // The pool has the connection back when the tasks that bring it there have run; any client's next call is later.
    tokio::task::yield_now().await;
}

/// Plays one streamed call on a connection.
async fn streamed(target: &Target, stream: &mut TcpStream) {
    let head = head("POST", "/", &[]);
    let server = async {
        read_request(stream).await;
        stream.write_all(STREAM.as_bytes()).await.unwrap();
    };
    let (answer, ()) = tokio::join!(target.send(whole(&head, "{}")), server);
    read_streamed(answer.unwrap()).await;
}

#[tokio::test]
async fn a_call_is_never_sent_to_an_upstream_that_is_about_to_close_after_a_stream_however_slow_it_is() {
    let (upstreams, target, listener, mut stream) = used().await;
    streamed(&target, &mut stream).await;
    let head = head("POST", "/second", &[]);
    let upstream = async {
        // As llama.cpp does: what came since the last chunk is read and thrown away, and no reset tells of it. It is as
        // slow about it as can be: the call has been answered elsewhere.
        let _other = take_anew(&listener).await;
        let mut thrown = Vec::new();
        let _ = tokio::time::timeout(SETTLING / 2, stream.read_to_end(&mut thrown)).await;
        assert_eq!(thrown, b"", "the call was not sent to one who throws it away");
    };
    let answered = second(&target, &head, upstream).await;
    assert_eq!(answered.unwrap(), "second");
    assert_eq!((counted(&upstreams).connections_opened, counted(&upstreams).resent), (2, 0));
}

/// Plays one streamed call on a connection of its own, and yields that.
async fn streamed_anew(target: &Target, listener: &TcpListener) -> TcpStream {
    let head = head("POST", "/", &[]);
    let (answer, (_, stream)) = tokio::join!(target.send(whole(&head, "{}")), serve(listener, STREAM));
    read_streamed(answer.unwrap()).await;
    stream
}

#[tokio::test]
async fn an_upstream_that_keeps_its_connections_after_streams_is_believed_when_one_was_seen() {
    let (upstreams, target, listener, mut stream) = used().await;
    streamed(&target, &mut stream).await;
    let begun = std::time::Instant::now();
    let kept = stream.read(&mut [0; 1]).await;
    assert_eq!(kept.unwrap(), 0, "and then we close it");
    assert!(begun.elapsed() >= SETTLING * 9 / 10, "it is looked at for that long: {:?}", begun.elapsed());

    let mut stream = streamed_anew(&target, &listener).await;
    for _ in 0..10 {
        streamed(&target, &mut stream).await;
    }
    assert_eq!((counted(&upstreams).connections_opened, counted(&upstreams).resent), (2, 0));
}

#[tokio::test]
async fn connections_that_we_close_after_streams_say_nothing_about_the_upstream() {
    let (upstreams, target, listener, mut stream) = used().await;
    let head = head("POST", "/", &[]);
    let call = || async { read_all(target.send(whole(&head, "{}")).await.unwrap()).await.unwrap() };
    let first = async {
        read_request(&mut stream).await;
        let mut others = Vec::new();
        for _ in 0..3 {
            let (mut other, _) = listener.accept().await.unwrap();
            read_request(&mut other).await;
            others.push(other);
        }
        // All at once: only one of them can be looked at.
        stream.write_all(STREAM.as_bytes()).await.unwrap();
        for other in &mut others {
            other.write_all(STREAM.as_bytes()).await.unwrap();
        }
        // As a server does, each closes when we do.
        for mut other in others.into_iter().chain([stream]) {
            assert_eq!(other.read(&mut [0; 1]).await.unwrap(), 0, "we let go of it");
        }
    };
    tokio::join!(first, call(), call(), call(), call());

    let mut stream = streamed_anew(&target, &listener).await;
    for _ in 0..3 {
        streamed(&target, &mut stream).await;
    }
    assert_eq!(counted(&upstreams).connections_opened, 5);
}

#[tokio::test]
async fn an_upstream_that_closes_after_streams_is_called_over_a_new_connection_each_time() {
    let (upstreams, target, listener, mut stream) = used().await;
    streamed(&target, &mut stream).await;
    drop(stream);
    for _ in 0..10 {
        drop(streamed_anew(&target, &listener).await);
    }
    assert_eq!((counted(&upstreams).connections_opened, counted(&upstreams).resent), (11, 0));
}

#[tokio::test]
async fn a_body_that_can_be_read_only_once_is_not_sent_again() {
    let (upstreams, target, listener, stream) = used().await;
    shutdown(stream.as_fd(), Shutdown::Both).unwrap();
    let head = head("POST", "/second", &[]);
    let body = OutboundBody::Stream { body: frames(vec![data("abc")]).await, limit: 99 };
    let failure = target.send(outbound(&head, body)).await.unwrap_err();
    assert_eq!((failure.step, &failure.cause), (Step::Send, &Cause::NotSent), "{failure:?}");
    nobody(&listener).await;
    assert_eq!(counted(&upstreams).resent, 0);
}

#[tokio::test]
async fn a_call_is_sent_again_once_and_then_only_over_a_new_connection() {
    let (upstreams, target, listener, stream) = used().await;
    // A second idle connection, as dead as the first.
    let (first, second_call) = (head("POST", "/a", &[]), head("POST", "/b", &[]));
    let server = async {
        let mut stream = stream;
        read_request(&mut stream).await;
        let (other, _) = listener.accept().await.unwrap();
        let mut other = other;
        read_request(&mut other).await;
        for stream in [&mut stream, &mut other] {
            stream.write_all(EMPTY_OK.as_bytes()).await.unwrap();
        }
        (stream, other)
    };
    let calls = async {
        let answers = tokio::join!(target.send(whole(&first, "{}")), target.send(whole(&second_call, "{}")));
        read_all(answers.0.unwrap()).await.unwrap();
        read_all(answers.1.unwrap()).await.unwrap();
    };
    let (dead, ()) = tokio::join!(server, calls);
    for stream in [&dead.0, &dead.1] {
        shutdown(stream.as_fd(), Shutdown::Both).unwrap();
    }
    let head = head("POST", "/second", &[]);
    assert_eq!(second(&target, &head, take_again(&listener)).await.unwrap(), "second");
    assert_eq!(counted(&upstreams).resent, 1);

    // The new connection dies too, unread: it was never used before, so nothing is proved.
    let call = OutboundBody::Whole(Bytes::from_static(b"{}"));
    let upstream = async { drop(listener.accept().await.unwrap()) };
    let (failure, ()) = tokio::join!(target.send(outbound(&first, call)), upstream);
    assert!(failure.is_err());
    nobody(&listener).await;
}
