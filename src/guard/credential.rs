//! Finds the one credential of a request, wherever clients put it.
//!
//! Looked for in `Authorization` (with or without `Bearer `), the key headers, `Proxy-Authorization` (`Bearer`, or
//! `Basic` with the key as user), `?key=` and the subprotocol by which browsers send it on a WebSocket. The same key in several places is one credential; two different ones are
//! refused, because whichever we took, the next hop might take the other. Nothing here says whether a key is valid.

use std::borrow::Cow;
use std::fmt;

use http::header::{AUTHORIZATION, HeaderValue, PROXY_AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderName, Uri};

use super::{base64, query};
use crate::header::{API_KEY, KEY_HEADERS, KEY_PROTOCOL, X_API_KEY, X_GOOG_API_KEY, X_UG_API_KEY};
use crate::reject::{Denial, Reject};
use crate::types::Digest;

/// Every header that may carry a client's credential: none of them goes upstream unless the permit lets it.
pub const CREDENTIAL_HEADERS: [HeaderName; 6] =
    [AUTHORIZATION, PROXY_AUTHORIZATION, X_API_KEY, X_UG_API_KEY, API_KEY, X_GOOG_API_KEY];

static KEYS: [HeaderName; 4] = KEY_HEADERS;

/// No key is longer.
const MAX_BYTES: usize = 4096;

/// A credential as the client sent it: visible ASCII, 1 to 4,096 bytes. `Debug` masks it.
#[derive(Clone)]
pub struct Credential<'a>(Cow<'a, str>);

impl<'a> Credential<'a> {
    /// The request's one credential. Empty values count as absent.
    ///
    /// # Errors
    /// No credential, two different ones, or one that no key can look like.
    pub fn find(headers: &'a HeaderMap, uri: &'a Uri) -> Result<Self, Reject> {
        let mut found: Option<Cow<'a, [u8]>> = None;
        for candidate in candidates(headers, uri) {
            match &found {
                None => found = Some(candidate),
                Some(first) if *first == candidate => {}
                Some(_) => return Err(Reject::TwoCredentials),
            }
        }
        Self::checked(found.ok_or(Reject::Unauthorized(Denial::NoKey))?)
    }

    fn checked(bytes: Cow<'a, [u8]>) -> Result<Self, Reject> {
        const IMPOSSIBLE: Reject = Reject::Unauthorized(Denial::UnknownKey);
        if bytes.len() > MAX_BYTES || !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(IMPOSSIBLE);
        }
        let text = match bytes {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
        };
        text.map(Self).ok_or(IMPOSSIBLE)
    }

    /// The credential itself, for the one place that sends it to a remote authority.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub(super) fn into_owned(self) -> Credential<'static> {
        Credential(Cow::Owned(self.0.into_owned()))
    }

    /// Its SHA-256, by which key records are found.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(***)")
    }
}

fn candidates<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> impl Iterator<Item = Cow<'a, [u8]>> {
    // Passing over all headers once is cheaper than looking for each of these; their order says nothing.
    let sent = headers.iter().filter_map(|(name, value)| match () {
        () if *name == AUTHORIZATION => Some(Cow::Borrowed(bearer(value))),
        () if *name == PROXY_AUTHORIZATION => Some(bearer_or_basic(value)),
        () if KEYS.contains(name) => Some(Cow::Borrowed(value.as_bytes().trim_ascii())),
        () => None,
    });
    let query = uri.query().into_iter().flat_map(query::keys);
    let offers = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let offers = offers.flat_map(|offers| offers.split(','));
    let offered =
        offers.filter_map(|offer| offer.trim().strip_prefix(KEY_PROTOCOL)).map(|key| Cow::Borrowed(key.as_bytes()));
    sent.chain(query).chain(offered).filter(|candidate| !candidate.is_empty())
}

/// What follows `Bearer`; a value without the scheme is taken whole.
fn bearer(value: &HeaderValue) -> &[u8] {
    let whole = value.as_bytes().trim_ascii();
    after_scheme(whole, b"bearer").unwrap_or(whole)
}

fn bearer_or_basic(value: &HeaderValue) -> Cow<'_, [u8]> {
    let whole = value.as_bytes().trim_ascii();
    let user = after_scheme(whole, b"basic").and_then(base64::decode).map(|mut login| {
        login.truncate(login.iter().position(|byte| *byte == b':').unwrap_or(login.len()));
        login
    });
    user.map_or_else(|| Cow::Borrowed(bearer(value)), Cow::Owned)
}

fn after_scheme<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = value.split_at_checked(scheme.len())?;
    let ends = rest.first().is_none_or(u8::is_ascii_whitespace);
    (ends && head.eq_ignore_ascii_case(scheme)).then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::{CREDENTIAL_HEADERS, Credential};
    use crate::header::KEY_HEADERS;
    use crate::reject::{Denial, Reject};
    use http::{HeaderMap, HeaderName, HeaderValue, Uri};

    fn find(headers: &[(&'static str, &[u8])], uri: &str) -> Result<String, Reject> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
        }
        let uri: Uri = uri.parse().unwrap();
        Credential::find(&map, &uri).map(|found| found.expose().to_owned())
    }

    #[test]
    fn a_key_is_found_in_every_place() {
        let places: [(&'static str, &[u8]); 15] = [
            ("sec-websocket-protocol", b"realtime, openai-insecure-api-key.sk-1, openai-beta.realtime-v1"),
            ("authorization", b"Bearer sk-1"),
            ("authorization", b"bearer sk-1"),
            ("authorization", b"BEARER \t  sk-1"),
            ("authorization", b"sk-1"),
            ("x-api-key", b"sk-1"),
            ("x-ug-api-key", b"sk-1"),
            ("api-key", b" sk-1 "),
            ("x-goog-api-key", b"sk-1"),
            ("proxy-authorization", b"Bearer sk-1"),
            ("proxy-authorization", b"Basic c2stMTo="),
            ("proxy-authorization", b"basic c2stMQ=="),
            ("proxy-authorization", b"Basic c2stMTpwYXNzd29yZA"),
            ("authorization", b"Bearer\tsk-1"),
            ("authorization", b"sk-1  "),
        ];
        for place in places {
            assert_eq!(find(&[place], "/v1"), Ok("sk-1".to_owned()), "{place:?}");
        }
        assert_eq!(find(&[], "/v1/x?alt=sse&key=sk-1"), Ok("sk-1".to_owned()));
        assert_eq!(find(&[], "/v1/x?%6bey=sk%2D1"), Ok("sk-1".to_owned()));
    }

    #[test]
    fn the_same_key_twice_is_one_credential_and_two_keys_are_refused() {
        let same: [(&str, &[u8]); 3] =
            [("authorization", b"Bearer sk-1"), ("x-api-key", b"sk-1"), ("proxy-authorization", b"Basic c2stMTo=")];
        assert_eq!(find(&same, "/?key=sk-1"), Ok("sk-1".to_owned()));
        let different: [&[(&str, &[u8])]; 3] = [
            &[("authorization", b"Bearer sk-1"), ("x-api-key", b"sk-2")],
            &[("authorization", b"Bearer sk-1"), ("authorization", b"Bearer sk-2")],
            &[("x-api-key", b"sk-1"), ("x-api-key", b"SK-1")],
        ];
        for headers in different {
            assert_eq!(find(headers, "/"), Err(Reject::TwoCredentials), "{headers:?}");
        }
        assert_eq!(find(&[("authorization", b"sk-1")], "/?key=sk-2"), Err(Reject::TwoCredentials));
        assert_eq!(find(&[], "/?key=sk-1&key=sk-2"), Err(Reject::TwoCredentials));
    }

    #[test]
    fn nothing_is_no_key_and_what_no_key_looks_like_is_unknown() {
        let absent: [&[u8]; 4] = [b"", b"Bearer", b"bearer   ", b" "];
        for value in absent {
            assert_eq!(find(&[("authorization", value)], "/"), Err(Reject::Unauthorized(Denial::NoKey)), "{value:?}");
        }
        let long = vec![b'k'; 4097];
        let hostile: [&[u8]; 6] =
            [b"Bearer a b", b"Basic dXNlcjpwYXNz", b"sk-\xff", b"Bearer \xc3\xa9", b"a\tb", long.as_slice()];
        for value in hostile {
            let got = find(&[("authorization", value)], "/");
            assert_eq!(got, Err(Reject::Unauthorized(Denial::UnknownKey)), "{value:?}");
        }
        assert_eq!(find(&[("x-api-key", &long[1..])], "/").map(|key| key.len()), Ok(4096));
        assert_eq!(find(&[], "/?key=%0d%0a"), Err(Reject::Unauthorized(Denial::UnknownKey)));
    }

    #[test]
    fn the_list_of_credential_headers_is_whole_and_a_credential_is_never_printed() {
        assert!(KEY_HEADERS.iter().all(|name| CREDENTIAL_HEADERS.contains(name)));
        let headers = HeaderMap::from_iter([(KEY_HEADERS[0].clone(), HeaderValue::from_static("sk-1"))]);
        let uri = Uri::from_static("/");
        assert!(!format!("{:?}", Credential::find(&headers, &uri)).contains("sk-1"));
    }
}
