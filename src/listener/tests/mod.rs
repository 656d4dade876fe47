//! The listener over real sockets, seen by raw and by ordinary clients.

mod drain;
mod http1;
mod http2;
mod hygiene;
mod timeouts;
mod tls;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Counts, Listener, Peer};
use crate::config::{Disconnect, Listen, Proxy};
use crate::shutdown::{Shutdown, Trigger};

/// Long enough for anything that is going to happen.
const SOON: Duration = Duration::from_secs(10);

/// A listener at work.
struct Running {
    address: SocketAddr,
    counts: Counts,
    trigger: Trigger,
    run: JoinHandle<()>,
}

fn config() -> Proxy {
    Proxy {
        listen: Listen { address: SocketAddr::from(([127, 0, 0, 1], 0)) },
        tls: None,
        max_request_bytes: 1 << 20,
        max_connections: 64,
        disconnect: Disconnect::Abort,
        header_timeout: SOON,
        idle_timeout: SOON,
        drain_timeout: SOON,
    }
}

async fn start<S, F, B>(config: &Proxy, service: S) -> Running
where
    S: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let listener = Listener::bind(config).await.unwrap();
    let (trigger, shutdown) = Shutdown::new();
    let (address, counts) = (listener.local_addr(), listener.counts());
    let run = tokio::spawn(listener.run(service, shutdown));
    Running { address, counts, trigger, run }
}

/// Answers with the path that was asked for.
async fn path(request: Request<Incoming>, _: Peer) -> Response<Full<Bytes>> {
    Response::new(Full::new(Bytes::from(request.uri().path().to_owned())))
}

/// A body fed from outside.
struct Fed(mpsc::Receiver<Bytes>);

impl Body for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Starts a listener whose every answer is fed by a sender that comes out of the channel.
async fn start_fed(config: &Proxy) -> (Running, mpsc::Receiver<mpsc::Sender<Bytes>>) {
    let (feeders, next) = mpsc::channel(8);
    let service = move |_: Request<Incoming>, _: Peer| {
        let (feed, body) = mpsc::channel(1);
        feeders.try_send(feed).unwrap();
        std::future::ready(Response::new(Fed(body)))
    };
    (start(config, service).await, next)
}

async fn soon<F: Future>(fact: F) -> F::Output {
    timeout(SOON, fact).await.expect("it did not happen in time")
}

async fn until(fact: impl Fn() -> bool) {
    soon(async {
        while !fact() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

async fn connect(address: SocketAddr) -> TcpStream {
    soon(TcpStream::connect(address)).await.unwrap()
}

async fn say(stream: &mut TcpStream, text: &str) {
    soon(stream.write_all(text.as_bytes())).await.unwrap();
}

/// Reads until the text ends with `end`.
async fn hear(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    soon(async {
        while !text.ends_with(end.as_bytes()) {
            let byte = stream.read_u8().await.unwrap_or_else(|error| {
                panic!("{error} after {:?}", String::from_utf8_lossy(&text));
            });
            text.push(byte);
        }
    })
    .await;
    String::from_utf8(text).unwrap()
}

/// Reads to the end, which may be a reset.
async fn hear_out(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let _ = soon(stream.read_to_end(&mut text)).await;
    String::from_utf8(text).unwrap()
}

async fn http2_client(address: SocketAddr) -> hyper::client::conn::http2::SendRequest<Full<Bytes>> {
    let io = TokioIo::new(connect(address).await);
    let (client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    client
}

fn get(address: SocketAddr, path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("http://{address}{path}")).body(Full::default()).unwrap()
}
