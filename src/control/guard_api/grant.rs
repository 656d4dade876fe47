//! What a sidecar may go on with by itself: the key's record, and a slice of its budget where it has one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::Value;

use super::asker::{self, Asker};
use super::check::Allowed;
use super::failed;
use super::refusal::Refusal;
use crate::control::Control;
use crate::control::store::Loan;
use crate::header::X_TOLLGATE_INSTANCE;
use crate::types::{Grant, NanoUsd, Returned, Timestamp, Used};

/// How long a grant holds while no revocation ends it.
const TTL: Duration = Duration::from_mins(1);

#[derive(Deserialize)]
struct Returns {
    returned: Vec<Returned>,
}

/// What is granted, with a slice for whoever asks. What it has used so far stands in the body.
pub(super) async fn of(
    control: &Control,
    allowed: Allowed,
    (head, body, from): (&Parts, &Value, IpAddr),
) -> Result<Grant, Refusal> {
    let Allowed { caller, organization, organization_limits, is_spent } = allowed;
    let now = Timestamp::now();
    let until = Timestamp::from_millis(now.as_millis() + TTL.as_millis() as u64);
    let used = body.get("used").and_then(|used| Used::deserialize(used).ok());
    let budget = match &caller.record.budget {
        None => None,
        Some(budget) => {
            let loan = Loan { key: &caller.record.id, holder: &holder(head, from), used, now, until };
            let lent = control.store().lend(&loan, budget).await.map_err(|error| failed(control, &error))?;
            Some(if is_spent { crate::types::Slice { nano_usd: NanoUsd(0), ..lent } } else { lent })
        }
    };
    let (ttl_ms, revision) = (TTL.as_millis() as u64, caller.revision);
    Ok(Grant {
        record: Arc::unwrap_or_clone(caller.record),
        organization,
        organization_limits,
        budget,
        ttl_ms,
        revision,
    })
}

/// `POST /api/guard/returns`: a sidecar that ends gives its slices back.
pub(super) async fn take_back(
    control: &Control,
    (head, body): (&Parts, Incoming),
    from: IpAddr,
) -> Result<(), Refusal> {
    let Asker::Deployment = asker::identify(control, &head.headers, from).await? else {
        return Err(Refusal::SecretWrong);
    };
    let body = super::take(control, body).await?;
    let returns: Returns = serde_json::from_slice(&body).map_err(|_| Refusal::BodyNotJson)?;
    let holder = holder(head, from);
    for returned in &returns.returned {
        let given = control.store().give_back(&returned.key_id, (&holder, returned.used)).await;
        given.map_err(|error| failed(control, &error))?;
    }
    Ok(())
}

/// One that gives no name is known by its address.
fn holder(head: &Parts, from: IpAddr) -> String {
    let instance = head.headers.get(X_TOLLGATE_INSTANCE).and_then(|value| value.to_str().ok());
    instance.filter(|name| !name.is_empty()).map_or_else(|| from.to_string(), str::to_owned)
}
