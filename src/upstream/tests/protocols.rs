use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use super::{config, counted, head, listen, only, read_all, whole};
use crate::config as checked;
use crate::upstream::connect::{Connector, Speaks};
use crate::upstream::link::{Address, Link};
use crate::upstream::stats::Counters;
use crate::upstream::tls::Roots;
use crate::upstream::{Routing, Step, Upstreams};

/// Answers with the host that was asked for, the length header and the body.
async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    assert_eq!(head.headers.get("host"), None, "HTTP/2 says the host in :authority");
    let length = head.headers.get("content-length").map(|length| length.to_str().unwrap().to_owned());
    let body = body.collect().await.unwrap().to_bytes();
    let text = format!("{} {} {length:?} {body:?}", head.method, head.uri);
    Ok(Response::new(Full::from(text)))
}

async fn serve_h2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) {
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let _ = server.serve_connection(TokioIo::new(stream), service_fn(echo)).await;
}

#[tokio::test]
async fn an_upstream_may_speak_http2_without_tls() {
    let (listener, url) = listen().await;
    let (upstreams, target) = only(checked::Upstream { http2: true, ..config(&url) });
    let server = async { serve_h2(listener.accept().await.unwrap().0).await };
    let head = head("POST", "/v1/x?a=b", &[("connection", "close"), ("te", "trailers"), ("host", "evil")]);
    let calls = async {
        for _ in 0..2 {
            let answer = target.send(whole(&head, "{}")).await.unwrap();
            assert_eq!(answer.version, Version::HTTP_2);
            let text = read_all(answer).await.unwrap().0;
            assert_eq!(text, format!("POST {url}/v1/x?a=b Some(\"2\") b\"{{}}\""));
        }
    };
    tokio::select! {
        () = server => panic!("the server ended first"),
        () = calls => {}
    }
    assert_eq!(counted(&upstreams).connections_opened, 1);
}

#[tokio::test]
async fn an_http1_upstream_taken_for_http2_fails_at_once() {
    let (listener, url) = listen().await;
    let (_, target) = only(checked::Upstream { http2: true, ..config(&url) });
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    };
    let head = head("POST", "/", &[]);
    let (failure, ()) = tokio::join!(target.send(whole(&head, "{}")), server);
    let failure = failure.unwrap_err();
    assert!(failure.code().starts_with("upstream_"), "{failure:?}");
}

/// A private authority, and a server for `localhost` that it vouches for.
fn authority(alpn: &[&[u8]]) -> (RootCertStore, TlsAcceptor) {
    let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    server.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    (roots, TlsAcceptor::from(Arc::new(server)))
}

async fn https(alpn: &[&[u8]]) -> (TcpListener, checked::Upstream, (RootCertStore, TlsAcceptor)) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = config(&format!("https://localhost:{}", listener.local_addr().unwrap().port()));
    (listener, config, authority(alpn))
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_given_and_http2_is_agreed_on() {
    let (listener, config, (roots, acceptor)) = https(&[b"h2", b"http/1.1"]).await;
    let upstreams = Upstreams::with_roots(&[config], roots).unwrap();
    let target = upstreams.route(&Routing::default()).unwrap();
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        serve_h2(acceptor.accept(stream).await.unwrap()).await;
    };
    let head = head("POST", "/x", &[]);
    let call = async {
        let answer = target.send(whole(&head, "")).await.unwrap();
        assert_eq!(answer.version, Version::HTTP_2);
        assert!(read_all(answer).await.unwrap().0.starts_with("POST https://localhost:"));
    };
    tokio::select! {
        () = server => panic!("the server ended first"),
        () = call => {}
    }
}

#[tokio::test]
async fn an_https_upstream_without_http2_is_called_by_http1() {
    let (listener, config, (roots, acceptor)) = https(&[]).await;
    let upstreams = Upstreams::with_roots(&[config], roots).unwrap();
    let target = upstreams.route(&Routing::default()).unwrap();
    let server = async {
        let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n{}") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        stream
    };
    let head = head("POST", "/x", &[]);
    let (answer, _stream) = tokio::join!(target.send(whole(&head, "{}")), server);
    let answer = answer.unwrap();
    assert_eq!(answer.version, Version::HTTP_11);
    assert_eq!(read_all(answer).await.unwrap().0, "ok");
}

#[tokio::test]
async fn an_authority_that_is_not_trusted_is_refused() {
    let (listener, config, (_, acceptor)) = https(&[]).await;
    let (others, _) = authority(&[]);
    let upstreams = Upstreams::with_roots(&[config], others).unwrap();
    let target = upstreams.route(&Routing::default()).unwrap();
    let server = async { acceptor.accept(listener.accept().await.unwrap().0).await.map(drop) };
    let head = head("POST", "/x", &[]);
    let (failure, accepted) = tokio::join!(target.send(whole(&head, "{}")), server);
    let failure = failure.unwrap_err();
    assert_eq!((failure.step, failure.code()), (Step::Connect, "upstream_tls_failed"), "{failure:?}");
    assert!(failure.may_retry() && accepted.is_err(), "nothing was sent");
}

#[tokio::test]
async fn connections_send_small_writes_at_once() {
    let (listener, url) = listen().await;
    let config = config(&url);
    let counters = Arc::new(Counters::new("up".into()));
    let mut connector = Connector::new(Speaks::Http1(Arc::default()), config.timeouts.connect, counters);
    let MaybeHttpsStream::Http(stream) = connector.call(config.url).await.unwrap() else {
        panic!("no TLS was asked for");
    };
    assert!(stream.inner().sends_at_once());
    drop(listener);
}

#[tokio::test]
async fn more_calls_than_one_http2_connection_carries_go_over_further_ones() {
    let config = checked::Upstream { http2: true, ..config("http://127.0.0.1:1") };
    let counters = Arc::new(Counters::new("up".into()));
    let link = Link::new(Address::of(&config).unwrap(), Arc::clone(&counters), &Roots::default()).unwrap();
    let flights: Vec<_> = (0..2000).map(|_| link.take_off().unwrap()).collect();
    let client = |index: usize| std::ptr::from_ref(flights[index].client());
    assert_eq!(client(0), client(63));
    assert_ne!(client(63), client(64));
    assert_eq!(counters.read().in_flight, 2000, "when all are full none is refused");
    drop(flights);
    assert_eq!(counters.read().in_flight, 0);
    let first = link.take_off().unwrap();
    let second = link.take_off().unwrap();
    assert!(std::ptr::eq(first.client(), second.client()), "places are given back");
}
