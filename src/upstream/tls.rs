//! Which certificates an upstream is trusted by: the machine's, as `SSL_CERT_FILE` and `SSL_CERT_DIR` say, or a built-in
//! set where the machine has none.
//!
//! They are read once, when the first `https` upstream appears: a process that calls only clear-text upstreams does not
//! pay for them. The cryptography is named here, so it never depends on what else installed a default.

use std::sync::{Arc, OnceLock};

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use tracing::warn;

/// What to offer by ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// HTTP/2 or HTTP/1.1, as the upstream prefers.
    Both,
    /// HTTP/2 alone.
    Http2,
    /// HTTP/1.1 alone.
    Http1,
}

/// The trusted certificates.
#[derive(Debug, Default)]
pub(super) struct Roots(OnceLock<Arc<RootCertStore>>);

impl Roots {
    pub(super) fn given(store: RootCertStore) -> Self {
        Self(OnceLock::from(Arc::new(store)))
    }

    pub(super) fn client_config(&self, offer: Offer) -> Result<Arc<ClientConfig>, rustls::Error> {
        let roots = Arc::clone(self.0.get_or_init(|| Arc::new(of_this_machine())));
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = match offer {
            Offer::Both => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Offer::Http2 => vec![b"h2".to_vec()],
            Offer::Http1 => vec![b"http/1.1".to_vec()],
        };
        Ok(Arc::new(config))
    }
}

fn of_this_machine() -> RootCertStore {
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
