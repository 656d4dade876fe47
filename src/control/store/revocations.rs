//! Which records have changed, for whoever holds copies: sidecars, and this process's own guard.

use sqlx::Row;

use super::change::Entry;
use super::{By, Result, Store};
use crate::types::{Digest, KeyId, Timestamp};

/// A record that is no longer true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The change that made it so.
    pub revision: u64,
    /// The key's id.
    pub key_id: KeyId,
    /// The digest that it is found by.
    pub key: Digest,
}

impl Store {
    /// The newest revision. Also the cheapest question that shows whether the database answers.
    pub async fn revision(&self) -> Result<u64> {
        let revision: i64 = sqlx::query_scalar("SELECT revision FROM changes").fetch_one(&self.read).await?;
        Ok(revision.unsigned_abs())
    }

    /// What was revoked after this revision, in order; `None` when some of it has been forgotten.
    pub async fn revoked_after(&self, revision: u64) -> Result<Option<Vec<Revocation>>> {
        let after = i64::try_from(revision).unwrap_or(i64::MAX);
        let text = "SELECT r.revision, r.key_id, r.key_sha256, c.forgotten FROM changes c \
                    LEFT JOIN revocations r ON r.revision > $1 ORDER BY r.revision, r.key_id";
        let rows = sqlx::query(text).bind(after).fetch_all(&self.read).await?;
        let mut revoked = Vec::with_capacity(rows.len());
        for row in &rows {
            if row.try_get::<i64, _>(3)? > after {
                return Ok(None);
            }
            let Some(revision) = row.try_get::<Option<i64>, _>(0)? else { continue };
            let hex: String = row.try_get(2)?;
            let key = Digest::from_hex(&hex).ok_or_else(|| sqlx::Error::Decode("a digest that is none".into()))?;
            let key_id = KeyId::new(row.try_get::<String, _>(1)?);
            revoked.push(Revocation { revision: revision.unsigned_abs(), key_id, key });
        }
        Ok(Some(revoked))
    }

    /// Forgets what was revoked before this time, so that the list stays short.
    pub async fn forget_revocations(&self, before: Timestamp) -> Result<()> {
        let before = super::limits::millis(before);
        let old = "SELECT CAST(COALESCE(MAX(revision), 0) AS BIGINT) FROM revocations WHERE at_ms < $1";
        let newest: i64 = sqlx::query_scalar(old).bind(before).fetch_one(&self.read).await?;
        if newest == 0 {
            return Ok(());
        }
        let mut change = self.change(&By::new("tollgate")).await?;
        let mark = "UPDATE changes SET forgotten = $1 WHERE forgotten < $1";
        sqlx::query(mark).bind(newest).execute(change.on()).await?;
        let forget = "DELETE FROM revocations WHERE revision <= $1";
        sqlx::query(forget).bind(newest).execute(change.on()).await?;
        let detail = serde_json::json!({ "through": newest });
        change.commit(Entry { action: "revocations.forget", subject: "", detail }).await?;
        Ok(())
    }
}
