//! The load: connections of its own to one address, each driven directly, one request at a time.
//!
//! Every answer is held against what must come: its status and the length of its body. The first that differs ends the
//! run, so that no proxy is fast by failing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::payload::{Ask, KEY};

/// What was answered, counted as it comes.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    answers: AtomicU64,
    bytes: AtomicU64,
}

impl Tally {
    /// Answers that came whole.
    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// One more that came whole.
    pub(crate) fn add_answer(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes of their bodies, and of those still on their way.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A request, ready to be sent again and again, and what must come back.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    request: Request<Full<Bytes>>,
    answer_bytes: usize,
}

impl Prepared {
    /// The request, with headers as an SDK sends them.
    pub(crate) fn new(ask: Ask) -> Result<Self> {
        let request = Request::post(ask.path())
            .header(header::HOST, "api.example.com")
            .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, "OpenAI/Python 2.8.0")
            .header("x-stainless-lang", "python")
            .header("x-stainless-package-version", "2.8.0")
            .header("x-stainless-os", "Linux")
            .header("x-stainless-arch", "x64")
            .header("x-stainless-runtime", "CPython")
            .header("x-stainless-retry-count", "0")
            .body(Full::new(ask.body()))?;
        Ok(Self { request, answer_bytes: ask.answer_bytes() })
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    tally: Arc<Tally>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr, tally: &Arc<Tally>) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move {
            // What goes wrong here, the request's own side reports.
            let _ = connection.await;
        });
        Ok(Self { sender, driver, tally: Arc::clone(tally) })
    }

    /// Sends the request and reads the answer to its end, calling back for every frame of its body.
    ///
    /// # Errors
    /// Another status than 200, a body of another length, or a connection that breaks.
    pub(crate) async fn ask(&mut self, prepared: &Prepared, mut on_frame: impl FnMut()) -> Result<()> {
        self.sender.ready().await.context("the connection was closed")?;
        let answer = self.sender.send_request(prepared.request.clone()).await.context("no answer")?;
        let status = answer.status();
        let mut body = answer.into_body();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.with_context(|| format!("the answer broke off after {bytes} bytes"))?;
            let length = frame.data_ref().map_or(0, Bytes::len);
            bytes += length;
            self.tally.bytes.fetch_add(length as u64, Ordering::Relaxed);
            on_frame();
        }
        ensure!(status == StatusCode::OK, "answered {status} with {bytes} bytes");
        let expected = prepared.answer_bytes;
        ensure!(bytes == expected, "the answer has {bytes} bytes where {expected} were sent to be passed on");
        self.tally.add_answer();
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
