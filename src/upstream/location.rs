//! Where a request goes: always the configured host, below the configured path.
//!
//! Of the client's request only path and query count. Clients and operators disagree on who writes the `/v1`, so one
//! that both wrote is taken once. A path that climbs (`..`) is refused: it could leave the configured prefix.

use std::borrow::Cow;

use http::Uri;
use http::uri::{Authority, Parts, PathAndQuery, Scheme};

use super::rewrite::ClientCredential;
use crate::reject::Reject;

const CLIMBS: Reject = Reject::BadRequest("The path must not contain '.' or '..' segments.");
const TOO_LONG: Reject = Reject::BadRequest("The path and query cannot be forwarded.");

/// The fixed part of an upstream's URLs.
#[derive(Clone, Debug)]
pub(super) struct Location {
    scheme: Scheme,
    authority: Authority,
    prefix: Box<str>,
}

impl Location {
    /// Of a base URL's parts; slashes at the end of its path are dropped.
    pub(super) fn new(scheme: Scheme, authority: Authority, path: &str) -> Self {
        Self { scheme, authority, prefix: path.trim_end_matches('/').into() }
    }

    /// The upstream's URI for a client's. A client's credential in the query (`?key=`) stays only when it may.
    pub(super) fn of(&self, uri: &Uri, credential: ClientCredential) -> Result<Uri, Reject> {
        if !uri.path().starts_with('/') {
            return Err(Reject::NotSupported);
        }
        if climbs(uri.path()) {
            return Err(CLIMBS);
        }
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(self.path_and_query(uri, credential)?);
        Uri::from_parts(parts).map_err(|_| TOO_LONG)
    }

    fn path_and_query(&self, uri: &Uri, credential: ClientCredential) -> Result<PathAndQuery, Reject> {
        let path = self.below_prefix(canonical(uri.path()));
        let query = match credential {
            ClientCredential::Keep => uri.query().map(Cow::Borrowed),
            ClientCredential::Strip => uri.query().map(without_key).filter(|query| !query.is_empty()),
        };
        let unchanged = self.prefix.is_empty() && path == uri.path() && query.as_deref() == uri.query();
        if let Some(as_it_was) = uri.path_and_query().filter(|_| unchanged) {
            return Ok(as_it_was.clone());
        }
        let mut text =
            String::with_capacity(self.prefix.len() + path.len() + 1 + query.as_ref().map_or(0, |q| q.len()));
        text.push_str(&self.prefix);
        text.push_str(path);
        if let Some(query) = query {
            text.push('?');
            text.push_str(&query);
        }
        if text.is_empty() {
            text.push('/');
        }
        PathAndQuery::try_from(text).map_err(|_| TOO_LONG)
    }

    /// The path without the version segment that the prefix already ends in.
    fn below_prefix<'p>(&self, path: &'p str) -> &'p str {
        let version = self.prefix.rsplit('/').next().filter(|segment| is_version(segment));
        let rest = version.and_then(|version| path.strip_prefix('/')?.strip_prefix(version));
        rest.filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(path)
    }
}

/// The path by which requests are matched and forwarded: `/v1/v1/…` is `/v1/…`.
pub(super) fn canonical(path: &str) -> &str {
    let mut path = path;
    while let Some(rest) = path.strip_prefix("/v1").filter(|rest| rest.starts_with("/v1/")) {
        path = rest;
    }
    path
}

/// `v1`, `v1beta`, `v2` and the like.
fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// Whether a server could read a `.` or `..` segment out of the path, however it is written.
fn climbs(path: &str) -> bool {
    if !path.contains("/.") && !path.contains(['%', '\\']) {
        return false;
    }
    let plain =
        path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/").replace('\\', "/");
    let mut segments = plain.split('/').map(|segment| segment.split(';').next().unwrap_or(segment));
    segments.any(|segment| segment == "." || segment == "..")
}

fn without_key(query: &str) -> Cow<'_, str> {
    let is_key = |pair: &str| {
        let name = pair.split('=').next().unwrap_or(pair);
        name.eq_ignore_ascii_case("key") || (name.contains('%') && decoded(name).eq_ignore_ascii_case(b"key"))
    };
    if query.split('&').any(is_key) {
        let kept: Vec<&str> = query.split('&').filter(|pair| !is_key(pair)).collect();
        Cow::Owned(kept.join("&"))
    } else {
        Cow::Borrowed(query)
    }
}

fn decoded(name: &str) -> Vec<u8> {
    let mut parts = name.split('%');
    let mut out: Vec<u8> = parts.next().unwrap_or_default().bytes().collect();
    for part in parts {
        let byte = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if let (Some(byte), Some(rest)) = (byte, part.get(2..)) {
            out.push(byte);
            out.extend(rest.bytes());
        } else {
            out.push(b'%');
            out.extend(part.bytes());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{ClientCredential, Location};
    use crate::reject::Reject;

    fn forwarded(base: &str, client: &str) -> Result<String, Reject> {
        let base: http::Uri = base.parse().unwrap();
        let (scheme, authority) = (base.scheme().unwrap().clone(), base.authority().unwrap().clone());
        let location = Location::new(scheme, authority, base.path());
        location.of(&client.parse().unwrap(), ClientCredential::Strip).map(|uri| uri.to_string())
    }

    #[test]
    fn a_version_that_both_sides_wrote_is_taken_once() {
        let cases = [
            ("http://up", "/v1/chat/completions", "http://up/v1/chat/completions"),
            ("http://up/", "/v1/chat", "http://up/v1/chat"),
            ("http://up/v1", "/v1/chat", "http://up/v1/chat"),
            ("http://up/v1/", "/v1", "http://up/v1"),
            ("http://up/v1", "/chat", "http://up/v1/chat"),
            ("http://up/v1", "/v10/chat", "http://up/v1/v10/chat"),
            ("http://up/openai/v1", "/v1/chat?a=b", "http://up/openai/v1/chat?a=b"),
            ("http://up/v1beta", "/v1beta/models", "http://up/v1beta/models"),
            ("http://up/api", "/api/x", "http://up/api/api/x"),
            ("http://up", "/v1/v1/chat", "http://up/v1/chat"),
            ("http://up/v1", "/v1/v1/v1/chat", "http://up/v1/chat"),
            ("https://up:8443/a", "/", "https://up:8443/a/"),
        ];
        for (base, client, want) in cases {
            assert_eq!(forwarded(base, client).as_deref(), Ok(want), "{client} below {base}");
        }
    }

    #[test]
    fn no_form_of_the_request_target_changes_the_host() {
        for client in
            ["http://evil.example/v1/x", "//evil.example/v1/x", "/@evil.example", "https://u:p@evil.example:1/"]
        {
            let uri = forwarded("http://up:1", client).unwrap();
            assert!(uri.starts_with("http://up:1/"), "{client} became {uri}");
        }
        assert_eq!(forwarded("http://up", "*"), Err(Reject::NotSupported));
        assert_eq!(forwarded("http://up", "evil.example:443"), Err(Reject::NotSupported));
    }

    #[test]
    fn a_path_that_climbs_is_refused_in_every_spelling() {
        for path in
            ["/v1/..", "/../x", "/v1/..;/chat", "/v1/%2e%2E/x", "/v1/..%2fx", "/v1/.%2e\\x", "/a/./b", "/a%5c..%5cb"]
        {
            assert!(matches!(forwarded("http://up/tenant", path), Err(Reject::BadRequest(_))), "{path}");
        }
        for path in ["/v1/models/a..b", "/v1/.well-known", "/v1/a%20b", "/v1/..."] {
            assert!(forwarded("http://up/tenant", path).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_key_in_the_query_is_taken_out_and_the_rest_stays() {
        let cases = [
            ("/m?key=s3cret", "http://up/m"),
            ("/m?alt=sse&key=s3cret&x=1", "http://up/m?alt=sse&x=1"),
            ("/m?%6bey=s3cret&x=1", "http://up/m?x=1"),
            ("/m?monkey=1&keys=2", "http://up/m?monkey=1&keys=2"),
        ];
        for (client, want) in cases {
            assert_eq!(forwarded("http://up", client).as_deref(), Ok(want), "{client}");
        }
    }
}
