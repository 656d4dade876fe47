//! Every refusal that a client can see, in one table: status, code, text and metric label.
//!
//! A refusal says what to do and never which of several secrets was wrong: all reasons for a 401 share one body, so the
//! body is no oracle. How it looks on the wire is each dialect's to say (`dialect::refusal`).

use std::time::Duration;

use http::StatusCode;

const FULL: &str = "Usage cannot be recorded at the moment, so the request was not sent. Try again later.";
const UNRECORDABLE: &str =
    "The usage of this request cannot be recorded, so it was not sent. That is a defect here: please report it.";
const CUT: &str = "The upstream broke off before its answer was whole.";
const KEY_UNCHECKED: &str = "The key could not be checked at the moment. Try again later.";
const LIMITS_UNCHECKED: &str = "The limits of this key could not be checked at the moment. Try again later.";
const STALLED: &str = "The upstream fell silent before its answer was whole.";

/// Why a caller is not let in. Seen in metrics and logs only: the client's body is the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// No key was sent.
    NoKey,
    /// No record has this key.
    UnknownKey,
    /// The record has expired.
    Expired,
    /// The record is disabled.
    Disabled,
    /// The `SecretKey` header is missing or wrong.
    Secret,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// Requests per minute.
    Requests,
    /// Tokens per minute.
    Tokens,
    /// Requests in flight.
    Concurrency,
    /// Money: what is left of the budget is spoken for by requests in flight.
    Budget,
    /// Whatever a remote authority counts.
    Authority,
}

/// The state of the limit that refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitState {
    /// What is limited.
    pub what: Limited,
    /// The configured limit.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// When a retry can succeed; `None` when it never can (the request alone is larger than the limit).
    pub retry_after: Option<Duration>,
    /// When the limit is whole again.
    pub reset: Duration,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reject {
    /// Who calls is not known, or may not.
    Unauthorized(Denial),
    /// Two different credentials were sent.
    TwoCredentials,
    /// The named organization is not one of the key's.
    OrganizationForbidden,
    /// The key may not use this model.
    ModelForbidden,
    /// No upstream serves this model, path or host.
    NoRoute,
    /// The body is not JSON where a model is needed.
    BodyNotJson,
    /// The body names no model where one is needed.
    ModelMissing,
    /// The body is larger than `proxy.max_request_bytes`.
    BodyTooLarge {
        /// The configured limit.
        limit: u64,
    },
    /// The client's body broke off or came too slowly.
    BodyBroken,
    /// A header is malformed or asks for what must not be.
    BadRequest(&'static str),
    /// `Expect` with anything but `100-continue`.
    ExpectationFailed,
    /// A method or form of request that is not served here.
    NotSupported,
    /// A limit is reached.
    Limited(LimitState),
    /// The budget is spent.
    BudgetSpent,
    /// There is no room to record the event, so the request may not go.
    SpoolFull,
    /// The event could not be written down, so the request may not go: a defect of ours.
    Unrecordable,
    /// The authority does not answer.
    AuthorityUnreachable,
    /// The store through which limits are shared does not answer, and callers are to be refused then.
    LimitsUnreachable,
    /// The process is ending.
    ShuttingDown,
    /// The upstream could not be reached.
    UpstreamUnreachable,
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// The upstream broke off before its answer began.
    UpstreamBroken,
    /// The upstream broke off in the middle of its answer.
    UpstreamCut,
    /// The upstream fell silent in the middle of its answer.
    UpstreamStalled,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// HTTP status.
    pub status: StatusCode,
    /// Machine-readable code in the body, and `error` on the event.
    pub code: &'static str,
    /// Metric label.
    pub label: &'static str,
    /// What the caller is told.
    pub text: &'static str,
}

impl Reject {
    /// The row of this refusal.
    pub fn row(&self) -> Row {
        let (status, code, label, text) = match self {
            Self::Unauthorized(denial) => (
                401,
                "invalid_api_key",
                denial.label(),
                "The API key is missing or not valid here. Send a valid key, for example as 'Authorization: Bearer KEY'.",
            ),
            Self::TwoCredentials => {
                (400, "two_credentials", "two_credentials", "Two different credentials were sent. Send exactly one.")
            }
            Self::OrganizationForbidden => {
                (403, "organization_not_allowed", "organization", "This key does not belong to the named organization.")
            }
            Self::ModelForbidden => (403, "model_not_allowed", "model", "This key may not use the named model."),
            Self::NoRoute => (404, "model_not_found", "no_route", "No upstream is configured for this model or path."),
            Self::BodyNotJson => (400, "invalid_json", "body", "The request body is not valid JSON."),
            Self::ModelMissing => {
                (400, "model_missing", "body", "The request body names no model. Add a \"model\" field.")
            }
            Self::BodyTooLarge { .. } => (413, "request_too_large", "body_too_large", "The request body is too large."),
            Self::BodyBroken => (408, "request_incomplete", "body", "The request body did not arrive whole in time."),
            Self::BadRequest(text) => (400, "bad_request", "bad_request", *text),
            Self::ExpectationFailed => {
                (417, "expectation_failed", "bad_request", "Only 'Expect: 100-continue' is understood.")
            }
            Self::NotSupported => (501, "not_supported", "bad_request", "This kind of request is not served here."),
            Self::Limited(state) => state.row(),
            Self::BudgetSpent => (
                429,
                "insufficient_quota",
                "budget",
                "The budget of this key is spent. Retrying does not help; ask for a higher budget.",
            ),
            Self::SpoolFull => (503, "usage_store_full", "spool_full", FULL),
            Self::Unrecordable => (500, "usage_not_recordable", "unrecordable", UNRECORDABLE),
            Self::AuthorityUnreachable => (503, "authority_unreachable", "authority", KEY_UNCHECKED),
            Self::LimitsUnreachable => (503, "limits_unreachable", "limits", LIMITS_UNCHECKED),
            Self::ShuttingDown => (503, "shutting_down", "shutting_down", "This instance is shutting down. Try again."),
            Self::UpstreamUnreachable => {
                (502, "upstream_unreachable", "upstream", "The upstream could not be reached.")
            }
            Self::UpstreamTimeout => (504, "upstream_timeout", "upstream", "The upstream did not answer in time."),
            Self::UpstreamBroken => {
                (502, "upstream_broken", "upstream", "The upstream closed the connection before it answered.")
            }
            Self::UpstreamCut => (502, "upstream_broken", "upstream", CUT),
            Self::UpstreamStalled => (504, "upstream_timeout", "upstream", STALLED),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Row { status, code, label, text }
    }

    /// When a retry can succeed, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited(state) => state.retry_after,
            Self::SpoolFull | Self::AuthorityUnreachable | Self::LimitsUnreachable => Some(Duration::from_secs(5)),
            Self::ShuttingDown => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// Whether trying the same request again can help; `None` leaves it to the client's own rules.
    #[expect(clippy::match_same_arms, reason = "one line per kind of refusal reads better")]
    pub fn should_retry(&self) -> Option<bool> {
        match self {
            Self::Limited(LimitState { retry_after: Some(_), .. }) | Self::ShuttingDown | Self::SpoolFull => None,
            Self::AuthorityUnreachable | Self::BodyBroken => None,
            Self::UpstreamUnreachable | Self::UpstreamTimeout | Self::UpstreamBroken => None,
            Self::UpstreamCut | Self::UpstreamStalled => None,
            _ => Some(false),
        }
    }
}

impl Denial {
    fn label(self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::UnknownKey => "unknown_key",
            Self::Expired => "expired_key",
            Self::Disabled => "disabled_key",
            Self::Secret => "secret",
        }
    }
}

impl LimitState {
    fn row(self) -> (u16, &'static str, &'static str, &'static str) {
        let label = match self.what {
            Limited::Requests => "requests_per_minute",
            Limited::Tokens => "tokens_per_minute",
            Limited::Concurrency => "concurrent_requests",
            Limited::Budget => "budget_in_flight",
            Limited::Authority => "authority_limit",
        };
        let text = match (self.what, self.retry_after) {
            (_, None) => {
                "This request alone needs more than the limit allows. Make it smaller or ask for a higher limit."
            }
            (Limited::Requests, _) => "Too many requests per minute. Wait as 'retry-after' says.",
            (Limited::Tokens, _) => "Too many tokens per minute. Wait as 'retry-after' says.",
            (Limited::Concurrency, _) => "Too many requests at the same time. Wait for one to end.",
            (Limited::Budget, _) => "Requests in flight may use all that is left of the budget. Wait for one to end.",
            (Limited::Authority, _) => "The authority limits this key. Wait as 'retry-after' says.",
        };
        (429, "rate_limit_exceeded", label, text)
    }
}
