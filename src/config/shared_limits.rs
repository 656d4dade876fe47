//! `limits.shared`, the store through which sidecars share their limits.

use std::time::Duration;

use http::Uri;

use super::field::{Field, quote};
use super::secret::secret;
use crate::types::Secret;

const PREFIX: &str = "tollgate";
const MOST_PREFIX_LETTERS: usize = 100;
const TIMEOUT: Duration = Duration::from_millis(50);
const PORT: u16 = 6379;
const FORM: &str = "Write it as redis://host[:port][/database], or rediss:// for TLS.";

/// A Valkey or Redis server, and how it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedLimits {
    /// Its host, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it is spoken to over TLS.
    pub tls: bool,
    /// The number of its database.
    pub database: i64,
    /// The user to sign in as; none is the default user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// What the names of its keys begin with.
    pub prefix: String,
    /// A round trip that takes longer counts as failed.
    pub timeout: Duration,
    /// What happens to requests meanwhile.
    pub when_unreachable: WhenUnreachable,
}

/// What happens to requests while the store of limits is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUnreachable {
    /// Each process holds callers to the full limits by itself.
    Local,
    /// Requests with limits are refused with 503.
    Reject,
}

struct Address {
    host: String,
    port: u16,
    tls: bool,
    database: i64,
}

pub(super) fn read(field: Field<'_>) -> Option<SharedLimits> {
    if !cfg!(feature = "redis") {
        field.problem("this build cannot share limits", "Take it out, or build with the feature 'redis'.");
    }
    let mut section = field.section();
    let address = section.require("url", "Name the store: url: redis://127.0.0.1:6379.");
    let address = address.and_then(|field| address_of(&field));
    let username = section.text("username").map(str::to_owned);
    let password = section.take("password");
    let password = password.and_then(|field| secret(&mut field.section().with_hidden_names()));
    let prefix = section.take("prefix").map_or(Some(PREFIX.to_owned()), |field| prefix(&field));
    let bounds = (Duration::from_millis(1), Duration::from_secs(5));
    let timeout = section.duration("timeout", bounds).unwrap_or(TIMEOUT);
    let words = [("local", WhenUnreachable::Local), ("reject", WhenUnreachable::Reject)];
    let when_unreachable = section.choice("when_unreachable", &words).unwrap_or(WhenUnreachable::Local);
    if username.is_some() && password.is_none() {
        section.problem("a username needs a password", "Add password: { env: NAME }.");
    }
    let Address { host, port, tls, database } = address?;
    Some(SharedLimits { host, port, tls, database, username, password, prefix: prefix?, timeout, when_unreachable })
}

fn address_of(field: &Field<'_>) -> Option<Address> {
    let text = field.text()?;
    if text.contains('@') {
        let fix = "Take it out, and give it under 'username:' and 'password:'.";
        field.problem("a URL with a user name or password is not used", fix);
        return None;
    }
    let address = parse(text);
    match (&address, text.contains(['?', '#'])) {
        // A query may carry a password, so it is not shown.
        (None, true) => field.problem("a URL with a query or fragment is not used", FORM),
        (None, false) => field.problem(format!("{} is not the URL of a store", quote(text)), FORM),
        (Some(_), _) => {}
    }
    address
}

fn parse(text: &str) -> Option<Address> {
    let uri: Uri = text.parse().ok().filter(|_| !text.contains(['?', '#']))?;
    let tls = match uri.scheme_str()? {
        "redis" | "valkey" => false,
        "rediss" | "valkeys" => true,
        _ => return None,
    };
    let authority = uri.authority()?;
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let port = match authority.port_u16() {
        Some(port) => port,
        None if authority.as_str() == authority.host() => PORT,
        None => return None,
    };
    let database = match uri.path().trim_start_matches('/') {
        "" => 0,
        digits => i64::from(digits.parse::<u16>().ok()?),
    };
    (!host.is_empty() && port > 0).then_some(Address { host, port, tls, database })
}

fn prefix(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    // Braces would decide which node of a cluster a name belongs to.
    let fits = text.len() <= MOST_PREFIX_LETTERS && text.chars().all(|c| c.is_ascii_graphic() && !"{}".contains(c));
    if !fits {
        let fix = format!("Use up to {MOST_PREFIX_LETTERS} letters, digits and signs, without spaces and braces.");
        field.problem(format!("{} is not a prefix of names", quote(text)), fix);
    }
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{SharedLimits, WhenUnreachable, parse};
    use crate::config::{Sources, load};
    use std::time::Duration;

    fn read(text: &str) -> Option<SharedLimits> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tollgate.yaml"), format!("upstreams: [{{ url: http://a }}]\n{text}")).unwrap();
        let sources = Sources { directory: dir.path().to_owned(), ..Sources::default() };
        load(&sources).unwrap_or_else(|problems| panic!("{problems}")).config.shared_limits
    }

    #[test]
    fn a_url_is_enough_and_without_one_nothing_is_shared() {
        assert_eq!(read("limits: { requests_per_minute: 1 }"), None);
        let store = read("limits: { shared: { url: redis://cache } }").unwrap();
        assert_eq!((store.host.as_str(), store.port, store.prefix.as_str()), ("cache", 6379, "tollgate"));
        assert_eq!((store.timeout, store.when_unreachable), (Duration::from_millis(50), WhenUnreachable::Local));
        let all = "url: rediss://cache.svc/2, username: me, password: { value: hidden }, prefix: team, timeout: 20ms";
        let store = read(&format!("limits: {{ shared: {{ {all}, when_unreachable: reject }} }}")).unwrap();
        assert_eq!((store.tls, store.database, store.username.as_deref()), (true, 2, Some("me")));
        assert_eq!((store.prefix.as_str(), store.timeout), ("team", Duration::from_millis(20)));
        assert_eq!(store.when_unreachable, WhenUnreachable::Reject);
        assert!(store.password.is_some() && !format!("{store:?}").contains("hidden"));
    }

    #[test]
    fn a_store_is_a_host_perhaps_a_port_and_a_database() {
        let read = |text| parse(text).map(|it| (it.host, it.port, it.tls, it.database));
        assert_eq!(read("redis://10.0.0.1"), Some(("10.0.0.1".to_owned(), 6379, false, 0)));
        assert_eq!(read("rediss://cache.example:6380/3"), Some(("cache.example".to_owned(), 6380, true, 3)));
        assert_eq!(read("valkey://[::1]:7000/"), Some(("::1".to_owned(), 7000, false, 0)));
        for wrong in
            ["http://a", "redis://", "a:6379", "redis://a:0", "redis://a:x", "redis://a/x", "redis://a?db=1", ""]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
