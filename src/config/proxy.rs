//! `proxy:`, the data plane's listener and bounds.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::context::Size;
use super::field::Field;
use super::section::Section;
use super::{Disconnect, Listen, Proxy, Tls};

const PORT: u16 = 4141;
const REQUEST_BYTES: u64 = 32 << 20;
const MOST_REQUEST_BYTES: u64 = 4 << 30;
const CONNECTIONS: u64 = 10_000;
const MOST_CONNECTIONS: u64 = 1_000_000;
const DAY: Duration = Duration::from_hours(24);
/// Any time that is worth waiting.
pub(super) const WAIT: (Duration, Duration) = (Duration::from_millis(1), DAY);

pub(super) fn read(mut section: Section<'_>) -> Proxy {
    Proxy {
        listen: listen(section.take("listen"), PORT),
        tls: section.take("tls").and_then(tls),
        max_request_bytes: section.number("max_request_bytes", (1, MOST_REQUEST_BYTES)).unwrap_or(REQUEST_BYTES),
        max_connections: section.number("max_connections", (1, MOST_CONNECTIONS)).unwrap_or(CONNECTIONS) as usize,
        disconnect: disconnect(&mut section).unwrap_or(Disconnect::Abort),
        header_timeout: section.duration("header_timeout", WAIT).unwrap_or(Duration::from_secs(10)),
        idle_timeout: section.duration("idle_timeout", WAIT).unwrap_or(Duration::from_mins(2)),
        drain_timeout: section.duration("drain_timeout", (Duration::ZERO, DAY)).unwrap_or(Duration::from_secs(25)),
    }
}

/// An address to listen on: by default loopback and this port.
pub(super) fn listen(field: Option<Field<'_>>, port: u16) -> Listen {
    let given = field.and_then(|field| {
        let text = field.text()?;
        // The only name that means the same everywhere.
        let address = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        let address = address.as_deref().unwrap_or(text).parse().ok();
        if address.is_none() {
            let what = format!("{} is not an IP address and port", super::field::quote(text));
            field.problem(what, "Write it as 127.0.0.1:4141 or [::1]:4141; 0.0.0.0:4141 is every address.");
        }
        address
    });
    Listen { address: given.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port))) }
}

/// What happens upstream when the client leaves.
pub(super) fn disconnect(section: &mut Section<'_>) -> Option<Disconnect> {
    section.choice("disconnect", &[("abort", Disconnect::Abort), ("drain", Disconnect::Drain)])
}

fn tls(field: Field<'_>) -> Option<Tls> {
    let mut section = field.section();
    let cert = section.require("cert", "Name a PEM file with the certificate and its chain.");
    let key = section.require("key", "Name a PEM file with the private key.");
    let cert = cert.and_then(|field| pem(&field, "certificate", |text| CertificateDer::from_pem_slice(text).is_ok()));
    let key = key.and_then(|field| pem(&field, "private key", |text| PrivateKeyDer::from_pem_slice(text).is_ok()));
    Some(Tls { cert: cert?, key: key? })
}

fn pem(field: &Field<'_>, what: &str, is_one: fn(&[u8]) -> bool) -> Option<PathBuf> {
    let path = field.file_path()?;
    match field.context.read(&path, &Size::Small) {
        Ok(text) if is_one(text.as_bytes()) => return Some(path),
        Ok(_) => field.unreadable(&path, &format!("holds no {what} in PEM form")),
        Err(what) => field.unreadable(&path, &what),
    }
    None
}
