//! What an authority's answer means.
//!
//! A control plane answers with a grant. Any other 2xx lets the call pass; the key is then known by its digest alone. An
//! original server needs a model and says so when a key is right, so a question without one tells whether the key is
//! known, and each model is asked about when it is named. Refusals count by their texts, which are documented, else by
//! their status. What is neither is no answer: a wrong URL must not look like a wrong key.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::client::ClientError;
use crate::guard::source::{Granted, Question, Verdict};
use crate::reject::{Denial, LimitState, Limited, Reject};
use crate::types::{Grant, KeyId, KeyRecord, Limits, OrgId};

/// Whose `SecretKey` was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secret {
    Ours,
    Clients,
}

const GRANT_TYPE: &str = "application/vnd.tollgate.grant+json";
const MOST_WAIT: Duration = Duration::from_mins(1);

pub(super) fn read(
    (status, headers, body): (StatusCode, &HeaderMap, &[u8]),
    asked: &Question<'_>,
    secret: Secret,
) -> Result<Verdict, ClientError> {
    if status.is_success() {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        return if kind.starts_with(GRANT_TYPE) { granted(body, asked) } else { Ok(passed(asked)) };
    }
    let text = text(body);
    let refused = |reject| Ok(Verdict::Refused(reject));
    match (status.as_u16(), text.as_str()) {
        (400, "model is missing") if asked.model.is_none() => Ok(passed(asked)),
        (401, "Secret Key is missing" | "Invalid Secret Key") => match secret {
            Secret::Ours => Err(ClientError::Secret),
            Secret::Clients => refused(Reject::Unauthorized(Denial::Secret)),
        },
        (401, "User is not part of the organization") | (404, "Organization not found") => {
            refused(Reject::OrganizationForbidden)
        }
        (401, _) | (404, "User not found") => refused(Reject::Unauthorized(Denial::UnknownKey)),
        (404, "Model not found") | (403, "You do not have permission to use this model") => {
            refused(Reject::ModelForbidden)
        }
        (402 | 403, _) => refused(Reject::BudgetSpent),
        (429, _) => refused(Reject::Limited(limited(headers))),
        _ => Err(ClientError::Status(status)),
    }
}

fn granted(body: &[u8], asked: &Question<'_>) -> Result<Verdict, ClientError> {
    let grant: Grant = serde_json::from_slice(body).map_err(|_| ClientError::Answer)?;
    // Whatever went wrong on the way, no key is let in by the record of another.
    if grant.record.key != asked.credential.digest() {
        return Err(ClientError::Answer);
    }
    Ok(Verdict::Granted(Arc::new(Granted {
        record: Arc::new(grant.record),
        organization_limits: grant.organization_limits,
        slice: grant.budget,
        ttl: Some(Duration::from_millis(grant.ttl_ms)),
        by_model: false,
    })))
}

/// All that is known of a key that may pass.
fn passed(asked: &Question<'_>) -> Verdict {
    let digest = asked.credential.digest();
    let id = format!("key-{}", digest.to_hex().get(..12).unwrap_or_default());
    let mut record = KeyRecord::new(KeyId::new(id), digest);
    let organization = asked.organization.as_ref().and_then(|organization| organization.to_str().ok());
    record.organizations = organization.map(|organization| OrgId::new(organization.trim())).into_iter().collect();
    Verdict::Granted(Arc::new(Granted {
        record: Arc::new(record),
        organization_limits: Limits::default(),
        slice: None,
        ttl: None,
        by_model: true,
    }))
}

/// Plain text, or the message in JSON.
fn text(body: &[u8]) -> String {
    let message = serde_json::from_slice::<Value>(body).ok();
    let message = message.and_then(|value| value.get("message")?.as_str().map(str::to_owned));
    message.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned())
}

fn limited(headers: &HeaderMap) -> LimitState {
    let seconds = headers.get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.trim().parse().ok());
    let wait = Duration::from_secs(seconds.unwrap_or(1)).min(MOST_WAIT);
    LimitState { what: Limited::Authority, limit: 0, remaining: 0, retry_after: Some(wait), reset: wait }
}

#[cfg(test)]
mod tests {
    use super::{Secret, read};
    use crate::guard::source::{Question, Verdict};
    use crate::header::X_API_KEY;
    use crate::reject::{Denial, Reject};
    use http::{HeaderMap, HeaderValue, StatusCode, Uri};

    fn answered(status: u16, body: &str, (model, secret): (Option<&str>, Secret)) -> Option<Verdict> {
        let headers = HeaderMap::from_iter([(X_API_KEY, HeaderValue::from_static("sk-1"))]);
        let uri = Uri::from_static("/");
        let asked = Question::of(&headers, &uri, &[]).unwrap();
        let asked = model.map_or(asked.clone(), |model| asked.about(model));
        read((StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes()), &asked, secret).ok()
    }

    #[test]
    fn refusals_of_an_original_server_mean_what_they_say() {
        let unknown = Reject::Unauthorized(Denial::UnknownKey);
        let cases = [
            (401, "Invalid API Key", Some(unknown.clone())),
            (401, "API Key is missing", Some(unknown)),
            (401, "User is not part of the organization", Some(Reject::OrganizationForbidden)),
            (404, "Organization not found", Some(Reject::OrganizationForbidden)),
            (404, "Model not found", Some(Reject::ModelForbidden)),
            (403, "You have exceeded your billing limit", Some(Reject::BudgetSpent)),
            (402, "Insufficient credits", Some(Reject::BudgetSpent)),
            (401, "Invalid Secret Key", None),
            (404, "<html>no such page</html>", None),
            (500, "Internal server error", None),
            (302, "", None),
        ];
        for (status, body, want) in cases {
            for body in [body.to_owned(), serde_json::json!({"status": status, "message": body}).to_string()] {
                let got = answered(status, &body, (Some("m"), Secret::Ours));
                assert_eq!(got, want.clone().map(Verdict::Refused), "{status} {body}");
            }
        }
        let got = answered(401, "Invalid Secret Key", (None, Secret::Clients));
        assert_eq!(got, Some(Verdict::Refused(Reject::Unauthorized(Denial::Secret))));
    }

    #[test]
    fn any_success_passes_and_so_does_a_right_key_without_its_model() {
        for (status, body, model) in [(200, "Success", None), (204, "", Some("m")), (400, "model is missing", None)] {
            let Some(Verdict::Granted(granted)) = answered(status, body, (model, Secret::Ours)) else {
                panic!("{status}")
            };
            assert!(granted.by_model && granted.record.id.as_str().starts_with("key-"));
        }
        assert_eq!(answered(400, "model is missing", (Some("m"), Secret::Ours)), None);
    }
}
