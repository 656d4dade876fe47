//! The demo's built-in fake LLM: an OpenAI-style chat endpoint that answers a fixed sentence, a word at a time.
//!
//! It reports usage as the real ones do: in a whole answer always, in a stream only when asked. It is there to be
//! measured, not to be clever.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::time::{Interval, interval};

const WORDS: &str = "Every token is counted once and none is ever lost on its way to you";
/// 40 words a second.
const PACE: Duration = Duration::from_millis(25);

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: Options,
    #[serde(default)]
    messages: Vec<Message>,
}

#[derive(Default, Deserialize)]
struct Options {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: serde_json::Value,
}

type Answer = Response<Either<Full<Bytes>, Words>>;

/// Binds a free port on loopback and serves until dropped; gives the address at once.
pub(super) async fn bind() -> std::io::Result<(SocketAddr, TcpListener)> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    Ok((listener.local_addr()?, listener))
}

/// Serves the fake LLM.
pub(super) async fn serve(listener: TcpListener) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        drop(stream.set_nodelay(true));
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
        connections.spawn(async move { drop(connection.await) });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Answer, Infallible> {
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let Ok(asked) = serde_json::from_slice::<Asked>(&body) else {
        return Ok(json(StatusCode::BAD_REQUEST, r#"{"error":{"message":"not a chat request"}}"#.to_owned()));
    };
    let heard: usize = asked.messages.iter().map(|message| message.content.to_string().len()).sum();
    let usage = usage(heard / 4 + 4);
    if !asked.stream {
        let whole = format!(
            r#"{{"id":"chatcmpl-demo","object":"chat.completion","model":"demo-1","choices":[{{"index":0,"message":{{"role":"assistant","content":"{WORDS}."}},"finish_reason":"stop"}}],"usage":{usage}}}"#
        );
        return Ok(json(StatusCode::OK, whole));
    }
    let usage = asked.stream_options.include_usage.then_some(usage);
    let mut response = Response::new(Either::Right(Words { events: events(usage).into_iter(), pace: interval(PACE) }));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

fn usage(input: usize) -> String {
    let output = WORDS.split(' ').count();
    format!(r#"{{"prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{}}}"#, input + output)
}

fn json(status: StatusCode, body: String) -> Answer {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(body))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn events(usage: Option<String>) -> Vec<String> {
    let chunk = |choices: &str, rest: &str| {
        format!(
            r#"data: {{"id":"chatcmpl-demo","object":"chat.completion.chunk","model":"demo-1","choices":[{choices}]{rest}}}"#
        ) + "\n\n"
    };
    let delta = |delta: &str, reason: &str| format!(r#"{{"index":0,"delta":{delta},"finish_reason":{reason}}}"#);
    let mut events = vec![chunk(&delta(r#"{"role":"assistant","content":""}"#, "null"), "")];
    events.extend(WORDS.split(' ').map(|word| chunk(&delta(&format!(r#"{{"content":"{word} "}}"#), "null"), "")));
    events.push(chunk(&delta("{}", r#""stop""#), ""));
    events.extend(usage.map(|usage| chunk("", &format!(r#","usage":{usage}"#))));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// A stream of events at a steady pace.
pub(super) struct Words {
    events: std::vec::IntoIter<String>,
    pace: Interval,
}

impl http_body::Body for Words {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.pace.poll_tick(cx));
        Poll::Ready(self.events.next().map(|event| Ok(Frame::data(Bytes::from(event)))))
    }
}
