//! Which certificates an authority or a store is trusted by: the machine's, as `SSL_CERT_FILE` and `SSL_CERT_DIR` say, or a
//! built-in set where it has none. As for upstreams.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

/// Reads the certificates.
pub(super) fn of_this_machine() -> ClientConfig {
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    with(store)
}

/// Trusts no one: for clear text.
pub(super) fn of_no_one() -> ClientConfig {
    with(RootCertStore::empty())
}

fn with(store: RootCertStore) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    #[expect(clippy::expect_used, reason = "the provider is named here, and its default versions are its own")]
    let builder = builder.with_safe_default_protocol_versions().expect("the provider has its default versions");
    builder.with_root_certificates(store).with_no_client_auth()
}
