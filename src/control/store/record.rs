//! From a key's digest to its record: one statement, so that the record and its revision are of one moment.

use std::sync::Arc;

use sqlx::Row;
use sqlx::any::AnyRow;

use super::limits::{self, moment};
use super::{Result, Store};
use crate::types::{Budget, Digest, GroupId, KeyId, KeyRecord, NanoUsd, OrgId, Pattern, Period};

/// Stands between the items of a list within one column. No id can hold it.
const BETWEEN: char = '\u{1f}';

/// The statement, to its condition.
macro_rules! select {
    ($condition:literal) => {
        concat!(
            "SELECT k.id, k.key_sha256, k.secret_sha256, k.user_id, k.group_id, k.requests_per_minute, \
    k.tokens_per_minute, k.concurrent_requests, k.expires_ms, k.enabled, b.period, b.amount_nano, \
    (SELECT string_agg(o.organization_id, $1 ORDER BY o.position) FROM key_organizations o \
       JOIN organizations g ON g.id = o.organization_id AND g.deleted_ms IS NULL WHERE o.key_id = k.id) AS organizations, \
    (SELECT string_agg(m.organization_id, $1 ORDER BY m.organization_id) FROM members m \
       JOIN organizations g ON g.id = m.organization_id AND g.deleted_ms IS NULL \
       WHERE m.user_id = k.user_id AND m.deleted_ms IS NULL) AS memberships, \
    (SELECT string_agg(model, $1 ORDER BY model) FROM key_models WHERE key_id = k.id) AS key_models, \
    (SELECT string_agg(model, $1 ORDER BY model) FROM group_models WHERE group_id = k.group_id) AS group_models, \
    (SELECT revision FROM changes) AS revision, \
    (SELECT COUNT(*) FROM balances l WHERE l.payer_kind = 'key' AND l.payer_id = k.id) AS balances \
    FROM api_keys k LEFT JOIN budgets b ON b.key_id = k.id WHERE k.deleted_ms IS NULL AND ",
            $condition
        )
    };
}

/// A record, and what only the authority knows beside it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The record.
    pub record: Arc<KeyRecord>,
    /// The user that the key belongs to.
    pub user: Option<String>,
    /// The store's revision at the moment when this was true.
    pub revision: u64,
}

impl Store {
    /// The record of the key with this digest, disabled and expired ones too; `None` when there is none. A key that lives
    /// on its balance has a budget of nothing: beyond that the balance is spent.
    pub async fn find(&self, key: &Digest) -> Result<Option<Found>> {
        let text = select!("k.key_sha256 = $2");
        let query = sqlx::query(text).bind(BETWEEN.to_string()).bind(key.to_hex());
        Ok(query.fetch_optional(&self.read).await?.map(|row| living(&row)).transpose()?)
    }

    /// Every record, by number: for an export.
    pub async fn records(&self) -> Result<Vec<KeyRecord>> {
        let text = select!("true ORDER BY k.number");
        let rows = sqlx::query(text).bind(BETWEEN.to_string()).fetch_all(&self.read).await?;
        let read = |row: &AnyRow| Ok(KeyRecord::clone(&found(row)?.record));
        rows.iter().map(read).collect()
    }
}

fn found(row: &AnyRow) -> sqlx::Result<Found> {
    let digest = |name: &str| Ok::<_, sqlx::Error>(row.try_get::<Option<String>, _>(name)?.map(|hex| digest(&hex)));
    let id = KeyId::new(row.try_get::<String, _>("id")?);
    let key = digest("key_sha256")?.transpose()?.ok_or(sqlx::Error::RowNotFound)?;
    let list = |name: &str| {
        let joined: Option<String> = row.try_get(name)?;
        Ok::<_, sqlx::Error>(joined.unwrap_or_default())
    };
    let organizations: Vec<OrgId> = items(&list("organizations")?).map(OrgId::new).collect();
    let memberships = items(&list("memberships")?).map(OrgId::new).filter(|one| !organizations.contains(one)).collect();
    let (own, shared) = (list("key_models")?, list("group_models")?);
    let mut models: Vec<&str> = items(&own).chain(items(&shared)).collect();
    models.sort_unstable();
    models.dedup();
    let record = KeyRecord {
        secret: digest("secret_sha256")?.transpose()?,
        organizations,
        memberships,
        group: row.try_get::<Option<String>, _>("group_id")?.map(GroupId::new),
        models: models.into_iter().map(Pattern::new).collect(),
        limits: limits::read(row)?,
        budget: budget(row)?,
        expires: row.try_get::<Option<i64>, _>("expires_ms")?.map(moment),
        enabled: row.try_get::<i64, _>("enabled")? == 1,
        ..KeyRecord::new(id, key)
    };
    let revision = row.try_get::<i64, _>("revision")?.unsigned_abs();
    Ok(Found { record: Arc::new(record), user: row.try_get("user_id")?, revision })
}

fn living(row: &AnyRow) -> sqlx::Result<Found> {
    let found = found(row)?;
    if found.record.budget.is_some() || row.try_get::<i64, _>("balances")? == 0 {
        return Ok(found);
    }
    let budget = Some(Budget { period: Period::Total, amount: NanoUsd(0) });
    Ok(Found { record: Arc::new(KeyRecord { budget, ..KeyRecord::clone(&found.record) }), ..found })
}

fn items(joined: &str) -> impl Iterator<Item = &str> {
    joined.split(BETWEEN).filter(|item| !item.is_empty())
}

fn budget(row: &AnyRow) -> sqlx::Result<Option<Budget>> {
    let period: Option<String> = row.try_get("period")?;
    let amount: Option<i64> = row.try_get("amount_nano")?;
    let period = period.as_deref().and_then(Period::parse);
    Ok(period.zip(amount).map(|(period, amount)| Budget { period, amount: NanoUsd(amount) }))
}

fn digest(hex: &str) -> sqlx::Result<Digest> {
    Digest::from_hex(hex).ok_or_else(|| sqlx::Error::Decode("a digest that is none".into()))
}
