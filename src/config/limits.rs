//! `limits:`, and the `limits` of a key record. What is absent has no limit.

use crate::types::Limits;

use super::LimitSet;
use super::section::Section;
use super::shared_limits::{self, SharedLimits};

/// The limits of all scopes, and what they are shared through.
pub(super) fn read(mut section: Section<'_>) -> (LimitSet, Option<SharedLimits>) {
    let limits = LimitSet {
        organization: scope(&mut section.section("organization")),
        overall: scope(&mut section.section("overall")),
        key: scope(&mut section),
    };
    (limits, section.take("shared").and_then(shared_limits::read))
}

/// The three limits of one scope.
pub(super) fn scope(section: &mut Section<'_>) -> Limits {
    let mut limit = |key: &'static str, most: u64| {
        section.take(key)?.number((1, most), "Leave it out for no limit; disable a key to refuse it.")
    };
    Limits {
        requests_per_minute: limit("requests_per_minute", u64::from(u32::MAX)).map(|number| number as u32),
        tokens_per_minute: limit("tokens_per_minute", i64::MAX as u64),
        concurrent_requests: limit("concurrent_requests", u64::from(u32::MAX)).map(|number| number as u32),
    }
}
