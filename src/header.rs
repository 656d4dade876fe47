//! Every header name that Tollgate reads, sets or strips. No other module holds a header literal.

use http::HeaderName;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: HeaderName = HeaderName::from_static($text);)*
    };
}

names! {
    /// The service secret that must accompany some keys.
    SECRET_KEY = "secretkey";
    /// Anthropic's key header, accepted by many others.
    X_API_KEY = "x-api-key";
    /// UsageGuard's key header.
    X_UG_API_KEY = "x-ug-api-key";
    /// Azure's key header.
    API_KEY = "api-key";
    /// Google's key header.
    X_GOOG_API_KEY = "x-goog-api-key";
    /// Swarms' organization.
    SWARMS_ORGANIZATION = "swarms-organization";
    /// OpenAI's organization.
    OPENAI_ORGANIZATION = "openai-organization";
    /// OpenAI's project, which narrows the organization.
    OPENAI_PROJECT = "openai-project";
    /// The organization, by custom.
    X_ORGANIZATION = "x-organization";
    /// UsageGuard's connection id.
    X_CONNECTION_ID = "x-connection-id";
    /// Groups calls into a session.
    SESSION_ID = "session-id";
    /// Our name for a request; also sent back to the client.
    X_REQUEST_ID = "x-request-id";
    /// The same, as Anthropic writes it.
    REQUEST_ID = "request-id";
    /// A request's name, as AWS writes it.
    X_AMZN_REQUESTID = "x-amzn-requestid";
    /// The kind of an error, as AWS writes it.
    X_AMZN_ERRORTYPE = "x-amzn-errortype";
    /// W3C trace context.
    TRACEPARENT = "traceparent";
    /// W3C trace context, vendor part.
    TRACESTATE = "tracestate";
    /// W3C baggage.
    BAGGAGE = "baggage";
    /// Which attempt of the SDK's own retries this is, from 0.
    X_STAINLESS_RETRY_COUNT = "x-stainless-retry-count";
    /// Tells the SDKs whether a retry can help.
    X_SHOULD_RETRY = "x-should-retry";
    /// Our name for a request, also where the upstream has its own `x-request-id`.
    X_TOLLGATE_REQUEST_ID = "x-tollgate-request-id";
    /// Names the sidecar that asks an authority.
    X_TOLLGATE_INSTANCE = "x-tollgate-instance";
    /// Names what a request does, so that a receiver can tell a repetition.
    IDEMPOTENCY_KEY = "idempotency-key";
    /// Where a client of an event stream left off.
    LAST_EVENT_ID = "last-event-id";
    /// Which side limited the caller: `gateway` is us.
    X_TOLLGATE_LIMIT_ORIGIN = "x-tollgate-limit-origin";
    /// The part of a temporary AWS credential that its signatures are sent with.
    X_AMZ_SECURITY_TOKEN = "x-amz-security-token";
    /// What AWS counted of an invocation that is no stream.
    BEDROCK_INPUT_TOKENS = "x-amzn-bedrock-input-token-count";
    /// Likewise of its output.
    BEDROCK_OUTPUT_TOKENS = "x-amzn-bedrock-output-token-count";
    /// Likewise of what was read from the cache.
    BEDROCK_CACHE_READ_TOKENS = "x-amzn-bedrock-cache-read-input-token-count";
    /// Likewise of what was written to the cache.
    BEDROCK_CACHE_WRITE_TOKENS = "x-amzn-bedrock-cache-write-input-token-count";
    /// Proxies on the way, for loop detection and by custom.
    FORWARDED = "forwarded";
    /// Set by proxies in front.
    X_FORWARDED_FOR = "x-forwarded-for";
    /// Set by proxies in front.
    X_FORWARDED_HOST = "x-forwarded-host";
    /// Set by proxies in front.
    X_FORWARDED_PROTO = "x-forwarded-proto";
    /// Set by proxies in front.
    X_FORWARDED_PORT = "x-forwarded-port";
    /// Set by proxies in front.
    X_REAL_IP = "x-real-ip";
    /// Set by proxies in front.
    X_ORIGINAL_URL = "x-original-url";
    /// Old form of `Connection` for proxies.
    PROXY_CONNECTION = "proxy-connection";
    /// Hop-by-hop.
    KEEP_ALIVE = "keep-alive";
    /// Hop-by-hop, from the h2c upgrade.
    HTTP2_SETTINGS = "http2-settings";
    /// OpenAI's rate limit headers.
    X_RATELIMIT_LIMIT_REQUESTS = "x-ratelimit-limit-requests";
    /// Requests left.
    X_RATELIMIT_REMAINING_REQUESTS = "x-ratelimit-remaining-requests";
    /// When requests are whole again.
    X_RATELIMIT_RESET_REQUESTS = "x-ratelimit-reset-requests";
    /// Tokens per minute.
    X_RATELIMIT_LIMIT_TOKENS = "x-ratelimit-limit-tokens";
    /// Tokens left.
    X_RATELIMIT_REMAINING_TOKENS = "x-ratelimit-remaining-tokens";
    /// When tokens are whole again.
    X_RATELIMIT_RESET_TOKENS = "x-ratelimit-reset-tokens";
    /// Anthropic's rate limit headers.
    ANTHROPIC_RATELIMIT_REQUESTS_LIMIT = "anthropic-ratelimit-requests-limit";
    /// Requests left.
    ANTHROPIC_RATELIMIT_REQUESTS_REMAINING = "anthropic-ratelimit-requests-remaining";
    /// When requests are whole again, RFC 3339.
    ANTHROPIC_RATELIMIT_REQUESTS_RESET = "anthropic-ratelimit-requests-reset";
    /// Tokens per minute.
    ANTHROPIC_RATELIMIT_TOKENS_LIMIT = "anthropic-ratelimit-tokens-limit";
    /// Tokens left.
    ANTHROPIC_RATELIMIT_TOKENS_REMAINING = "anthropic-ratelimit-tokens-remaining";
    /// When tokens are whole again, RFC 3339.
    ANTHROPIC_RATELIMIT_TOKENS_RESET = "anthropic-ratelimit-tokens-reset";
}

/// Headers that belong to one connection (RFC 9110 §7.6.1) or to its framing, and never travel on.
pub const HOP_BY_HOP: [HeaderName; 10] = [
    http::header::CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    http::header::PROXY_AUTHENTICATE,
    http::header::PROXY_AUTHORIZATION,
    http::header::TE,
    http::header::TRAILER,
    http::header::TRANSFER_ENCODING,
    http::header::UPGRADE,
    HTTP2_SETTINGS,
];

/// Headers by which a key may be sent, besides `Authorization` and `Proxy-Authorization`.
pub const KEY_HEADERS: [HeaderName; 4] = [X_API_KEY, X_UG_API_KEY, API_KEY, X_GOOG_API_KEY];

/// How browsers, which can set no headers on a WebSocket, send OpenAI's key: as a subprotocol that begins so.
pub const KEY_PROTOCOL: &str = "openai-insecure-api-key.";

/// Subprotocols that say the key and which account pays: they travel only with the client's own key.
pub const ACCOUNT_PROTOCOLS: [&str; 3] = [KEY_PROTOCOL, "openai-organization.", "openai-project."];

/// Headers that say who the client or its network is, or that are ours alone: stripped on the way to an upstream.
pub const IDENTITY: [HeaderName; 9] = [
    SECRET_KEY,
    FORWARDED,
    X_FORWARDED_FOR,
    X_FORWARDED_HOST,
    X_FORWARDED_PROTO,
    X_FORWARDED_PORT,
    X_REAL_IP,
    X_ORIGINAL_URL,
    X_CONNECTION_ID,
];

/// Trace headers: stripped towards third parties.
pub const TRACE: [HeaderName; 3] = [TRACEPARENT, TRACESTATE, BAGGAGE];

/// Organization headers that only we read: stripped on the way to an upstream.
pub const OWN_ORGANIZATION: [HeaderName; 2] = [SWARMS_ORGANIZATION, X_ORGANIZATION];

/// Headers that say which account of the provider pays: they belong to the credential and travel only with the client's own.
pub const PROVIDER_ACCOUNT: [HeaderName; 3] = [OPENAI_ORGANIZATION, OPENAI_PROJECT, X_AMZ_SECURITY_TOKEN];

/// The state of our own request limit on an admitted answer, under names that no provider uses.
pub const RATE: [HeaderName; 3] = [
    HeaderName::from_static("x-tollgate-ratelimit-limit-requests"),
    HeaderName::from_static("x-tollgate-ratelimit-remaining-requests"),
    HeaderName::from_static("x-tollgate-ratelimit-reset-requests"),
];

/// How the header of each attribute of a CloudEvent in binary mode begins.
pub const CLOUDEVENT_PREFIX: &str = "ce-";

/// Content codings that are understood on the way; an upstream is asked for no other.
pub const READABLE_CODINGS: [&str; 6] = ["gzip", "x-gzip", "deflate", "br", "zstd", "identity"];
