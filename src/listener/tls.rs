//! TLS for clients: certificate and key from PEM files, swapped while connections live.
//!
//! A reload that fails changes nothing. A reload that succeeds holds for handshakes that begin after it; open
//! connections go on under the certificate that they began with. The cryptography provider is named here, not taken
//! from a process-wide default, so that no other crate can change it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config;

/// Why certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file cannot be read as PEM.
    #[error("cannot read certificates from {path} ({source}); proxy.tls.cert must be a readable PEM chain, leaf first")]
    Cert {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The certificate file holds none.
    #[error("{path} holds no certificate; proxy.tls.cert must be a PEM chain, leaf first")]
    NoCert {
        /// The file.
        path: PathBuf,
    },
    /// The key file cannot be read as PEM.
    #[error(
        "cannot read a private key from {path} ({source}); proxy.tls.key must be one readable, unencrypted PEM key"
    )]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// Certificate and key do not go together, or are of a kind that cannot be served.
    #[error("cannot serve {cert} with {key} ({source}); check that both belong together")]
    Pair {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
}

/// Swaps the certificate of a running listener.
#[derive(Clone)]
pub struct TlsReload {
    current: Arc<ArcSwap<ServerConfig>>,
}

impl TlsReload {
    /// Reads both files.
    pub(super) fn open(tls: &config::Tls) -> Result<Self, TlsError> {
        Ok(Self { current: Arc::new(ArcSwap::from(load(tls)?)) })
    }

    /// Reads both files and uses them for every handshake from now on. On an error the old ones stay.
    pub fn reload(&self, tls: &config::Tls) -> Result<(), TlsError> {
        self.take(Certificates::read(tls)?);
        Ok(())
    }

    /// Uses these for every handshake from now on.
    pub fn take(&self, certificates: Certificates) {
        self.current.store(certificates.0);
    }

    /// What the next handshake uses.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }
}

/// A certificate and its key, read and found to belong together.
pub struct Certificates(Arc<ServerConfig>);

impl Certificates {
    /// Reads both files.
    pub fn read(tls: &config::Tls) -> Result<Self, TlsError> {
        load(tls).map(Self)
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsReload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsReload").finish_non_exhaustive()
    }
}

fn load(tls: &config::Tls) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(tls)?;
    let key =
        PrivateKeyDer::from_pem_file(&tls.key).map_err(|source| TlsError::Key { path: tls.key.clone(), source })?;
    let mut config =
        pair(chain, key).map_err(|source| TlsError::Pair { cert: tls.cert.clone(), key: tls.key.clone(), source })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(tls: &config::Tls) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Cert { path: tls.cert.clone(), source };
    let chain: Vec<_> = CertificateDer::pem_file_iter(&tls.cert).and_then(Iterator::collect).map_err(failed)?;
    if chain.is_empty() {
        return Err(TlsError::NoCert { path: tls.cert.clone() });
    }
    Ok(chain)
}

fn pair(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<ServerConfig, rustls::Error> {
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
}
