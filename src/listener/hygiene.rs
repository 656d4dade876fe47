//! Refuses requests whose framing, target or headers could be read in two ways, before anyone else reads them.
//!
//! What is let through has one meaning: one host, one framing, no header that takes another's place. The bytes are not
//! changed: stripping hop-by-hop headers is the sender's work.
//! It sees what hyper's parser hands on. hyper itself has refused differing or malformed lengths, control bytes and
//! folded lines, merged equal lengths, dropped a length beside `chunked`, and cut a fragment off the target; what is
//! forwarded is built anew from the parsed form, so none of that can travel on.
//! `Upgrade` is let through: it is only an offer. Where nobody takes it up (only sessions over a WebSocket do), the
//! request is served as if it had not been made.

use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST};
use http::header::{PROXY_AUTHORIZATION, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};

use crate::header::{IDENTITY, KEY_HEADERS, PROXY_CONNECTION, TRACE, X_REQUEST_ID};
use crate::reject::Reject;

/// Headers that decide who calls, where to, or where a message ends.
static DECISIVE: [HeaderName; 9] = [
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
    COOKIE,
    HOST,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    EXPECT,
    CONNECTION,
    X_REQUEST_ID,
];
static KEYS: [HeaderName; 4] = KEY_HEADERS;
static WHO: [HeaderName; 9] = IDENTITY;
static WAY: [HeaderName; 3] = TRACE;

/// Refuses a request that could be read in two ways. `organization` names the headers that may name an organization.
pub fn check<B>(request: &Request<B>, organization: &[HeaderName]) -> Result<(), Reject> {
    let headers = request.headers();
    method(request.method())?;
    target(request)?;
    host(request)?;
    framing(request.version(), headers)?;
    expectation(headers)?;
    connection(headers, organization)?;
    names(headers, organization)?;
    values(headers, organization)
}

fn method(method: &Method) -> Result<(), Reject> {
    if *method == Method::CONNECT { Err(Reject::NotSupported) } else { Ok(()) }
}

fn target<B>(request: &Request<B>) -> Result<(), Reject> {
    let uri = request.uri();
    let Some(path) = uri.path_and_query() else { return Err(Reject::BadRequest("The request target has no path.")) };
    if !path.as_str().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Reject::BadRequest("The request target holds bytes that must be percent-encoded."));
    }
    if uri.scheme_str().is_some_and(|scheme| scheme != "http" && scheme != "https") {
        return Err(Reject::BadRequest("The request target's scheme is not http or https."));
    }
    Ok(())
}

/// One host, said once or twice the same.
fn host<B>(request: &Request<B>) -> Result<(), Reject> {
    let mut lines = request.headers().get_all(HOST).iter();
    let (line, second) = (lines.next(), lines.next());
    if second.is_some() {
        return Err(Reject::BadRequest("There is more than one Host header."));
    }
    let port = match request.uri().scheme_str() {
        Some("https") => Some(443),
        Some(_) => Some(80),
        None => None,
    };
    let said = line.map(|line| place(line.to_str().unwrap_or_default(), port)).transpose()?;
    let asked = request.uri().authority().map(|authority| place(authority.as_str(), port)).transpose()?;
    match (said, asked) {
        (Some(said), Some(asked)) if !said.0.eq_ignore_ascii_case(asked.0) || said.1 != asked.1 => {
            Err(Reject::BadRequest("The Host header and the request target name different hosts."))
        }
        // RFC 9112 §3.2: every HTTP/1.1 request has a Host, whatever its target.
        (None, _) if request.version() == Version::HTTP_11 => Err(Reject::BadRequest("The Host header is missing.")),
        (None, None) if request.version() == Version::HTTP_2 => Err(Reject::BadRequest("The request names no host.")),
        _ => Ok(()),
    }
}

const NO_HOST: Reject = Reject::BadRequest("The host is not of the form 'name' or 'name:port'.");

/// Host and port; nothing else may be there: no user, no list, no port that is none.
fn place(text: &str, default: Option<u16>) -> Result<(&str, Option<u16>), Reject> {
    let bracketed = text.starts_with('[');
    let end = if bracketed { text.find(']').map(|at| at + 1) } else { text.find(':') };
    let (host, rest) = text.split_at_checked(end.unwrap_or(text.len())).ok_or(NO_HOST)?;
    let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let address = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'[' | b']' | b':' | b'.');
    let sound = if bracketed { host.ends_with(']') && host.bytes().all(address) } else { host.bytes().all(name) };
    if host.is_empty() || !sound {
        return Err(NO_HOST);
    }
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => default,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse::<u16>().ok().filter(|port| *port != 0).ok_or(NO_HOST)?)
        }
        _ => return Err(NO_HOST),
    };
    Ok((host, port))
}

/// One way to tell where the body ends.
fn framing(version: Version, headers: &HeaderMap) -> Result<(), Reject> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let (coding, length) = (codings.next(), lengths.next());
    if codings.next().is_some() || coding.is_some_and(|coding| !is(coding, b"chunked")) {
        return Err(Reject::BadRequest("Transfer-Encoding must be 'chunked', once, or absent."));
    }
    if coding.is_some() && version != Version::HTTP_11 {
        return Err(Reject::BadRequest("Transfer-Encoding belongs to HTTP/1.1 only."));
    }
    if coding.is_some() && length.is_some() {
        return Err(Reject::BadRequest("Content-Length and Transfer-Encoding exclude each other."));
    }
    let is_number = |length: &HeaderValue| !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit);
    if lengths.next().is_some() || length.is_some_and(|length| !is_number(length)) {
        return Err(Reject::BadRequest("Content-Length must be one number."));
    }
    Ok(())
}

fn expectation(headers: &HeaderMap) -> Result<(), Reject> {
    let mut lines = headers.get_all(EXPECT).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(()),
        (Some(line), None) if is(line, b"100-continue") => Ok(()),
        _ => Err(Reject::ExpectationFailed),
    }
}

/// No `Connection` line makes a proxy drop a header that decides something.
fn connection(headers: &HeaderMap, organization: &[HeaderName]) -> Result<(), Reject> {
    let lines = headers.get_all(CONNECTION).iter().chain(headers.get_all(PROXY_CONNECTION));
    let mut options = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let protected = |option: &[u8]| {
        let option = option.trim_ascii();
        let named = |name: &HeaderName| option.eq_ignore_ascii_case(name.as_str().as_bytes());
        // Naming Transfer-Encoding is superfluous but right: it is hop-by-hop by nature.
        decisive(organization).any(named) && !option.eq_ignore_ascii_case(TRANSFER_ENCODING.as_str().as_bytes())
    };
    if options.any(protected) {
        return Err(Reject::BadRequest("The Connection header names a header that must not be dropped on the way."));
    }
    Ok(())
}

/// No header whose name some server would read as that of another: `x_api_key` is `x-api-key` to a CGI.
fn names(headers: &HeaderMap, organization: &[HeaderName]) -> Result<(), Reject> {
    let poses = |name: &HeaderName| {
        name.as_str().contains('_') && decisive(organization).any(|other| letters(name).eq(letters(other)))
    };
    // An organization header may itself be configured with an underscore: then it poses as nobody.
    if headers.keys().any(|name| poses(name) && !organization.contains(name)) {
        return Err(Reject::BadRequest("A header's name has an underscore and reads like that of another header."));
    }
    Ok(())
}

/// Headers that decide something are plain text: other bytes are read differently by different servers.
fn values(headers: &HeaderMap, organization: &[HeaderName]) -> Result<(), Reject> {
    let plain = |(name, value): (&HeaderName, &HeaderValue)| {
        value.to_str().is_ok() || decisive(organization).all(|other| other != name)
    };
    if headers.iter().all(plain) {
        return Ok(());
    }
    Err(Reject::BadRequest("A header that is read here holds bytes other than visible ASCII."))
}

fn decisive(organization: &[HeaderName]) -> impl Iterator<Item = &HeaderName> {
    DECISIVE.iter().chain(&KEYS).chain(&WHO).chain(&WAY).chain(organization)
}

fn letters(name: &HeaderName) -> impl Iterator<Item = u8> {
    name.as_str().bytes().filter(|byte| !matches!(byte, b'-' | b'_'))
}

fn is(value: &HeaderValue, text: &[u8]) -> bool {
    value.as_bytes().eq_ignore_ascii_case(text)
}
