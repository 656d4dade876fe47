//! How a caller stands at this moment: the organization it names, what it has spent, the model it wants. One statement.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::limits::millis;
use super::{Result, Store};
use crate::types::{Budget, KeyId, Limits, NanoUsd, Period, Timestamp};

const TEXT: &str = "SELECT \
    (SELECT CASE WHEN u.deleted_ms IS NULL THEN u.plan ELSE 'deleted' END FROM users u WHERE u.id = $1) AS plan, \
    (SELECT u.credit_limit_nano FROM users u WHERE u.id = $1) AS credit_limit_nano, \
    (SELECT CAST(COALESCE(SUM(s.spent_nano), 0) AS BIGINT) FROM api_keys k JOIN spend s ON s.payer_kind = 'key' \
       AND s.payer_id = k.id AND s.period = 'month' AND s.start_ms = $2 WHERE k.user_id = $1) AS user_spent_nano, \
    (SELECT s.spent_nano FROM spend s WHERE s.payer_kind = 'key' AND s.payer_id = $3 AND s.period = $4 \
       AND s.start_ms = $5) AS key_spent_nano, \
    (SELECT b.balance_nano FROM balances b WHERE b.payer_kind = 'key' AND b.payer_id = $3) AS balance_nano, \
    (SELECT o.name FROM organizations o WHERE o.id = $6 AND o.deleted_ms IS NULL) AS organization, \
    o.requests_per_minute, o.tokens_per_minute, o.concurrent_requests, \
    (SELECT COUNT(*) FROM models m WHERE m.name = $7 AND m.enabled = 1 AND m.deleted_ms IS NULL) AS served, \
    (SELECT COUNT(*) FROM (SELECT 1 FROM models m WHERE m.deleted_ms IS NULL LIMIT 1) one) AS listed \
    FROM changes c LEFT JOIN organizations o ON o.id = $6 AND o.deleted_ms IS NULL";

/// Of whom the standing is asked, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The key.
    pub key: &'a KeyId,
    /// Its budget.
    pub budget: Option<&'a Budget>,
    /// The user that it belongs to.
    pub user: Option<&'a str>,
    /// The organization that pays.
    pub organization: Option<&'a str>,
    /// The model that it wants.
    pub model: Option<&'a str>,
    /// The moment.
    pub at: Timestamp,
}

/// How the caller stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether the user is there; a key without one needs none.
    pub user: Membership,
    /// Whether a limit on what may be spent is reached.
    pub is_spent: bool,
    /// What is left of the key's budget, with its balance: below zero by what was in flight. `None` for a key that has
    /// neither.
    pub remaining: Option<NanoUsd>,
    /// The organization's limits; `None` when there is no such organization.
    pub organization: Option<Limits>,
    /// What is known of the model.
    pub model: ModelStanding,
}

/// Whether the key's user is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// The key belongs to no user.
    None,
    /// It is there.
    Present,
    /// It was deleted.
    Deleted,
}

/// What the store knows of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelStanding {
    /// No model is listed at all, so none is unknown.
    Unlisted,
    /// It is served.
    Served,
    /// Others are listed and it is not, or it is disabled.
    Unknown,
}

impl Store {
    /// How a caller stands.
    pub async fn standing(&self, asked: &Asked<'_>) -> Result<Standing> {
        let period = asked.budget.map_or(Period::Total, |budget| budget.period);
        let query = sqlx::query(TEXT).bind(asked.user.unwrap_or_default()).bind(millis(Period::Month.start(asked.at)));
        let query = query.bind(asked.key.as_str()).bind(period.as_str()).bind(millis(period.start(asked.at)));
        let query = query.bind(asked.organization.unwrap_or_default()).bind(asked.model.unwrap_or_default());
        Ok(read(&query.fetch_one(&self.read).await?, asked)?)
    }
}

fn read(row: &AnyRow, asked: &Asked<'_>) -> sqlx::Result<Standing> {
    let plan: Option<String> = row.try_get("plan")?;
    let number = |name: &str| row.try_get::<Option<i64>, _>(name);
    let (limit, user_spent) = (number("credit_limit_nano")?, number("user_spent_nano")?.unwrap_or(0));
    let invoiced = plan.as_deref() == Some("invoice") && limit.is_some_and(|limit| user_spent >= limit);
    let key_spent = number("key_spent_nano")?.unwrap_or(0);
    let balance = number("balance_nano")?;
    // What went beyond the budget was taken from the balance when it was spent.
    let remaining = match (asked.budget, balance) {
        (Some(budget), balance) => {
            Some(budget.amount.0.saturating_sub(key_spent).max(0).saturating_add(balance.unwrap_or(0)))
        }
        (None, balance) => balance,
    };
    let user = match (asked.user, plan.as_deref()) {
        (None, _) => Membership::None,
        (Some(_), None | Some("deleted")) => Membership::Deleted,
        (Some(_), Some(_)) => Membership::Present,
    };
    let organization =
        row.try_get::<Option<String>, _>("organization")?.map(|_| super::limits::read(row)).transpose()?;
    let model = match (number("listed")?, number("served")?) {
        (Some(0) | None, _) => ModelStanding::Unlisted,
        (_, Some(0) | None) => ModelStanding::Unknown,
        _ => ModelStanding::Served,
    };
    let is_spent = invoiced || remaining.is_some_and(|left| left <= 0);
    Ok(Standing { user, is_spent, remaining: remaining.map(NanoUsd), organization, model })
}
