//! The tour's client: one chat call over a connection of its own, as any HTTP client would make it.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: String,
}

/// Asks the demo model something.
pub(super) async fn chat(proxy: SocketAddr, key: &str, stream: bool) -> Result<Answer> {
    let body = format!(
        r#"{{"model":"demo","stream":{stream},"max_tokens":64,"messages":[{{"role":"user","content":"What does a toll gate do?"}}]}}"#
    );
    let request = Request::post("/v1/chat/completions")
        .header(HOST, proxy.to_string())
        .header(AUTHORIZATION, format!("Bearer {key}"))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let socket = TcpStream::connect(proxy).await.context("the proxy does not accept connections")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    drop(sender);
    connection.await??;
    Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
}
