//! The yardstick: the least that a reverse proxy on hyper can do, against which Tollgate is measured.
//!
//! hyper's HTTP/1.1 server, hyper-util's client with its pool, `TCP_NODELAY` on both sides, bodies passed on as they
//! come. It checks nobody, reads nothing and records nothing. The runtime is Tollgate's: multi-threaded, one worker.

use std::net::SocketAddr;

use anyhow::Result;
use http::uri::{Authority, Scheme};
use http::{HeaderName, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

type Upstream = Client<HttpConnector, Incoming>;

const HOP_BY_HOP: [HeaderName; 5] = [
    http::header::CONNECTION,
    http::header::TE,
    http::header::TRAILER,
    http::header::TRANSFER_ENCODING,
    http::header::UPGRADE,
];

/// Serves for as long as the process lives.
pub(crate) fn run(listen: SocketAddr, upstream: SocketAddr) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(serve(listen, upstream))
}

async fn serve(listen: SocketAddr, upstream: SocketAddr) -> Result<()> {
    let authority: Authority = upstream.to_string().parse()?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(converse(stream, client.clone(), authority.clone()));
    }
}

async fn converse(stream: TcpStream, client: Upstream, authority: Authority) {
    let service = service_fn(move |request| forward(client.clone(), authority.clone(), request));
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        eprintln!("floor: {error}");
    }
}

/// Sends the request on. A failure closes the client's connection, which ends the run.
async fn forward(client: Upstream, authority: Authority, request: Request<Incoming>) -> Result<Response<Incoming>> {
    let (mut head, body) = request.into_parts();
    head.uri = towards(head.uri, authority)?;
    for name in &HOP_BY_HOP {
        head.headers.remove(name);
    }
    let (mut head, body) = client.request(Request::from_parts(head, body)).await?.into_parts();
    for name in &HOP_BY_HOP {
        head.headers.remove(name);
    }
    Ok(Response::from_parts(head, body))
}

fn towards(uri: Uri, authority: Authority) -> Result<Uri> {
    let mut parts = uri.into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    Ok(Uri::from_parts(parts)?)
}
