//! A client over a connection of its own, that sees every byte and can hang up at any moment.

use std::error::Error;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

enum Sender {
    H1(http1::SendRequest<Full<Bytes>>),
    H2(http2::SendRequest<Full<Bytes>>),
}

/// A client.
pub(crate) struct Client {
    sender: Sender,
    connection: JoinHandle<()>,
    /// The connection's socket once more, to see its end.
    socket: std::net::TcpStream,
    host: String,
}

/// An answer that has begun.
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Incoming,
}

impl Client {
    /// Connects with HTTP/1.1.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).await.unwrap()
    }

    /// The same to a server that may be gone.
    pub(crate) async fn try_connect(address: SocketAddr) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let (stream, socket) = connect(address).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender: Sender::H1(sender), connection, socket, host: address.to_string() })
    }

    /// Connects with HTTP/2, prior knowledge.
    pub(crate) async fn connect_h2(address: SocketAddr) -> Self {
        Self::try_connect_h2(address).await.unwrap()
    }

    /// The same to a server that may be gone.
    pub(crate) async fn try_connect_h2(address: SocketAddr) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let (stream, socket) = connect(address).await?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        let connection = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender: Sender::H2(sender), connection, socket, host: address.to_string() })
    }

    /// Sends a JSON body with a key, if there is one.
    pub(crate) async fn post(&mut self, path: &str, key: Option<&str>, body: impl Into<Bytes>) -> Got {
        let mut request = Request::post(path).header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        self.send(request.body(Full::new(body.into())).unwrap()).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Got {
        self.send(Request::builder().method(Method::GET).uri(path).body(Full::default()).unwrap()).await
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Got {
        self.try_send(request).await.expect("an answer")
    }

    pub(crate) async fn try_send(&mut self, mut request: Request<Full<Bytes>>) -> hyper::Result<Got> {
        let response = match &mut self.sender {
            Sender::H1(sender) => {
                let host = self.host.parse().unwrap();
                request.headers_mut().entry("host").or_insert(host);
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::H2(sender) => {
                let path = request.uri().path_and_query().unwrap().to_string();
                *request.uri_mut() = format!("http://{}{path}", self.host).parse().unwrap();
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (head, body) = response.into_parts();
        Ok(Got { status: head.status, headers: head.headers, body })
    }

    /// Cuts the connection.
    pub(crate) fn hang_up(self) {
        self.connection.abort();
    }

    /// Cuts the connection, and waits until the server has noticed: it has closed its side too. From then on it gives
    /// this client nothing more.
    pub(crate) async fn leave(self) {
        self.connection.abort();
        drop(self.connection.await);
        let mut socket = TcpStream::from_std(self.socket).unwrap();
        // It may already be closed by the other side.
        drop(socket.shutdown().await);
        let mut unread = [0; 1024];
        while socket.read(&mut unread).await.is_ok_and(|count| count > 0) {}
    }
}

async fn connect(address: SocketAddr) -> std::io::Result<(TcpStream, std::net::TcpStream)> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let socket = stream.try_clone()?;
    Ok((TcpStream::from_std(stream)?, socket))
}

impl Got {
    /// The next piece of the body.
    pub(crate) async fn piece(&mut self) -> Option<hyper::Result<Bytes>> {
        loop {
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The whole body.
    pub(crate) async fn bytes(self) -> Bytes {
        self.body.collect().await.expect("a whole body").to_bytes()
    }

    pub(crate) async fn text(self) -> String {
        String::from_utf8(self.bytes().await.to_vec()).unwrap()
    }

    pub(crate) async fn json(self) -> serde_json::Value {
        serde_json::from_slice(&self.bytes().await).expect("a JSON body")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}
