use http_body_util::BodyExt;
use tokio::time::Instant;

use super::{
    AsyncReadExt, Bytes, Duration, Proxy, config, connect, get, hear, hear_out, http2_client, mpsc, path, say, soon,
    start, start_fed, timeout, until,
};

const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_millis(600);

#[tokio::test]
async fn a_slow_head_is_cut() {
    let running = start(&Proxy { header_timeout: SHORT, ..config() }, path).await;
    for begin in ["G", "GET / HTTP/1.1\r\nhost: a\r\n"] {
        let mut client = connect(running.address).await;
        say(&mut client, begin).await;
        assert_eq!(hear_out(&mut client).await, "");
    }
    assert_eq!(running.counts.stats().header_timeouts, 2);
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_the_idle_timeout_and_no_longer() {
    let running = start(&Proxy { header_timeout: SHORT, idle_timeout: LONG, ..config() }, path).await;
    let mut client = connect(running.address).await;
    say(&mut client, "GET /one HTTP/1.1\r\nhost: a\r\n\r\n").await;
    hear(&mut client, "/one").await;
    let begun = Instant::now();
    assert_eq!(hear_out(&mut client).await, "");
    assert!(begun.elapsed() > SHORT * 3, "closed after {:?}", begun.elapsed());
    until(|| running.counts.stats().open == 0).await;
    let stats = running.counts.stats();
    assert_eq!((stats.idle_closed, stats.header_timeouts), (1, 0));
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed_although_it_answers_pings() {
    let running = start(&Proxy { idle_timeout: SHORT, ..config() }, path).await;
    let mut client = http2_client(running.address).await;
    soon(client.send_request(get(running.address, "/"))).await.unwrap();
    until(|| running.counts.stats().open == 0).await;
    assert_eq!(running.counts.stats().idle_closed, 1);
}

#[tokio::test]
async fn a_quiet_upstream_cuts_nobody() {
    let (running, mut feeders) = start_fed(&Proxy { header_timeout: SHORT, idle_timeout: SHORT, ..config() }).await;
    let mut client = connect(running.address).await;
    say(&mut client, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let feed = soon(feeders.recv()).await.unwrap();
    feed.send(Bytes::from_static(b"first")).await.unwrap();
    hear(&mut client, "first\r\n").await;
    // The silence itself is under test.
    tokio::time::sleep(SHORT * 4).await;
    feed.send(Bytes::from_static(b"second")).await.unwrap();
    drop(feed);
    hear(&mut client, "second\r\n0\r\n\r\n").await;
}

/// Feeds until nobody wants more.
async fn feed_until_cut(feed: mpsc::Sender<Bytes>) {
    let chunk = Bytes::from(vec![b'x'; 1 << 16]);
    while feed.send(chunk.clone()).await.is_ok() {}
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_cut() {
    let (running, mut feeders) = start_fed(&Proxy { idle_timeout: SHORT, ..config() }).await;
    let mut client = connect(running.address).await;
    say(&mut client, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    soon(feed_until_cut(soon(feeders.recv()).await.unwrap())).await;
    until(|| running.counts.stats().open == 0).await;
    assert_eq!(running.counts.stats().stalled, 1);
}

#[tokio::test]
async fn an_http2_client_that_opens_no_window_is_cut() {
    let (running, mut feeders) = start_fed(&Proxy { idle_timeout: SHORT, ..config() }).await;
    let mut client = http2_client(running.address).await;
    let _unread = soon(client.send_request(get(running.address, "/"))).await.unwrap();
    soon(feed_until_cut(soon(feeders.recv()).await.unwrap())).await;
    until(|| running.counts.stats().open == 0).await;
    assert_eq!(running.counts.stats().stalled, 1);
}

#[tokio::test]
async fn a_slow_but_steady_reader_is_not_cut() {
    let (running, mut feeders) = start_fed(&Proxy { idle_timeout: SHORT, ..config() }).await;
    let mut client = http2_client(running.address).await;
    let mut answer = soon(client.send_request(get(running.address, "/"))).await.unwrap();
    let feed = soon(feeders.recv()).await.unwrap();
    let feeding = tokio::spawn(async move {
        for _ in 0..8 {
            feed.send(Bytes::from(vec![b'x'; 1 << 16])).await.unwrap();
        }
    });
    let mut bytes = 0;
    while let Some(frame) = soon(answer.body_mut().frame()).await {
        bytes += frame.unwrap().into_data().unwrap().len();
        tokio::time::sleep(SHORT / 15).await;
    }
    feeding.await.unwrap();
    assert_eq!((bytes, running.counts.stats().stalled), (8 << 16, 0));
}

#[tokio::test]
async fn one_connection_too_many_waits_until_another_closes() {
    let running = start(&Proxy { max_connections: 2, ..config() }, path).await;
    let mut clients = [connect(running.address).await, connect(running.address).await];
    for client in &mut clients {
        say(client, "GET /in HTTP/1.1\r\nhost: a\r\n\r\n").await;
        hear(client, "/in").await;
    }
    until(|| running.counts.stats().at_limit > 0).await;
    let mut third = connect(running.address).await;
    say(&mut third, "GET /third HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut byte = [0];
    timeout(SHORT, third.read(&mut byte)).await.unwrap_err();
    assert_eq!(running.counts.stats().open, 2);
    drop(clients);
    hear(&mut third, "/third").await;
    assert_eq!(running.counts.stats().accepted, 3);
}
