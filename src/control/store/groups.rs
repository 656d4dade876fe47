//! Groups of keys, which share model permissions.

use serde_json::json;
use sqlx::Row;

use super::change::Entry;
use super::{By, Result, Store, StoreError};
use crate::types::GroupId;

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its id, on the events of its keys.
    pub id: GroupId,
    /// What people call it.
    pub name: String,
}

impl Store {
    /// Makes a group, or renames the one of this id.
    pub async fn save_group(&self, by: &By, group: &Group) -> Result<i64> {
        let mut change = self.change(by).await?;
        let text = "INSERT INTO key_groups (id, number, name, created_ms) VALUES ($1, $2, $3, $4) \
                    ON CONFLICT (id) DO UPDATE SET name = excluded.name, deleted_ms = NULL";
        let (revision, now) = (change.revision(), change.now_ms());
        let query = sqlx::query(text).bind(group.id.as_str()).bind(revision).bind(&group.name).bind(now);
        query.execute(change.on()).await.map_err(StoreError::of("group"))?;
        let entry = Entry { action: "group.save", subject: group.id.as_str(), detail: json!({"name": group.name}) };
        change.commit(entry).await
    }

    /// Makes a group of this id unless there is one; whether it was made.
    pub async fn ensure_group(&self, by: &By, id: &GroupId) -> Result<bool> {
        let mut change = self.change(by).await?;
        let text =
            "INSERT INTO key_groups (id, number, name, created_ms) VALUES ($1, $2, $1, $3) ON CONFLICT DO NOTHING";
        let query = sqlx::query(text).bind(id.as_str()).bind(change.revision()).bind(change.now_ms());
        if query.execute(change.on()).await.map_err(StoreError::of("group"))?.rows_affected() == 0 {
            return Ok(false);
        }
        change.commit(Entry { action: "group.save", subject: id.as_str(), detail: json!({}) }).await?;
        Ok(true)
    }

    /// Takes a group out; refused while keys belong to it.
    pub async fn delete_group(&self, by: &By, id: &GroupId) -> Result<i64> {
        let mut change = self.change(by).await?;
        let used = "SELECT COUNT(*) FROM api_keys WHERE group_id = $1 AND deleted_ms IS NULL";
        if sqlx::query_scalar::<_, i64>(used).bind(id.as_str()).fetch_one(change.on()).await? > 0 {
            return Err(StoreError::Invalid("keys belong to this group"));
        }
        let now = change.now_ms();
        let text = "UPDATE key_groups SET deleted_ms = $2 WHERE id = $1 AND deleted_ms IS NULL";
        if sqlx::query(text).bind(id.as_str()).bind(now).execute(change.on()).await?.rows_affected() == 0 {
            return Err(StoreError::NotFound("group"));
        }
        change.commit(Entry { action: "group.delete", subject: id.as_str(), detail: json!({}) }).await
    }

    /// Lists the groups by id.
    pub async fn groups(&self) -> Result<Vec<Group>> {
        let text = "SELECT id, name FROM key_groups WHERE deleted_ms IS NULL ORDER BY id";
        let rows = sqlx::query(text).fetch_all(&self.read).await?;
        let read = |row: &sqlx::any::AnyRow| {
            Ok(Group { id: GroupId::new(row.try_get::<String, _>(0)?), name: row.try_get(1)? })
        };
        rows.iter().map(read).collect()
    }
}
