//! An upstream whose every byte and pause is scripted.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A request as it reached the upstream.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }

    /// A header's text; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }
}

/// One step of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Pause(Duration),
    /// Goes on when notified.
    Gate(Arc<Notify>),
    /// Waits until the caller cuts the connection, then notifies.
    Cut(Arc<Notify>),
    /// Ends the connection with a TCP reset.
    Reset,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply(Vec<Step>);

impl Reply {
    /// A whole answer with its length.
    pub(crate) fn json(status: u16, body: &str) -> Self {
        let head =
            format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        Self(vec![Step::Send(head.into_bytes()), Step::Send(body.as_bytes().to_vec())])
    }

    /// A whole answer in plain text, as a guard of the original kind gives it.
    pub(crate) fn text(status: u16, text: &str) -> Self {
        let length = text.len();
        Self::raw(&format!(
            "HTTP/1.1 {status} X\r\ncontent-type: text/plain;charset=UTF-8\r\ncontent-length: {length}\r\n\r\n{text}"
        ))
    }

    /// The head of a chunked answer.
    pub(crate) fn head(status: u16, kind: &str) -> Self {
        Self::raw(&format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"))
    }

    /// An event stream: each piece in a chunk of its own, then the end.
    pub(crate) fn sse<B: AsRef<[u8]>>(pieces: impl IntoIterator<Item = B>) -> Self {
        Self::head(200, "text/event-stream").chunks(pieces).end()
    }

    /// Exactly these bytes.
    pub(crate) fn raw(bytes: &str) -> Self {
        Self(vec![Step::Send(bytes.as_bytes().to_vec())])
    }

    pub(crate) fn chunk(mut self, piece: impl AsRef<[u8]>) -> Self {
        let piece = piece.as_ref();
        let mut framed = format!("{:x}\r\n", piece.len()).into_bytes();
        framed.extend_from_slice(piece);
        framed.extend_from_slice(b"\r\n");
        self.0.push(Step::Send(framed));
        self
    }

    pub(crate) fn chunks<B: AsRef<[u8]>>(self, pieces: impl IntoIterator<Item = B>) -> Self {
        pieces.into_iter().fold(self, Self::chunk)
    }

    /// Then exactly these bytes.
    pub(crate) fn then(mut self, bytes: &str) -> Self {
        self.0.push(Step::Send(bytes.as_bytes().to_vec()));
        self
    }

    pub(crate) fn end(mut self) -> Self {
        self.0.push(Step::Send(b"0\r\n\r\n".to_vec()));
        self
    }

    pub(crate) fn pause(mut self, time: Duration) -> Self {
        self.0.push(Step::Pause(time));
        self
    }

    pub(crate) fn gate(mut self, gate: &Arc<Notify>) -> Self {
        self.0.push(Step::Gate(Arc::clone(gate)));
        self
    }

    pub(crate) fn cut(mut self, seen: &Arc<Notify>) -> Self {
        self.0.push(Step::Cut(Arc::clone(seen)));
        self
    }

    pub(crate) fn reset(mut self) -> Self {
        self.0.push(Step::Reset);
        self
    }
}

type Script = dyn Fn(&Asked) -> Reply + Send + Sync;

/// The upstream.
pub(crate) struct Mock {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    accepting: JoinHandle<()>,
}

impl Mock {
    /// Starts on a free port; `script` answers each request.
    pub(crate) async fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_on(0, script).await
    }

    /// As [`Mock::start`], on this port: to come back where it was.
    pub(crate) async fn start_on(port: u16, script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let script: Arc<Script> = Arc::new(script);
        let log = Arc::clone(&asked);
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                while connections.try_join_next().is_some() {}
                stream.set_nodelay(true).unwrap();
                connections.spawn(serve(stream, Arc::clone(&script), Arc::clone(&log)));
            }
        });
        Self { address, asked, accepting }
    }

    /// Answers every request the same.
    pub(crate) async fn always(reply: Reply) -> Self {
        Self::start(move |_| reply.clone()).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Script>, log: Arc<Mutex<Vec<Asked>>>) {
    let mut read = Vec::new();
    while let Some(asked) = next_request(&mut stream, &mut read).await {
        log.lock().unwrap().push(asked.clone());
        for step in script(&asked).0 {
            match step {
                Step::Send(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Step::Pause(time) => tokio::time::sleep(time).await,
                Step::Gate(gate) => gate.notified().await,
                Step::Cut(seen) => {
                    while fill(&mut stream, &mut read).await.is_some() {}
                    return seen.notify_one();
                }
                Step::Reset => {
                    #[expect(deprecated, reason = "a linger of zero is what makes a reset, and it does not block")]
                    stream.set_linger(Some(Duration::ZERO)).unwrap();
                    return;
                }
            }
        }
    }
}

async fn next_request(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<Asked> {
    let end = loop {
        if let Some(at) = find(read, b"\r\n\r\n") {
            break at + 4;
        }
        fill(stream, read).await?;
    };
    let head = String::from_utf8(read.drain(..end).collect()).ok()?;
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next()?.to_owned();
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let body = if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        chunked(stream, read).await?
    } else {
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while read.len() < length {
            fill(stream, read).await?;
        }
        read.drain(..length).collect()
    };
    Some(Asked { line, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

async fn chunked(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let at = loop {
            match find(read, b"\r\n") {
                Some(at) => break at,
                None => fill(stream, read).await?,
            }
        };
        let size = usize::from_str_radix(std::str::from_utf8(&read[..at]).ok()?, 16).ok()?;
        while read.len() < at + 2 + size + 2 {
            fill(stream, read).await?;
        }
        body.extend_from_slice(&read[at + 2..at + 2 + size]);
        read.drain(..at + 2 + size + 2);
        if size == 0 {
            return Some(body);
        }
    }
}

async fn fill(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<()> {
    stream.read_buf(read).await.ok().filter(|count| *count > 0).map(drop)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
