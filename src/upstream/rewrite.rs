//! The headers of the request that goes upstream: a new map, filled with what may travel.
//!
//! Framing headers are never copied: hyper frames the body anew from its own length. What belongs to one connection,
//! says who the client is, or is a key of ours stays here. A configured credential is set last, so that no header of
//! the client can replace, join or (by `Connection`) remove it.

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
    SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};

use super::error::UpstreamsError;
use crate::config;
use crate::header;

/// Whether the caller's own credential may travel on: only where nobody's keys are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassCredential {
    /// It is the provider's; it travels unless the upstream has a configured one.
    ClientsOwn,
    /// It is a key of ours: never.
    Never,
}

/// How the answer may be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all, so that it can be read on the way.
    Identity,
    /// As the client asked, as far as it can be read on the way.
    AsAsked,
}

/// What happens to the client's credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientCredential {
    Keep,
    Strip,
}

/// How one upstream's request headers are made.
#[derive(Clone, Debug)]
pub(super) struct Rewrite {
    credential: Option<(HeaderName, HeaderValue)>,
    trace: Trace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trace {
    Keep,
    Strip,
}

static HOP_BY_HOP: [HeaderName; 10] = header::HOP_BY_HOP;
static IDENTITY: [HeaderName; 9] = header::IDENTITY;
static FRAMING: [HeaderName; 3] = [HOST, CONTENT_LENGTH, EXPECT];
static OWN_ORGANIZATION: [HeaderName; 2] = header::OWN_ORGANIZATION;
static TRACE: [HeaderName; 3] = header::TRACE;
static KEYS: [HeaderName; 4] = header::KEY_HEADERS;
static ACCOUNT: [HeaderName; 3] = header::PROVIDER_ACCOUNT;

impl Rewrite {
    pub(super) fn new(config: &config::Upstream) -> Result<Self, UpstreamsError> {
        let credential = config.credential.as_ref().map(|credential| {
            let value = HeaderValue::from_str(credential.value.expose());
            let mut value = value.map_err(|_| UpstreamsError::Credential(config.name.to_string()))?;
            value.set_sensitive(true);
            Ok::<_, UpstreamsError>((credential.header.clone(), value))
        });
        let trace = if config.url.host().is_some_and(is_loopback) { Trace::Keep } else { Trace::Strip };
        Ok(Self { credential: credential.transpose()?, trace })
    }

    /// What happens to the client's credential here.
    pub(super) fn client_credential(&self, pass: PassCredential) -> ClientCredential {
        match (pass, &self.credential) {
            (PassCredential::ClientsOwn, None) => ClientCredential::Keep,
            _ => ClientCredential::Strip,
        }
    }

    /// The headers that go upstream.
    pub(super) fn headers(&self, from: &HeaderMap, pass: PassCredential, encoding: Encoding) -> HeaderMap {
        let credential = self.client_credential(pass);
        let nominated = Nominated::by(from);
        let mut headers = HeaderMap::with_capacity(from.len() + 2);
        for (name, value) in from {
            if !self.travels(name, credential) || nominated.contains(name) {
                continue;
            }
            if *name == SEC_WEBSOCKET_PROTOCOL && credential == ClientCredential::Strip {
                headers.extend(without_key(value).map(|value| (name.clone(), value)));
            } else {
                headers.append(name.clone(), value.clone());
            }
        }
        let encoding = match encoding {
            Encoding::Identity => None,
            Encoding::AsAsked => readable_codings(from),
        };
        headers.insert(ACCEPT_ENCODING, encoding.unwrap_or(HeaderValue::from_static("identity")));
        if let Some((name, value)) = &self.credential {
            headers.insert(name.clone(), value.clone());
        }
        headers
    }

    fn travels(&self, name: &HeaderName, credential: ClientCredential) -> bool {
        let stays = HOP_BY_HOP.contains(name)
            || FRAMING.contains(name)
            || IDENTITY.contains(name)
            || OWN_ORGANIZATION.contains(name)
            || (self.trace == Trace::Strip && TRACE.contains(name))
            || (credential == ClientCredential::Strip && is_credential(name))
            // Some servers read `x_api_key` as `x-api-key`: what only looks different is not let through.
            || name.as_str().contains('_');
        !stays
    }
}

/// The headers that `Connection` declares to be of this connection only, on however many lines.
pub(super) struct Nominated<'h>(Vec<&'h str>);

impl<'h> Nominated<'h> {
    pub(super) fn by(headers: &'h HeaderMap) -> Self {
        let lines = headers.get_all(CONNECTION).iter().filter_map(|line| line.to_str().ok());
        Self(lines.flat_map(|line| line.split(',')).map(str::trim).filter(|name| !name.is_empty()).collect())
    }

    pub(super) fn contains(&self, name: &HeaderName) -> bool {
        self.0.iter().any(|nominated| nominated.eq_ignore_ascii_case(name.as_str()))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = HeaderName> {
        self.0.iter().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
    }
}

/// The protocols that a WebSocket's client offers, without those by which browsers say their key and account.
fn without_key(offers: &HeaderValue) -> Option<HeaderValue> {
    let offers = offers.to_str().ok()?.split(',').map(str::trim);
    let is_account = |offer: &&str| header::ACCOUNT_PROTOCOLS.iter().any(|prefix| offer.starts_with(prefix));
    let kept: Vec<&str> = offers.filter(|offer| !is_account(offer)).collect();
    HeaderValue::from_str(&kept.join(", ")).ok().filter(|kept| !kept.is_empty())
}

/// Asks for a WebSocket, or agrees to one, without compression: its frames are to be read on the way.
pub(super) fn set_upgrade(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.remove(SEC_WEBSOCKET_EXTENSIONS);
}

/// Whether the protocol changes to a WebSocket.
pub(super) fn to_websocket(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// What the client accepts, in its own order and weights, without what we could not read. A client that says nothing
/// gets nothing compressed.
fn readable_codings(headers: &HeaderMap) -> Option<HeaderValue> {
    let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let readable = |item: &&str| {
        let coding = item.split(';').next().unwrap_or_default().trim();
        header::READABLE_CODINGS.iter().any(|known| known.eq_ignore_ascii_case(coding))
    };
    let kept: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).filter(readable).collect();
    HeaderValue::from_str(&kept.join(", ")).ok().filter(|_| !kept.is_empty())
}

fn is_credential(name: &HeaderName) -> bool {
    *name == AUTHORIZATION || KEYS.contains(name) || ACCOUNT.contains(name)
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    address.map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}
