//! The guard API: `POST /api/guard/auth`, `POST /api/guard/log-usage`, `GET /api/guard/revocations`.
//!
//! The first two answer the clients of the original (COMPAT §1) as they expect: same checks in the same order, same
//! statuses, same texts. Beside that, JSON for who asks for it, and grants for sidecars, which then decide by
//! themselves until the grant ends or the stream of revocations ends it.
//!
//! Read `check`, then `report`, `revocations`.

mod asker;
mod caller;
mod check;
mod event;
mod form;
mod grant;
mod refusal;
mod report;
mod revocations;

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use super::Control;
use super::reply::Body;
use super::store::StoreError;
use crate::types::Timestamp;
use check::{Purpose, Wish};
use form::Form;
use refusal::Refusal;
use report::Report;

/// A body must arrive within this time.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// Answers a request whose path is the guard API's.
pub(super) async fn answer(control: &Control, request: Request<Incoming>, from: IpAddr) -> Response<Body> {
    let form = Form::asked_for(request.headers());
    let (head, body) = request.into_parts();
    let answered = match (head.method.clone(), head.uri.path()) {
        (Method::POST, "/api/guard/auth") => auth(control, (&head, body), (form, from)).await,
        (Method::POST, "/api/guard/log-usage") => log_usage(control, (&head, body), (form, from)).await,
        (Method::POST, "/api/guard/returns") => {
            grant::take_back(control, (&head, body), from).await.map(|()| form.success())
        }
        (Method::GET, "/api/guard/revocations") => revocations::answer(control, &head.headers, from).await,
        (_, "/api/guard/auth" | "/api/guard/log-usage" | "/api/guard/returns" | "/api/guard/revocations") => {
            Err(Refusal::MethodWrong)
        }
        _ => Err(Refusal::PathUnknown),
    };
    answered.unwrap_or_else(|refusal| {
        control.counters.refused.add();
        form.refuse(&refusal)
    })
}

async fn auth(
    control: &Control,
    (head, body): (&Parts, Incoming),
    (form, from): (Form, IpAddr),
) -> Result<Response<Body>, Refusal> {
    let asker = asker::identify(control, &head.headers, from).await?;
    let body = take(control, body).await?;
    let purpose = Purpose::of(form);
    // A sidecar may ask before it has read which model is wanted.
    let body = if purpose == Purpose::Grant && body.is_empty() { Value::Null } else { json(&body)? };
    let wish = Wish { headers: &head.headers, model: model(&body), purpose };
    let allowed = check::check(control, asker, &wish).await?;
    control.counters.allowed.add();
    match form {
        Form::Text | Form::Json => Ok(form.success()),
        Form::Grant => Ok(form::grant(&grant::of(control, allowed, (head, &body, from)).await?)),
    }
}

async fn log_usage(
    control: &Control,
    (head, body): (&Parts, Incoming),
    (form, from): (Form, IpAddr),
) -> Result<Response<Body>, Refusal> {
    let asker = asker::identify(control, &head.headers, from).await?;
    let body = take(control, body).await?;
    let report = Report::read(&json(&body)?).map_err(Refusal::ReportInvalid)?;
    let model = (!report.model.is_empty()).then_some(report.model.as_str());
    let wish = Wish { headers: &head.headers, model, purpose: Purpose::Report };
    let allowed = check::check(control, asker, &wish).await?;
    let event = event::of(&report, &allowed, (head, body.len()));
    (control.links.report)(event, Timestamp::now()).await.map_err(|_| Refusal::NotLogged)?;
    control.counters.reported.add();
    // The original refuses here and forgets what was used. Here it is recorded, for it was used.
    if allowed.is_spent {
        Err(Refusal::Spent)
    } else {
        Ok(if form == Form::Grant { Form::Json } else { form }.success())
    }
}

/// The body, within its bounds.
async fn take(control: &Control, body: Incoming) -> Result<Bytes, Refusal> {
    let most = usize::try_from(control.links.max_request_bytes).unwrap_or(usize::MAX);
    let whole = tokio::time::timeout(BODY_PATIENCE, Limited::new(body, most).collect()).await;
    match whole {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::BodyTooLarge),
        Ok(Err(_)) | Err(_) => Err(Refusal::BodyTooSlow),
    }
}

/// Row 3: what is not JSON, and `null`, of which nothing can be read.
fn json(body: &[u8]) -> Result<Value, Refusal> {
    let value: Value = serde_json::from_slice(body).map_err(|_| Refusal::BodyNotJson)?;
    if value.is_null() { Err(Refusal::BodyNotJson) } else { Ok(value) }
}

fn model(body: &Value) -> Option<&str> {
    body.get("model")?.as_str().filter(|model| !model.is_empty())
}

/// Notes that the database failed; the one who asked is told no more than that.
fn failed(control: &Control, error: &StoreError) -> Refusal {
    control.counters.failures.add();
    tracing::warn!(%error, "the guard API could not ask its database");
    Refusal::Failed
}
