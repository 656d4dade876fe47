//! The mock upstream: answers with bytes that were made beforehand and does as little else as it can.
//!
//! It speaks just enough HTTP/1.1 for the proxies measured here: keep-alive, one request after the other, bodies with a
//! `content-length`. Anything else ends the connection, and with it the run. Each chunk of a stream is a write of its
//! own. It shares its core with the load, so what it spends is taken from nobody who is measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

use crate::payload::{Answers, Ask, Stream};

const MOST_HEAD_BYTES: usize = 64 * 1024;

/// Serves for as long as the process lives.
pub(crate) fn run(listen: SocketAddr) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(listen))
}

async fn serve(listen: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let answers = Arc::new(Answers::new());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answers = Arc::clone(&answers);
        tokio::spawn(async move {
            if let Err(error) = converse(stream, &answers).await {
                eprintln!("upstream: {error:#}");
            }
        });
    }
}

/// Answers one request after the other until the other side closes.
async fn converse(mut stream: TcpStream, answers: &Answers) -> Result<()> {
    let mut buffer = BytesMut::with_capacity(4 * 1024);
    while let Some(body) = request(&mut stream, &mut buffer).await? {
        let sent = match Ask::read(&body)? {
            Ask::Whole => stream.write_all(&answers.whole).await,
            Ask::Stream(format, pause) => {
                let answer = answers.stream(format).context("no stream of this format")?;
                send_stream(&mut stream, (answer, &body), pause).await
            }
        };
        if sent.is_err() {
            // Who asked has gone.
            return Ok(());
        }
    }
    Ok(())
}

async fn send_stream(stream: &mut TcpStream, (answer, body): (&Stream, &[u8]), pause: Duration) -> std::io::Result<()> {
    let start = Instant::now();
    for (number, write) in (0..).zip(answer.chunks.iter().chain([answer.last_of(body)])) {
        // Counted from the start, so that no lateness adds up; the first goes at once, since timers are good to 1 ms.
        if number > 0 && !pause.is_zero() {
            sleep_until(start + pause * number).await;
        }
        stream.write_all(write).await?;
    }
    Ok(())
}

/// The body of the next request; `None` when there is none.
async fn request(stream: &mut TcpStream, buffer: &mut BytesMut) -> Result<Option<Bytes>> {
    let (head, body) = loop {
        if let Some(end) = memmem::find(buffer, b"\r\n\r\n") {
            let head = buffer.get(..end).unwrap_or_default();
            break (end + 4, content_length(head).context("a request without content-length")?);
        }
        if buffer.len() > MOST_HEAD_BYTES {
            bail!("a request head without an end");
        }
        match stream.read_buf(buffer).await {
            Ok(read) if read > 0 => {}
            _ => return Ok(None),
        }
    };
    while buffer.len() < head + body {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    let request = buffer.split_to(head + body).freeze();
    Ok(Some(request.slice(head..)))
}

fn content_length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    let mut fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
    fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?.1.trim().parse().ok()
}
