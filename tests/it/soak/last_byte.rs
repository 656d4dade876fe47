//! A client that received the last byte always finds its event, after a SIGKILL from the very task that received it.
//!
//! No timing luck: whatever the process had not done when it let go of that byte, it can hardly do any more.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use rustix::process::{Pid, Signal, kill_process};

use super::upstream::Upstream;
use super::victim::{self, Place};
use crate::peers::Program;
use crate::support::{Client, eventually};

const ROUNDS: usize = 100;

/// What the client takes for the end of an answer.
#[derive(Clone, Copy, Debug)]
enum End {
    /// As many bytes as `content-length` says.
    Length,
    /// The end of the body.
    Body,
    /// `[DONE]`, whatever may follow.
    Done,
}

const SHAPES: [(&str, End); 4] = [
    ("soak-whole", End::Length),
    ("soak-chunked", End::Body),
    ("soak-sse\",\"stream\":true,\"x\":\"", End::Done),
    ("soak-sse\",\"stream\":true,\"x\":\"", End::Body),
];

#[tokio::test]
async fn whoever_received_the_last_byte_finds_its_event_after_a_kill_at_once() {
    let upstream = Upstream::start().await;
    let place = Place::new(&upstream.url(), "");
    let mut victim = victim::start(&place).await;
    for round in 0..ROUNDS {
        let (model, end) = SHAPES[round / 2 % SHAPES.len()];
        let h2 = round.is_multiple_of(2);
        let id = ask_and_kill(&victim, h2, model, end).await;
        victim.kill().await;
        victim = victim::start(&place).await;
        let line = eventually(&format!("the event of round {round}"), || {
            let text = std::fs::read_to_string(place.events()).unwrap_or_default();
            text.lines().find(|line| line.contains(&id)).map(str::to_owned)
        })
        .await;
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["data"]["outcome"], "ok", "round {round}, {end:?}, h2 {h2}: {line}");
        assert_eq!(event["data"]["usage"]["source"], "provider", "round {round}, {end:?}, h2 {h2}: {line}");
    }
    victim.end().await;
    super::victim::audit(&["--file", place.events().to_str().unwrap()]);
}

/// Asks, and kills in the moment the answer is complete; the request's id.
async fn ask_and_kill(victim: &Program, h2: bool, model: &str, end: End) -> String {
    let pid = Pid::from_raw(victim.process.id() as i32).unwrap();
    let mut client = if h2 { Client::connect_h2(victim.address).await } else { Client::connect(victim.address).await };
    let body = format!("{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}");
    let request = Request::post("/v1/chat/completions").header("content-type", "application/json");
    let mut got = client.send(request.body(Full::new(Bytes::from(body))).unwrap()).await;
    assert_eq!(got.status, 200);
    let id = got.header("x-tollgate-request-id").unwrap().to_owned();
    let length = got.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(usize::MAX);
    let mut read = Vec::new();
    while let Some(piece) = got.piece().await {
        read.extend_from_slice(&piece.expect("a whole answer"));
        let complete = match end {
            End::Length => read.len() == length,
            End::Done => read.windows(6).any(|found| found == b"[DONE]"),
            End::Body => false,
        };
        if complete {
            kill_process(pid, Signal::KILL).unwrap();
            return id;
        }
    }
    kill_process(pid, Signal::KILL).unwrap();
    assert!(matches!(end, End::Body), "the answer ended before it was complete: {}", String::from_utf8_lossy(&read));
    id
}
