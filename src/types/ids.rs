//! Newtypes for every id, so that a key cannot stand where an organization is meant.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes any text as an id.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The id as shared text.
            pub fn to_arc(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// Names a key record; never the key itself.
    KeyId
);
id!(
    /// Names an organization.
    OrgId
);
id!(
    /// Names a group of keys.
    GroupId
);
id!(
    /// A W3C trace id: 32 hex digits.
    TraceId
);

/// Names one request in events, logs and the `x-request-id` header: `req_` and 32 hex digits, unique across processes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct RequestId(Arc<str>);

static SERIAL: AtomicU64 = AtomicU64::new(0);
static PROCESS: std::sync::LazyLock<u64> = std::sync::LazyLock::new(|| fastrand::u64(..));

impl RequestId {
    /// The next id: 64 random bits of this process and a serial number, which costs no randomness per request.
    pub fn next() -> Self {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let mut text = *b"req_00000000000000000000000000000000";
        for (at, mut number) in [(4, *PROCESS), (20, serial)] {
            for digit in text.iter_mut().skip(at).take(16).rev() {
                *digit = hex(number);
                number >>= 4;
            }
        }
        Self(str::from_utf8(&text).unwrap_or_default().into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as shared text.
    pub fn to_arc(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

/// The lowest four bits as a digit. Formatting through `fmt` would cost more than the rest of an id.
fn hex(number: u64) -> u8 {
    let digit = (number & 15) as u8;
    digit + if digit < 10 { b'0' } else { b'a' - 10 }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::RequestId;

    #[test]
    fn two_request_ids_differ_and_are_well_formed() {
        let (a, b) = (RequestId::next(), RequestId::next());
        assert_ne!(a, b);
        assert_eq!(a.as_str().len(), "req_".len() + 32);
        let serial = |id: &RequestId| u64::from_str_radix(&id.as_str()[20..], 16).unwrap();
        assert!(serial(&a) < serial(&b), "{a} {b}");
        assert!(a.as_str()[4..].bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')), "{a}");
    }
}
