use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::{ListenError, TlsError, TlsReload};
use super::{
    AsyncReadExt, AsyncWriteExt, Bytes, Duration, Full, Incoming, Listen, Listener, Peer, Proxy, Request, Response,
    Running, Shutdown, SocketAddr, TcpStream, TokioExecutor, TokioIo, config, connect, get, path, say, soon, start,
    until,
};
use crate::config::Tls;

/// Writes a new certificate and its key.
fn renew(dir: &Path) -> Tls {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let tls = Tls { cert: dir.join("cert.pem"), key: dir.join("key.pem") };
    std::fs::write(&tls.cert, made.cert.pem()).unwrap();
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
    tls
}

fn certificate(tls: &Tls) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(&tls.cert).unwrap()
}

/// Connects, trusting only this certificate.
async fn secure(address: SocketAddr, trusted: &CertificateDer<'static>, protocol: &str) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    soon(TlsConnector::from(Arc::new(config)).connect(name, connect(address).await)).await.unwrap()
}

async fn start_tls(tls: &Tls) -> (Running, TlsReload) {
    let listener = Listener::bind(&Proxy { tls: Some(tls.clone()), ..config() }).await.unwrap();
    let (trigger, shutdown) = Shutdown::new();
    let (address, counts, reload) = (listener.local_addr(), listener.counts(), listener.tls().unwrap());
    let run = tokio::spawn(listener.run(path_and_peer, shutdown));
    (Running { address, counts, trigger, run }, reload)
}

async fn path_and_peer(request: Request<Incoming>, peer: Peer) -> Response<Full<Bytes>> {
    assert!(peer.tls);
    path(request, peer).await
}

async fn ask(stream: &mut TlsStream<TcpStream>, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    soon(stream.write_all(request.as_bytes())).await.unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(path.as_bytes()) {
        heard.push(soon(stream.read_u8()).await.unwrap());
    }
    assert!(heard.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn both_protocols_are_agreed_by_alpn() {
    let dir = dir();
    let tls = renew(dir.path());
    let (running, _) = start_tls(&tls).await;
    ask(&mut secure(running.address, &certificate(&tls), "http/1.1").await, "/one").await;

    let stream = secure(running.address, &certificate(&tls), "h2").await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = soon(client.send_request(get(running.address, "/two"))).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(running.counts.stats().tls_failures, 0);
}

#[tokio::test]
async fn a_new_certificate_is_served_without_dropping_open_connections() {
    let dir = dir();
    let tls = renew(dir.path());
    let (running, reload) = start_tls(&tls).await;
    let mut old = secure(running.address, &certificate(&tls), "http/1.1").await;
    ask(&mut old, "/before").await;

    reload.reload(&renew(dir.path())).unwrap();
    let mut new = secure(running.address, &certificate(&tls), "http/1.1").await;
    ask(&mut new, "/new").await;
    ask(&mut old, "/after").await;
    assert_eq!(running.counts.stats().open, 2);
}

#[tokio::test]
async fn a_bad_reload_says_why_and_keeps_the_old_certificate() {
    let dir = dir();
    let tls = renew(dir.path());
    let served = certificate(&tls);
    let (running, reload) = start_tls(&tls).await;
    let other = tempfile::tempdir().unwrap();
    let foreign = Tls { cert: tls.cert.clone(), key: renew(other.path()).key };
    assert!(matches!(reload.reload(&foreign), Err(TlsError::Pair { .. })));
    let absent = Tls { cert: dir.path().join("absent.pem"), key: tls.key.clone() };
    let error = reload.reload(&absent).unwrap_err();
    assert!(matches!(error, TlsError::Cert { .. }) && error.to_string().contains("absent.pem"), "{error}");
    let swapped = Tls { cert: tls.key.clone(), key: tls.key.clone() };
    assert!(matches!(reload.reload(&swapped), Err(TlsError::NoCert { .. })));
    let keyless = Tls { cert: tls.cert.clone(), key: tls.cert.clone() };
    assert!(matches!(reload.reload(&keyless), Err(TlsError::Key { .. })));
    ask(&mut secure(running.address, &served, "http/1.1").await, "/still").await;
}

#[tokio::test]
async fn what_is_not_tls_and_what_says_nothing_is_cut_and_counted() {
    let dir = dir();
    let tls = renew(dir.path());
    let config = Proxy { tls: Some(tls), header_timeout: Duration::from_millis(150), ..config() };
    let running = start(&config, path).await;
    let mut plain = connect(running.address).await;
    say(&mut plain, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(!hear_out_bytes(&mut plain).await.starts_with(b"HTTP"));
    assert_eq!(hear_out_bytes(&mut connect(running.address).await).await, b"");
    until(|| running.counts.stats().tls_failures == 2).await;
    until(|| running.counts.stats().open == 0).await;
}

async fn hear_out_bytes(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = soon(stream.read_to_end(&mut bytes)).await;
    bytes
}

#[tokio::test]
async fn a_taken_address_is_named_with_its_remedy() {
    let first = Listener::bind(&config()).await.unwrap();
    let taken = Proxy { listen: Listen { address: first.local_addr() }, ..config() };
    let error = Listener::bind(&taken).await.unwrap_err();
    assert!(matches!(error, ListenError::Bind { .. }));
    let text = error.to_string();
    assert!(text.contains(&first.local_addr().to_string()) && text.contains("another port"), "{text}");
}
