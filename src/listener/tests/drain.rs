use http_body_util::BodyExt;

use super::{
    Bytes, Duration, SOON, TcpStream, config, connect, get, hear, hear_out, http2_client, path, say, soon, start,
    start_fed, until,
};

#[tokio::test]
async fn draining_finishes_streams_closes_idle_connections_and_refuses_new_ones() {
    let (running, mut feeders) = start_fed(&config()).await;
    let mut streaming = connect(running.address).await;
    say(&mut streaming, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let feed = soon(feeders.recv()).await.unwrap();
    feed.send(Bytes::from_static(b"before")).await.unwrap();
    hear(&mut streaming, "before\r\n").await;
    let mut idle = connect(running.address).await;
    say(&mut idle, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    drop(soon(feeders.recv()).await.unwrap());
    hear(&mut idle, "0\r\n\r\n").await;

    running.trigger.drain();
    assert_eq!(hear_out(&mut idle).await, "");
    soon(async { while TcpStream::connect(running.address).await.is_ok() {} }).await;
    feed.send(Bytes::from_static(b"after")).await.unwrap();
    drop(feed);
    assert!(hear_out(&mut streaming).await.ends_with("after\r\n0\r\n\r\n"));
    drop(streaming);
    soon(running.run).await.unwrap();
    assert_eq!(running.trigger.held(), 0);
    assert_eq!(running.counts.stats().open, 0);
}

#[tokio::test]
async fn draining_finishes_http2_streams_and_takes_no_new_ones() {
    let (running, mut feeders) = start_fed(&config()).await;
    let mut client = http2_client(running.address).await;
    let answer = soon(client.send_request(get(running.address, "/"))).await.unwrap();
    let feed = soon(feeders.recv()).await.unwrap();

    running.trigger.drain();
    // Until GOAWAY is agreed with the client, streams may still begin.
    while soon(client.send_request(get(running.address, "/"))).await.is_ok() {
        drop(soon(feeders.recv()).await.unwrap());
    }
    feed.send(Bytes::from_static(b"after")).await.unwrap();
    drop(feed);
    assert_eq!(soon(answer.into_body().collect()).await.unwrap().to_bytes(), "after");
    soon(running.run).await.unwrap();
}

#[tokio::test]
async fn what_still_runs_at_the_end_is_cut() {
    let (running, mut feeders) = start_fed(&config()).await;
    let mut client = connect(running.address).await;
    say(&mut client, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut client2 = http2_client(running.address).await;
    let _answer = soon(client2.send_request(get(running.address, "/"))).await.unwrap();
    let feeds = [soon(feeders.recv()).await.unwrap(), soon(feeders.recv()).await.unwrap()];

    assert_eq!(running.trigger.drain_then_end(Duration::from_millis(50)).await, 2);
    soon(running.run).await.unwrap();
    for feed in feeds {
        soon(feed.closed()).await;
    }
    assert_eq!(soon(running.trigger.gone(SOON)).await, 0);
    assert!(!hear_out(&mut client).await.contains("0\r\n\r\n"));
}

#[tokio::test]
async fn a_connection_that_said_nothing_does_not_hold_up_the_end() {
    let running = start(&config(), path).await;
    let _silent = connect(running.address).await;
    until(|| running.counts.stats().open == 1).await;
    running.trigger.drain();
    soon(running.run).await.unwrap();
}
