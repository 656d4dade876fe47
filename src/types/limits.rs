//! How much a key, an organization or the whole process may use.

/// Limits of one scope. An absent limit is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests admitted per minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens (input and output) per minute.
    pub tokens_per_minute: Option<u64>,
    /// Requests in flight at the same time.
    pub concurrent_requests: Option<u32>,
}

impl Limits {
    /// These limits where they are set, `defaults` where they are not.
    pub fn or(self, defaults: Self) -> Self {
        Self {
            requests_per_minute: self.requests_per_minute.or(defaults.requests_per_minute),
            tokens_per_minute: self.tokens_per_minute.or(defaults.tokens_per_minute),
            concurrent_requests: self.concurrent_requests.or(defaults.concurrent_requests),
        }
    }
}
