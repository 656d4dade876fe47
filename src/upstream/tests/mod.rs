//! Calls against upstreams scripted byte by byte.

mod failures;
mod forwarding;
mod passing_back;
mod protocols;
mod reuse;
mod routing;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::error::BoxError;
use super::{
    Answer, ClientBody, Encoding, Failure, Outbound, OutboundBody, PassCredential, Routing, Target, UpstreamStats,
    Upstreams,
};
use crate::config::{self, DialectChoice, Disconnect, Matching, Timeouts};

/// An upstream as configured, with time limits that no test reaches.
fn config(url: &str) -> config::Upstream {
    let limit = Duration::from_secs(20);
    config::Upstream {
        name: "up".into(),
        url: url.parse().unwrap(),
        dialect: DialectChoice::Auto,
        credential: None,
        matching: Matching::default(),
        inject_usage: true,
        disconnect: Disconnect::Abort,
        timeouts: Timeouts { connect: limit, first_byte: limit, idle: limit },
        http2: false,
        provider: "test".into(),
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// The one upstream of this configuration.
fn only(config: config::Upstream) -> (Upstreams, Arc<Target>) {
    let upstreams = Upstreams::new(&[config]).unwrap();
    let target = upstreams.route(&Routing::default()).unwrap();
    (upstreams, target)
}

fn counted(upstreams: &Upstreams) -> UpstreamStats {
    upstreams.stats().upstreams.first().unwrap().clone()
}

fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn outbound(head: &Parts, body: OutboundBody) -> Outbound<'_> {
    Outbound { head, body, credential: PassCredential::Never, encoding: Encoding::AsAsked }
}

fn whole<'a>(head: &'a Parts, body: &'static str) -> Outbound<'a> {
    outbound(head, OutboundBody::Whole(Bytes::from_static(body.as_bytes())))
}

/// A client's body that is fed by the test: it waits when nothing is there and ends when the feeder is dropped.
struct Fed(mpsc::Receiver<Result<Frame<Bytes>, BoxError>>);

impl Body for Fed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx)
    }
}

type Feeder = mpsc::Sender<Result<Frame<Bytes>, BoxError>>;

fn fed() -> (Feeder, ClientBody) {
    let (feeder, body) = mpsc::channel(8);
    (feeder, ClientBody::new(Fed(body)))
}

/// A client's body that gives these frames and ends.
async fn frames(frames: Vec<Frame<Bytes>>) -> ClientBody {
    let (feeder, body) = fed();
    for frame in VecDeque::from(frames) {
        feeder.send(Ok(frame)).await.unwrap();
    }
    body
}

fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

/// What an upstream saw of one request.
struct Seen {
    line: String,
    /// Sorted.
    headers: Vec<String>,
    body: String,
}

impl Seen {
    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|line| line.starts_with(&format!("{name}: ")))
    }
}

/// Reads a head up to its empty line.
async fn read_head(stream: &mut TcpStream) -> Seen {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let text = String::from_utf8(head).unwrap();
    let mut lines = text.trim_end().split("\r\n").map(str::to_owned);
    let line = lines.next().unwrap();
    let mut headers: Vec<String> = lines.collect();
    headers.sort();
    Seen { line, headers, body: String::new() }
}

/// Reads a whole request; a chunked body is kept as it came.
async fn read_request(stream: &mut TcpStream) -> Seen {
    let mut seen = read_head(stream).await;
    let length = seen.headers.iter().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    if seen.has("transfer-encoding") {
        while !body.ends_with(b"0\r\n\r\n") {
            body.push(stream.read_u8().await.unwrap());
        }
    }
    seen.body = String::from_utf8(body).unwrap();
    seen
}

/// Takes one connection, reads one request and writes these bytes.
async fn serve(listener: &TcpListener, bytes: &str) -> (Seen, TcpStream) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let seen = read_request(&mut stream).await;
    stream.write_all(bytes.as_bytes()).await.unwrap();
    (seen, stream)
}

/// What the upstream saw of this request, which it answers with an empty 200.
async fn seen_of(target: &Target, listener: &TcpListener, request: Outbound<'_>) -> Seen {
    let (answer, (seen, _)) = tokio::join!(target.send(request), serve(listener, LAST_OK));
    answer.unwrap();
    seen
}

/// Ends the connection, so that the next call comes over another.
const LAST_OK: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
const EMPTY_OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

async fn read_all(answer: Answer) -> Result<(String, Option<HeaderMap>), Failure> {
    let body = answer.body.collect().await?;
    let trailers = body.trailers().cloned();
    Ok((String::from_utf8(body.to_bytes().to_vec()).unwrap(), trailers))
}

/// Closes with RST, as a process that dies does.
fn reset(stream: &TcpStream) {
    stream.set_zero_linger().unwrap();
}
