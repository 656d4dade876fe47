//! One change: a transaction that ends with its audit row, or leaves nothing.
//!
//! Every change first takes the next revision from one row, whose lock it then holds to its end. So changes run one
//! after the other, on either database and from any number of processes; revisions are dense, and none becomes visible
//! before a smaller one. Changes are few; what is frequent (usage) does not pass here.

use std::sync::Arc;

use sqlx::{Any, AnyConnection, Transaction};

use super::{Result, Store};
use crate::types::Timestamp;

/// Who makes a change, for the audit log: `admin`, `cli:alice`, `key:acme-ci`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By(Arc<str>);

impl By {
    /// Takes any text; an empty one is `unknown`.
    pub fn new(who: &str) -> Self {
        Self(if who.is_empty() { "unknown" } else { who }.into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A change under way. Dropped, it is undone.
pub(super) struct Change {
    transaction: Transaction<'static, Any>,
    by: By,
    revision: i64,
    at: Timestamp,
}

/// What is written of a change: a word such as `key.create`, what it was done to, and the new facts as JSON.
pub(super) struct Entry<'a> {
    pub(super) action: &'static str,
    pub(super) subject: &'a str,
    pub(super) detail: serde_json::Value,
}

impl Store {
    pub(super) async fn change(&self, by: &By) -> Result<Change> {
        let mut transaction = self.write.begin_with(self.backend.begin()).await?;
        let next = "UPDATE changes SET revision = revision + 1 WHERE one = 1 RETURNING revision";
        let revision = sqlx::query_scalar(next).fetch_one(&mut *transaction).await?;
        Ok(Change { transaction, by: by.clone(), revision, at: Timestamp::now() })
    }
}

impl Change {
    /// Where its statements run.
    pub(super) fn on(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }

    pub(super) fn revision(&self) -> i64 {
        self.revision
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.at.as_millis() as i64
    }

    /// The record of this key, as others may hold it, is no longer true.
    pub(super) async fn revoke_key(&mut self, id: &str) -> Result<()> {
        self.revoke("SELECT id, key_sha256 FROM api_keys WHERE id = $3", id).await
    }

    /// The records of all keys in this group are no longer true.
    pub(super) async fn revoke_group(&mut self, id: &str) -> Result<()> {
        self.revoke("SELECT id, key_sha256 FROM api_keys WHERE group_id = $3", id).await
    }

    /// The records of all keys of this user are no longer true.
    pub(super) async fn revoke_user(&mut self, id: &str) -> Result<()> {
        self.revoke("SELECT id, key_sha256 FROM api_keys WHERE user_id = $3", id).await
    }

    /// The records of all keys that may name this organization are no longer true.
    pub(super) async fn revoke_organization(&mut self, id: &str) -> Result<()> {
        let keys = "SELECT id, key_sha256 FROM api_keys WHERE id IN (SELECT key_id FROM key_organizations \
                    WHERE organization_id = $3) OR user_id IN (SELECT user_id FROM members WHERE organization_id = $3)";
        self.revoke(keys, id).await
    }

    async fn revoke(&mut self, keys: &'static str, id: &str) -> Result<()> {
        let text = format!(
            "INSERT INTO revocations (revision, at_ms, key_id, key_sha256) SELECT CAST($1 AS BIGINT), \
             CAST($2 AS BIGINT), id, key_sha256 FROM ({keys}) touched WHERE true ON CONFLICT DO NOTHING"
        );
        let (revision, now) = (self.revision, self.now_ms());
        let query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(revision).bind(now).bind(id);
        query.execute(self.on()).await?;
        Ok(())
    }

    /// Writes the audit row and makes the change true; its revision.
    pub(super) async fn commit(mut self, entry: Entry<'_>) -> Result<i64> {
        let row = "INSERT INTO audit (revision, at_ms, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5, $6)";
        let (revision, now, by) = (self.revision, self.now_ms(), self.by.clone());
        let query = sqlx::query(row).bind(revision).bind(now).bind(by.as_str());
        let query = query.bind(entry.action).bind(entry.subject).bind(entry.detail.to_string());
        query.execute(self.on()).await?;
        self.transaction.commit().await?;
        Ok(revision)
    }
}
