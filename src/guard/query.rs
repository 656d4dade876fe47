//! The `?key=` of Google's clients: finds it, and takes it out again before anything goes upstream.
//!
//! Names and values are percent-decoded, so that `k%65y` is the same parameter here as at the next hop. A `+` stands for
//! itself: no key holds a space, and some hold a plus.

use std::borrow::Cow;

use http::Uri;
use http::uri::PathAndQuery;

/// The values of every `key` parameter, decoded.
pub(super) fn keys(query: &str) -> impl Iterator<Item = Cow<'_, [u8]>> {
    query
        .split('&')
        .filter(|pair| is_key(pair))
        .map(|pair| pair.split_once('=').map_or("", |(_, value)| value))
        .map(decode)
}

/// The same address without its `key` parameters; `None` where it has none.
pub fn without_key(uri: &Uri) -> Option<Uri> {
    let query = uri.query()?;
    if !query.split('&').any(is_key) {
        return None;
    }
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_key(pair)).collect();
    let text = if kept.is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), kept.join("&")) };
    let mut parts = uri.clone().into_parts();
    // A part of a valid query is valid; were it not, nothing is better than the key.
    parts.path_and_query = Some(PathAndQuery::try_from(text).unwrap_or(PathAndQuery::from_static("/")));
    Some(Uri::from_parts(parts).unwrap_or_default())
}

fn is_key(pair: &str) -> bool {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    decode(name).as_ref() == b"key"
}

/// Percent-decodes; an escape that is none stays as it is.
fn decode(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if let (b'%', Some((escaped, beyond))) = (byte, hex_pair(after)) {
            out.push(escaped);
            rest = beyond;
        } else {
            out.push(byte);
            rest = after;
        }
    }
    Cow::Owned(out)
}

fn hex_pair(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, rest @ ..] = bytes else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some(((digit(*high)? * 16 + digit(*low)?) as u8, rest))
}

#[cfg(test)]
mod tests {
    use super::{decode, without_key};
    use http::Uri;

    #[test]
    fn only_the_key_is_taken_out() {
        let cases = [
            ("/v1/m?key=sk-1", Some("/v1/m")),
            ("/v1/m?alt=sse&key=sk-1&x=%20", Some("/v1/m?alt=sse&x=%20")),
            ("/v1/m?k%65y=sk-1&a", Some("/v1/m?a")),
            ("/v1/m?key=a&key=b", Some("/v1/m")),
            ("/v1/m?key", Some("/v1/m")),
            ("https://host:8/v1/m?key=a&b=c", Some("https://host:8/v1/m?b=c")),
            ("/v1/m?monkey=a&keys=b", None),
            ("/v1/key=a", None),
        ];
        for (uri, want) in cases {
            let uri: Uri = uri.parse().unwrap();
            assert_eq!(without_key(&uri).map(|uri| uri.to_string()).as_deref(), want, "{uri}");
        }
    }

    #[test]
    fn a_broken_escape_stays_as_it_is() {
        assert_eq!(decode("a%2Bb+c").as_ref(), b"a+b+c");
        assert_eq!(decode("%").as_ref(), b"%");
        assert_eq!(decode("%4").as_ref(), b"%4");
        assert_eq!(decode("%+1%zz%41").as_ref(), b"%+1%zzA");
    }
}
