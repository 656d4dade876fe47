//! TLS towards upstreams.
//!
//! The trusted certificates are read once, when the first `https` upstream appears: a process that calls only clear-text
//! upstreams does not pay for them.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};

use crate::trust;

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
        let roots = Arc::clone(self.0.get_or_init(|| Arc::new(trust::roots())));
        let mut config = trust::client(roots)?;
        config.alpn_protocols = match offer {
            Offer::Both => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Offer::Http2 => vec![b"h2".to_vec()],
            Offer::Http1 => vec![b"http/1.1".to_vec()],
        };
        Ok(Arc::new(config))
    }
}
