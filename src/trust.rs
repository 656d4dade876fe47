//! Which certificates servers are trusted by: the machine's, as `SSL_CERT_FILE` and `SSL_CERT_DIR` say, or a built-in set
//! where the machine has none.
//!
//! For every part that calls others by TLS. The cryptography is named here, so it never depends on what else installed a
//! default.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use tracing::warn;

/// The trusted certificates, read anew.
pub fn roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        warn!(%error, "a trusted certificate could not be read");
    }
    let mut store = RootCertStore::empty();
    let (added, refused) = store.add_parsable_certificates(found.certs);
    if refused > 0 {
        warn!(refused, "some trusted certificates could not be understood");
    }
    if added == 0 {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    store
}

/// A client that trusts these and shows no certificate of its own.
pub fn client(roots: impl Into<Arc<RootCertStore>>) -> Result<ClientConfig, rustls::Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    Ok(config.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth())
}

/// Opens HTTP/1 connections to where this URL leads, over TLS where it says so; certificates are read only then.
pub fn connector(url: &Uri, within: Duration) -> Result<HttpsConnector<HttpConnector>, rustls::Error> {
    let roots = if url.scheme_str() == Some("https") { roots() } else { RootCertStore::empty() };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    // Shared out over the addresses of a name, so that one silent address does not use up the whole time.
    tcp.set_connect_timeout(Some(within));
    let https = HttpsConnectorBuilder::new().with_tls_config(client(roots)?).https_or_http().enable_http1();
    Ok(https.wrap_connector(tcp))
}
