//! Every refusal of the guard API: status and text as its clients have always had them, and ours where it had none.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

/// Why the guard API refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    SecretMissing,
    SecretWrong,
    /// Too many wrong secrets have come from this address.
    Throttled(Duration),
    BodyNotJson,
    BodyTooLarge,
    BodyTooSlow,
    /// What is wrong with a usage report, field by field.
    ReportInvalid(String),
    KeyMissing,
    KeyInvalid,
    ModelMissing,
    OrganizationUnknown,
    NotAMember,
    Limited(Duration),
    UserUnknown,
    Spent,
    ModelUnknown,
    ModelForbidden,
    /// The database failed.
    Failed,
    /// The usage could not be recorded.
    NotLogged,
    PathUnknown,
    MethodWrong,
}

impl Refusal {
    /// What the client is told.
    pub(super) fn row(&self) -> (StatusCode, Cow<'static, str>) {
        let (status, text) = match self {
            Self::SecretMissing => (401, "Secret Key is missing"),
            Self::SecretWrong => (401, "Invalid Secret Key"),
            Self::BodyNotJson => (500, "Internal Server Error"),
            Self::BodyTooLarge => (413, "Request body is too large"),
            Self::BodyTooSlow => (408, "Request body did not arrive in time"),
            Self::KeyMissing => (401, "API Key is missing"),
            Self::KeyInvalid => (401, "Invalid API Key"),
            Self::ModelMissing => (400, "model is missing"),
            Self::OrganizationUnknown => (404, "Organization not found"),
            Self::NotAMember => (401, "User is not part of the organization"),
            Self::Limited(_) | Self::Throttled(_) => (429, "Too Many Requests. Please try again later."),
            Self::UserUnknown => (404, "User not found"),
            Self::Spent => (403, "You have exceeded your billing limit"),
            Self::Failed => (500, "Internal server error"),
            Self::ModelUnknown => (404, "Model not found"),
            Self::ModelForbidden => (403, "You do not have permission to use this model"),
            Self::NotLogged => (500, "Internal Server Error - Swarms activity log failed"),
            Self::PathUnknown => (404, "Not Found"),
            Self::MethodWrong => (405, "Method Not Allowed"),
            Self::ReportInvalid(issues) => return (StatusCode::BAD_REQUEST, Cow::Owned(issues.clone())),
        };
        (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Cow::Borrowed(text))
    }

    /// When a retry can succeed, where that is known.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited(wait) | Self::Throttled(wait) => Some(*wait),
            _ => None,
        }
    }
}
