use http::Version;
use http_body_util::BodyExt;

use super::{Incoming, Peer, Request, config, get, http2_client, path, soon, start, start_fed};

#[tokio::test]
async fn http2_is_served_by_prior_knowledge_on_the_same_port() {
    let running = start(&config(), path).await;
    let mut client = http2_client(running.address).await;
    let answers = [client.send_request(get(running.address, "/a")), client.send_request(get(running.address, "/b"))];
    for (answer, path) in answers.into_iter().zip(["/a", "/b"]) {
        let answer = soon(answer).await.unwrap();
        assert_eq!(answer.version(), Version::HTTP_2);
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), path);
    }
    assert_eq!(running.counts.stats().accepted, 1);
}

#[tokio::test]
async fn a_client_that_leaves_drops_the_answer() {
    let (running, mut feeders) = start_fed(&config()).await;
    let mut client = http2_client(running.address).await;
    let answer = soon(client.send_request(get(running.address, "/"))).await.unwrap();
    let feed = soon(feeders.recv()).await.unwrap();
    drop(answer);
    soon(feed.closed()).await;
    assert_eq!(running.counts.stats().open, 1);
}

#[tokio::test]
async fn a_panic_ends_its_stream_only() {
    let running = start(&config(), |request: Request<Incoming>, peer: Peer| async move {
        assert_ne!(request.uri().path(), "/panic", "as the test wants it");
        path(request, peer).await
    })
    .await;
    let mut client = http2_client(running.address).await;
    soon(client.send_request(get(running.address, "/panic"))).await.unwrap_err();
    let answer = soon(client.send_request(get(running.address, "/on"))).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(running.counts.stats().panics, 1);
}
