//! Who changed what and when.

use sqlx::Row;

use super::limits::moment;
use super::{Page, Result, Store};
use crate::types::Timestamp;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// The revision that it made.
    pub revision: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What, such as `key.disable`.
    pub action: String,
    /// To what: an id.
    pub subject: String,
    /// The new facts, as JSON. Never a key or secret.
    pub detail: String,
}

impl Store {
    /// The changes, newest first; of one subject, where one is named.
    pub async fn audit(&self, subject: Option<&str>, page: Page) -> Result<Vec<AuditRow>> {
        let text = "SELECT revision, at_ms, actor, action, subject, detail FROM audit \
                    WHERE $1 = '' OR subject = $1 ORDER BY revision DESC LIMIT $2 OFFSET $3";
        let query = sqlx::query(text).bind(subject.unwrap_or_default()).bind(page.limit()).bind(page.offset());
        let rows = query.fetch_all(&self.read).await?;
        let read = |row: &sqlx::any::AnyRow| {
            Ok(AuditRow {
                revision: row.try_get::<i64, _>(0)?.unsigned_abs(),
                at: moment(row.try_get(1)?),
                actor: row.try_get(2)?,
                action: row.try_get(3)?,
                subject: row.try_get(4)?,
                detail: row.try_get(5)?,
            })
        };
        rows.iter().map(read).collect()
    }
}
