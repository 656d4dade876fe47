//! Whether a caller may: rows 4 to 12, in the order in which they have always been checked.
//!
//! Two things differ from the original on purpose. An organization's limit is held against the organization and the
//! caller, not against every member; and reports and grants take nothing from the limits, for they are no calls.

use std::time::Duration;

use http::HeaderMap;

use super::asker::Asker;
use super::caller::{self, Caller};
use super::form::Form;
use super::refusal::Refusal;
use crate::control::Control;
use crate::control::store::{Asked, Membership, ModelStanding, Standing};
use crate::types::{Limits, OrgId, Timestamp};

/// What a caller wants to be checked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) model: Option<&'a str>,
    pub(super) purpose: Purpose,
}

/// What the check is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To call: takes from the limits.
    Call,
    /// To tell of a call that has been made.
    Report,
    /// To decide elsewhere: the model need not be known yet.
    Grant,
}

impl Purpose {
    /// A caller may ask in the form of a grant, and is then given one.
    pub(super) fn of(form: Form) -> Self {
        if form == Form::Grant { Self::Grant } else { Self::Call }
    }
}

/// A caller that may.
#[derive(Debug)]
pub(super) struct Allowed {
    pub(super) caller: Caller,
    pub(super) organization: Option<OrgId>,
    pub(super) organization_limits: Limits,
    /// A reporter may have spent all that it may: what was used is taken in first.
    pub(super) is_spent: bool,
}

pub(super) async fn check(control: &Control, asker: Asker, wish: &Wish<'_>) -> Result<Allowed, Refusal> {
    let caller = match asker {
        Asker::Owner(caller) => caller,
        Asker::Deployment => {
            let caller = caller::find(control, wish.headers).await?;
            // Only a sidecar, which is told the secret's digest, can hold its callers to it.
            if caller.record.secret.is_some() && wish.purpose != Purpose::Grant {
                return Err(Refusal::SecretWrong);
            }
            caller
        }
    };
    if wish.model.is_none() && wish.purpose != Purpose::Grant {
        return Err(Refusal::ModelMissing);
    }
    let named = named_organization(control, wish.headers)?;
    let default = caller.record.organizations.first().map(OrgId::as_str);
    let standing = standing(control, &caller, (named.or(default), wish.model)).await?;
    let organization = organization(control, &caller, (named, &standing))?;
    let organization_limits = standing.organization.unwrap_or_default().or(control.links.limits.organization);
    if wish.purpose == Purpose::Call
        && let Some(organization) = &organization
    {
        hold_key(control, &caller)?;
        hold_organization(control, organization, organization_limits)?;
    }
    if standing.user == Membership::Deleted {
        return Err(Refusal::UserUnknown);
    }
    // A sidecar is told that there is nothing to spend by a slice of nothing: it still learns whose key it is.
    let by_slice = wish.purpose == Purpose::Grant && caller.record.budget.is_some();
    if standing.is_spent && wish.purpose != Purpose::Report && !by_slice {
        return Err(Refusal::Spent);
    }
    if wish.purpose == Purpose::Call && organization.is_none() {
        hold_key(control, &caller)?;
    }
    if let Some(model) = wish.model {
        if standing.model == ModelStanding::Unknown {
            return Err(Refusal::ModelUnknown);
        }
        if !caller.record.allows_model(model) {
            return Err(Refusal::ModelForbidden);
        }
    }
    Ok(Allowed { caller, organization, organization_limits, is_spent: standing.is_spent })
}

async fn standing(
    control: &Control,
    caller: &Caller,
    (organization, model): (Option<&str>, Option<&str>),
) -> Result<Standing, Refusal> {
    let record = &caller.record;
    let (budget, user, at) = (record.budget.as_ref(), caller.user.as_deref(), Timestamp::now());
    let asked = Asked { key: &record.id, budget, user, organization, model, at };
    control.store().standing(&asked).await.map_err(|error| super::failed(control, &error))
}

/// What the first organization header says that is not empty. One that no id can look like names none that exists.
fn named_organization<'h>(control: &Control, headers: &'h HeaderMap) -> Result<Option<&'h str>, Refusal> {
    let values = control.links.organization_headers.iter().filter_map(|name| headers.get(name));
    let named = values.map(|value| value.as_bytes().trim_ascii()).find(|value| !value.is_empty());
    named.map(|named| std::str::from_utf8(named).map_err(|_| Refusal::OrganizationUnknown)).transpose()
}

/// Rows 7 and 8.
fn organization(
    control: &Control,
    caller: &Caller,
    (named, standing): (Option<&str>, &Standing),
) -> Result<Option<OrgId>, Refusal> {
    let Some(named) = named else { return Ok(caller.record.organizations.first().cloned()) };
    if standing.organization.is_none() && !control.keys.names_organization(named.as_bytes()) {
        return Err(Refusal::OrganizationUnknown);
    }
    caller.record.organization(named.as_bytes()).cloned().map(Some).ok_or(Refusal::NotAMember)
}

/// Row 9.
fn hold_organization(control: &Control, organization: &OrgId, limits: Limits) -> Result<(), Refusal> {
    let take = |limit| control.rates.organizations.take(organization.clone(), limit);
    limited(limits.requests_per_minute.map(take))
}

/// Row 11, and part of row 9: the caller's own limit.
fn hold_key(control: &Control, caller: &Caller) -> Result<(), Refusal> {
    let limits = caller.record.limits.or(control.links.limits.key);
    let take = |limit| control.rates.keys.take(caller.record.id.clone(), limit);
    limited(limits.requests_per_minute.map(take))
}

fn limited(taken: Option<Result<(), Duration>>) -> Result<(), Refusal> {
    taken.unwrap_or(Ok(())).map_err(Refusal::Limited)
}
