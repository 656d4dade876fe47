//! What a refusal says, in each style's shape and words.

use serde::Serialize;
use serde_json::json;

use http::StatusCode;

use super::{LimitState, Limited, Reject, Style};

#[derive(Serialize)]
struct OpenAiBody<'a> {
    error: OpenAiError<'a>,
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: &'a str,
}

#[derive(Serialize)]
struct AnthropicBody<'a> {
    r#type: &'a str,
    error: AnthropicError<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'a str,
    message: &'a str,
}

/// The body.
pub(super) fn of(style: Style, reject: &Reject, id: &str) -> String {
    let row = reject.row();
    let message = &message(reject);
    let written = match style {
        Style::OpenAi => serde_json::to_string(&OpenAiBody {
            error: OpenAiError { message, r#type: openai_type(reject), param: None, code: row.code },
        }),
        Style::Anthropic => serde_json::to_string(&AnthropicBody {
            r#type: "error",
            error: AnthropicError { r#type: anthropic_type(row.status), message },
            request_id: id,
        }),
        Style::Google => serde_json::to_string(
            &json!({"error": {"code": row.status.as_u16(), "message": message, "status": google_status(row.status)}}),
        ),
        Style::Bedrock | Style::Cohere => serde_json::to_string(&json!({"message": message})),
        Style::Ollama => serde_json::to_string(&json!({"error": message})),
        Style::UsageGuard => serde_json::to_string(&json!({
            "requestId": id,
            "error": {"code": usageguard_code(reject), "message": message, "details": null, "docUrl": null},
        })),
        Style::LlmStudio => serde_json::to_string(&json!({"detail": message})),
        Style::BrConnector => serde_json::to_string(&json!({
            "success": false,
            "data": message,
            "error": {"message": message, "error_code": row.code, "http_status": row.status.as_u16()},
        })),
    };
    // Writing strings as JSON cannot fail; an empty object is still an answer.
    written.unwrap_or_else(|_| "{}".to_owned())
}

/// What people read.
pub(super) fn message(reject: &Reject) -> String {
    let text = reject.row().text;
    match reject {
        Reject::BodyTooLarge { limit } => format!("{text} The limit is {limit} bytes."),
        _ => text.to_owned(),
    }
}

fn openai_type(reject: &Reject) -> &'static str {
    match reject {
        Reject::Limited(LimitState { what: Limited::Tokens, .. }) => "tokens",
        Reject::Limited(_) => "requests",
        Reject::BudgetSpent => "insufficient_quota",
        _ if reject.row().status.is_server_error() && *reject != Reject::NotSupported => "server_error",
        _ => "invalid_request_error",
    }
}

fn anthropic_type(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
        StatusCode::GATEWAY_TIMEOUT => "timeout_error",
        status if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => "api_error",
        _ => "invalid_request_error",
    }
}

/// The names of `google.rpc.Code`.
fn google_status(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "UNAUTHENTICATED",
        StatusCode::FORBIDDEN => "PERMISSION_DENIED",
        StatusCode::NOT_FOUND => "NOT_FOUND",
        StatusCode::TOO_MANY_REQUESTS => "RESOURCE_EXHAUSTED",
        StatusCode::NOT_IMPLEMENTED => "UNIMPLEMENTED",
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => "UNAVAILABLE",
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => "DEADLINE_EXCEEDED",
        status if status.is_server_error() => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}

/// The exception that AWS's clients raise; they go by it and not by the status.
pub(super) fn bedrock_type(reject: &Reject) -> &'static str {
    match reject.row().status {
        _ if *reject == Reject::BudgetSpent => "ServiceQuotaExceededException",
        StatusCode::UNAUTHORIZED => "UnrecognizedClientException",
        StatusCode::FORBIDDEN => "AccessDeniedException",
        StatusCode::NOT_FOUND => "ResourceNotFoundException",
        StatusCode::TOO_MANY_REQUESTS => "ThrottlingException",
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => "ModelTimeoutException",
        StatusCode::BAD_GATEWAY => "InternalServerException",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailableException",
        _ => "ValidationException",
    }
}

/// The codes of its documentation, which gives none for most of ours. One code for every 401, as everywhere.
fn usageguard_code(reject: &Reject) -> String {
    let known = match reject {
        Reject::Unauthorized(_) => "INVALID_API_KEY",
        Reject::OrganizationForbidden | Reject::ModelForbidden | Reject::BudgetSpent => "REQUEST_BLOCKED_BY_POLICY",
        Reject::NoRoute => "CONNECTION_NOT_FOUND",
        Reject::ModelMissing => "MISSING_REQUIRED_FIELDS",
        Reject::BodyTooLarge { .. } => "REQUEST_TOO_LARGE",
        Reject::Limited(_) => "CONNECTION_RATE_LIMIT_EXCEEDED",
        _ => return reject.row().code.to_ascii_uppercase(),
    };
    known.to_owned()
}
