//! Which upstream takes a request.

use super::location::canonical;
use crate::config::Matching;
use crate::types::Pattern;

/// What a request is routed by. Nothing here ever becomes part of the address that is called.
#[derive(Clone, Copy, Debug, Default)]
pub struct Routing<'a> {
    /// The model that the request names.
    pub model: Option<&'a str>,
    /// The path of the request, without its query.
    pub path: &'a str,
    /// The host that the client asked for, with or without a port.
    pub host: Option<&'a str>,
    /// The `x-connection-id` header.
    pub connection_id: Option<&'a str>,
}

/// Whether every list that is not empty has a pattern for this request.
pub(super) fn matches(matching: &Matching, ask: &Routing<'_>) -> bool {
    allows(&matching.models, ask.model)
        && allows(&matching.paths, Some(canonical(ask.path)))
        && (matching.hosts.is_empty() || host_allowed(&matching.hosts, ask.host))
        && allows(&matching.connection_ids, ask.connection_id)
}

fn allows(patterns: &[Pattern], text: Option<&str>) -> bool {
    patterns.is_empty() || text.is_some_and(|text| patterns.iter().any(|pattern| pattern.matches(text)))
}

/// Host names have no case, and a pattern may name the port or leave it out.
fn host_allowed(patterns: &[Pattern], host: Option<&str>) -> bool {
    let Some(host) = host.map(str::to_ascii_lowercase) else { return false };
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        _ => &host,
    };
    allows(patterns, Some(&host)) || allows(patterns, Some(bare))
}
