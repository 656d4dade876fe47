//! Keys: made, listed, changed, disabled, deleted. A key is shown to its maker once; what is kept is its digest and a
//! few letters to know it by.

use serde_json::json;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::change::{Change, Entry};
use super::limits::{self, millis, moment};
use super::{By, Listed, Page, Result, Store, StoreError, budgets};
use crate::types::{Digest, GroupId, KeyId, KeyRecord, Limits, Secret, Timestamp};

/// Keys shorter than this have none of their letters kept.
const SHORT: usize = 24;
/// What is shown of a key, to the statement's condition.
macro_rules! select {
    ($condition:literal) => {
        concat!(
            "SELECT id, number, name, email, role, user_id, group_id, prefix, last_four, requests_per_minute, \
             tokens_per_minute, concurrent_requests, expires_ms, enabled, created_ms, updated_ms, \
             COUNT(*) OVER () AS total FROM api_keys WHERE deleted_ms IS NULL AND ",
            $condition
        )
    };
}

/// What a key may do besides calling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyRole {
    /// Nothing.
    #[default]
    User,
    /// Administer.
    Admin,
}

/// A key to be. The record's own key digest is not looked at: it comes from the key.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What the key may do, under which id.
    pub record: KeyRecord,
    /// What people call it.
    pub name: String,
    /// Its owner's address, if it is known.
    pub email: Option<String>,
    /// What it may do besides calling.
    pub role: KeyRole,
    /// The user that it belongs to.
    pub user: Option<String>,
}

/// A key just made. This is the only time that it is seen.
#[derive(Clone, Debug)]
pub struct MadeKey {
    /// The key.
    pub key: Secret,
    /// Its number, for systems that want one.
    pub number: u64,
}

/// A key as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    /// Its id.
    pub id: KeyId,
    /// Its number.
    pub number: u64,
    /// What people call it.
    pub name: String,
    /// Its owner's address.
    pub email: Option<String>,
    /// Whether it may administer.
    pub is_admin: bool,
    /// The user that it belongs to.
    pub user: Option<String>,
    /// Its group.
    pub group: Option<GroupId>,
    /// Its first and last letters, with dots between: `tg-x1y2…9z8a`.
    pub letters: String,
    /// Its own limits.
    pub limits: Limits,
    /// From this time on it is refused.
    pub expires: Option<Timestamp>,
    /// A disabled key is refused.
    pub enabled: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When it was changed last.
    pub updated: Timestamp,
}

/// The first and the last letters of a key, to know it by; none where the rest would be too short to stay secret.
pub fn key_letters(key: &str) -> (&str, &str) {
    let last = key.len().saturating_sub(4);
    match (key.get(..7), key.get(last..)) {
        (Some(first), Some(last)) if key.len() >= SHORT => (first, last),
        _ => ("", ""),
    }
}

impl NewKey {
    /// A key with this id that may do everything.
    pub fn new(id: KeyId) -> Self {
        let (name, record) = (id.as_str().to_owned(), KeyRecord::new(id, Digest::of(b"")));
        Self { record, name, email: None, role: KeyRole::User, user: None }
    }
}

impl Store {
    /// Makes a key that begins with this prefix.
    ///
    /// # Errors
    /// When the id is taken, or when its user, group or an organization does not exist.
    pub async fn create_key(&self, by: &By, new: &NewKey, prefix: &str) -> Result<MadeKey> {
        let key = Secret::random(prefix)?;
        let letters = key_letters(key.expose());
        let mut change = self.change(by).await?;
        insert(&mut change, new, (&Digest::of(key.expose().as_bytes()), letters)).await?;
        let number = change.commit(created(&new.record)).await?;
        Ok(MadeKey { key, number: number.unsigned_abs() })
    }

    /// Takes in a key that someone has already, by its digest: from a keys file, say.
    pub async fn import_key(&self, by: &By, new: &NewKey) -> Result<i64> {
        let mut change = self.change(by).await?;
        insert(&mut change, new, (&new.record.key, ("", ""))).await?;
        change.revoke_key(new.record.id.as_str()).await?;
        change.commit(created(&new.record)).await
    }

    /// Gives a key another text: the old one is refused from now on.
    pub async fn reset_key(&self, by: &By, id: &KeyId, prefix: &str) -> Result<Secret> {
        let key = Secret::random(prefix)?;
        let (first, last) = key_letters(key.expose());
        let mut change = self.change(by).await?;
        // The old digest is what others may hold, so it is told before it is gone.
        change.revoke_key(id.as_str()).await?;
        let text = "UPDATE api_keys SET key_sha256 = $2, prefix = $3, last_four = $4, updated_ms = $5 \
                    WHERE id = $1 AND deleted_ms IS NULL";
        let (digest, now) = (Digest::of(key.expose().as_bytes()).to_hex(), change.now_ms());
        let query = sqlx::query(text).bind(id.as_str()).bind(digest).bind(first).bind(last).bind(now);
        found(query.execute(change.on()).await?.rows_affected())?;
        change.commit(Entry { action: "key.reset", subject: id.as_str(), detail: json!({}) }).await?;
        Ok(key)
    }

    /// Lets a key call, or refuses it from now on.
    pub async fn enable_key(&self, by: &By, id: &KeyId, enabled: Enabled) -> Result<i64> {
        let (value, action) = match enabled {
            Enabled::Yes => (1_i64, "key.enable"),
            Enabled::No => (0, "key.disable"),
        };
        let text = "UPDATE api_keys SET enabled = $2, updated_ms = $3 WHERE id = $1 AND deleted_ms IS NULL";
        let mut change = self.change(by).await?;
        let query = sqlx::query(text).bind(id.as_str()).bind(value).bind(change.now_ms());
        found(query.execute(change.on()).await?.rows_affected())?;
        change.revoke_key(id.as_str()).await?;
        change.commit(Entry { action, subject: id.as_str(), detail: json!({}) }).await
    }

    /// Sets a key's own limits.
    pub async fn limit_key(&self, by: &By, id: &KeyId, limits: Limits) -> Result<i64> {
        let text = "UPDATE api_keys SET updated_ms = $2, requests_per_minute = $3, tokens_per_minute = $4, \
                    concurrent_requests = $5 WHERE id = $1 AND deleted_ms IS NULL";
        let mut change = self.change(by).await?;
        let query = limits::bind(sqlx::query(text).bind(id.as_str()).bind(change.now_ms()), &limits);
        found(query.execute(change.on()).await.map_err(StoreError::of("key"))?.rows_affected())?;
        change.revoke_key(id.as_str()).await?;
        change.commit(Entry { action: "key.limit", subject: id.as_str(), detail: json!({ "limits": limits }) }).await
    }

    /// Deletes a key: it is refused from now on, and what it used stays accounted for. Its id stays taken.
    pub async fn delete_key(&self, by: &By, id: &KeyId) -> Result<i64> {
        let text = "UPDATE api_keys SET deleted_ms = $2, updated_ms = $2 WHERE id = $1 AND deleted_ms IS NULL";
        let mut change = self.change(by).await?;
        let query = sqlx::query(text).bind(id.as_str()).bind(change.now_ms());
        found(query.execute(change.on()).await?.rows_affected())?;
        change.revoke_key(id.as_str()).await?;
        change.commit(Entry { action: "key.delete", subject: id.as_str(), detail: json!({}) }).await
    }

    /// Lists keys by number; those whose id or name holds a text, in any case, where one is given.
    pub async fn keys(&self, holding: Option<&str>, page: Page) -> Result<Listed<KeyView>> {
        let text = select!(
            "($1 = '' OR LOWER(id) LIKE $1 ESCAPE '!' OR LOWER(name) LIKE $1 ESCAPE '!') ORDER BY number LIMIT $2 OFFSET $3"
        );
        let escaped = |text: &str| text.to_lowercase().replace('!', "!!").replace('%', "!%").replace('_', "!_");
        let pattern = holding.map(|text| format!("%{}%", escaped(text))).unwrap_or_default();
        let query = sqlx::query(text).bind(pattern).bind(page.limit()).bind(page.offset());
        let rows = query.fetch_all(&self.read).await?;
        let total = rows.first().map(|row| row.try_get::<i64, _>("total")).transpose()?;
        let items = rows.iter().map(view).collect::<sqlx::Result<_>>()?;
        Ok(Listed { items, total: total.unwrap_or(0).unsigned_abs() })
    }

    /// One key.
    pub async fn key(&self, id: &KeyId) -> Result<KeyView> {
        let row = sqlx::query(select!("id = $1")).bind(id.as_str()).fetch_optional(&self.read).await?;
        Ok(view(&row.ok_or(StoreError::NotFound("key"))?)?)
    }
}

/// Whether a key may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enabled {
    /// It may.
    Yes,
    /// It may not.
    No,
}

async fn insert(change: &mut Change, new: &NewKey, (digest, (first, last)): (&Digest, (&str, &str))) -> Result<()> {
    let text = "INSERT INTO api_keys (id, number, key_sha256, prefix, last_four, secret_sha256, name, email, role, \
                user_id, group_id, expires_ms, enabled, created_ms, updated_ms, requests_per_minute, \
                tokens_per_minute, concurrent_requests) \
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, $15, $16, $17)";
    let NewKey { record, name, email, role, user } = new;
    let id = record.id.as_str();
    if id.is_empty() || id.len() > 128 || id.chars().any(char::is_control) {
        return Err(StoreError::Invalid("a key's id has 1 to 128 letters and no control characters"));
    }
    let role = if *role == KeyRole::Admin { "admin" } else { "user" };
    let query = sqlx::query(text).bind(id).bind(change.revision()).bind(digest.to_hex()).bind(first).bind(last);
    let query = query.bind(record.secret.map(|secret| secret.to_hex())).bind(name).bind(email.as_deref()).bind(role);
    let query = query.bind(user.as_deref()).bind(record.group.as_ref().map(|group| group.as_str().to_owned()));
    let query = query.bind(record.expires.map(millis)).bind(i64::from(record.enabled)).bind(change.now_ms());
    limits::bind(query, &record.limits).execute(change.on()).await.map_err(StoreError::of("key"))?;
    for (position, organization) in record.organizations.iter().enumerate() {
        let text = "INSERT INTO key_organizations (key_id, organization_id, position) VALUES ($1, $2, $3)";
        let query = sqlx::query(text).bind(id).bind(organization.as_str()).bind(position as i64);
        query.execute(change.on()).await.map_err(StoreError::of("key's organization"))?;
    }
    for model in &record.models {
        let query = sqlx::query("INSERT INTO key_models (key_id, model) VALUES ($1, $2)");
        query.bind(id).bind(model.as_str()).execute(change.on()).await.map_err(StoreError::of("key's model"))?;
    }
    if let Some(budget) = &record.budget {
        budgets::insert(change, &record.id, budget).await?;
    }
    Ok(())
}

/// What the audit log says of a new key.
fn created(record: &KeyRecord) -> Entry<'_> {
    let models: Vec<&str> = record.models.iter().map(crate::types::Pattern::as_str).collect();
    let detail = json!({"organizations": record.organizations, "group": record.group, "models": models,
        "limits": record.limits, "enabled": record.enabled});
    Entry { action: "key.create", subject: record.id.as_str(), detail }
}

fn found(rows: u64) -> Result<()> {
    if rows == 0 { Err(StoreError::NotFound("key")) } else { Ok(()) }
}

fn view(row: &AnyRow) -> sqlx::Result<KeyView> {
    let (first, last): (String, String) = (row.try_get("prefix")?, row.try_get("last_four")?);
    let group: Option<String> = row.try_get("group_id")?;
    Ok(KeyView {
        id: KeyId::new(row.try_get::<String, _>("id")?),
        number: row.try_get::<i64, _>("number")?.unsigned_abs(),
        name: row.try_get("name")?,
        email: row.try_get("email")?,
        is_admin: row.try_get::<String, _>("role")? == "admin",
        user: row.try_get("user_id")?,
        group: group.map(GroupId::new),
        letters: if first.is_empty() { String::new() } else { format!("{first}…{last}") },
        limits: limits::read(row)?,
        expires: row.try_get::<Option<i64>, _>("expires_ms")?.map(moment),
        enabled: row.try_get::<i64, _>("enabled")? == 1,
        created: moment(row.try_get("created_ms")?),
        updated: moment(row.try_get("updated_ms")?),
    })
}
