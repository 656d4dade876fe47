//! An upstream that answers at once and remembers nothing, so that a long run costs it no memory.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const WHOLE: &str = r#"{"id":"c","model":"steady-1","choices":[{"index":0,"message":{"role":"assistant","content":"hello you"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}"#;
const PIECE: &str =
    "data: {\"id\":\"c\",\"model\":\"steady-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"}}]}\n\n";
const END: &str = "data: {\"id\":\"c\",\"model\":\"steady-1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"id\":\"c\",\"model\":\"steady-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":4,\"total_tokens\":14}}\n\ndata: [DONE]\n\n";

/// The upstream.
pub(super) struct Upstream {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Upstream {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                tokio::spawn(serve(stream));
            }
        });
        Self { address, accepting }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Answers request after request until the connection ends.
async fn serve(mut stream: TcpStream) {
    let whole = head("application/json", WHOLE.len()) + WHOLE;
    let text = PIECE.repeat(4) + END;
    let streamed = head("text/event-stream", text.len()) + &text;
    let mut read = Vec::new();
    loop {
        let length = loop {
            if let Some(length) = request_bytes(&read) {
                break length;
            }
            if stream.read_buf(&mut read).await.is_ok_and(|count| count > 0) {
                continue;
            }
            return;
        };
        let asks_for_a_stream = find(&read[..length], b"\"stream\":true").is_some();
        read.drain(..length);
        let answer = if asks_for_a_stream { &streamed } else { &whole };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn head(kind: &str, length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n")
}

/// How long the first request is, once it is there whole.
fn request_bytes(read: &[u8]) -> Option<usize> {
    let head = find(read, b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&read[..head]).unwrap().to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")).expect("a length");
    let whole = head + length.trim().parse::<usize>().unwrap();
    (read.len() >= whole).then_some(whole)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
