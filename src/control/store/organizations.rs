//! Organizations and who belongs to them: one owner, managers, readers.

use serde_json::json;
use sqlx::Row;

use super::change::Entry;
use super::{By, Listed, Page, Result, Store, StoreError, limits};
use crate::types::{Limits, OrgId};

/// An organization. Its id is what callers name in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: OrgId,
    /// What people call it.
    pub name: String,
    /// What all its callers may use together.
    pub limits: Limits,
}

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberRole {
    /// Everything; there is at most one.
    Owner,
    /// Change keys and members.
    Manager,
    /// Look.
    Reader,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The user's id.
    pub user: String,
    /// What it may do.
    pub role: MemberRole,
}

impl MemberRole {
    /// As written in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Manager => "manager",
            Self::Reader => "reader",
        }
    }

    /// Reads what [`MemberRole::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Owner, Self::Manager, Self::Reader].into_iter().find(|role| role.as_str() == text)
    }
}

impl Store {
    /// Makes an organization, or changes the one of this id.
    pub async fn save_organization(&self, by: &By, organization: &Organization) -> Result<i64> {
        let mut change = self.change(by).await?;
        let text = "INSERT INTO organizations (id, number, name, created_ms, requests_per_minute, tokens_per_minute, \
                    concurrent_requests) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET \
                    name = excluded.name, requests_per_minute = excluded.requests_per_minute, \
                    tokens_per_minute = excluded.tokens_per_minute, \
                    concurrent_requests = excluded.concurrent_requests, deleted_ms = NULL";
        let (revision, now, id) = (change.revision(), change.now_ms(), organization.id.as_str());
        let query = sqlx::query(text).bind(id).bind(revision).bind(&organization.name).bind(now);
        let query = limits::bind(query, &organization.limits);
        query.execute(change.on()).await.map_err(StoreError::of("organization"))?;
        change.revoke_organization(id).await?;
        let detail = json!({"name": organization.name, "limits": organization.limits});
        change.commit(Entry { action: "organization.save", subject: id, detail }).await
    }

    /// Makes an organization of this id unless there is one; whether it was made.
    pub async fn ensure_organization(&self, by: &By, id: &OrgId) -> Result<bool> {
        let mut change = self.change(by).await?;
        let text =
            "INSERT INTO organizations (id, number, name, created_ms) VALUES ($1, $2, $1, $3) ON CONFLICT DO NOTHING";
        let query = sqlx::query(text).bind(id.as_str()).bind(change.revision()).bind(change.now_ms());
        if query.execute(change.on()).await.map_err(StoreError::of("organization"))?.rows_affected() == 0 {
            return Ok(false);
        }
        change.commit(Entry { action: "organization.save", subject: id.as_str(), detail: json!({}) }).await?;
        Ok(true)
    }

    /// Takes an organization out: no caller may name it any more.
    pub async fn delete_organization(&self, by: &By, id: &OrgId) -> Result<i64> {
        let mut change = self.change(by).await?;
        let now = change.now_ms();
        let text = "UPDATE organizations SET deleted_ms = $2 WHERE id = $1 AND deleted_ms IS NULL";
        let done = sqlx::query(text).bind(id.as_str()).bind(now).execute(change.on()).await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::NotFound("organization"));
        }
        change.revoke_organization(id.as_str()).await?;
        change.commit(Entry { action: "organization.delete", subject: id.as_str(), detail: json!({}) }).await
    }

    /// Lists organizations by id.
    pub async fn organizations(&self, page: Page) -> Result<Listed<Organization>> {
        let text = "SELECT id, name, requests_per_minute, tokens_per_minute, concurrent_requests, \
                    COUNT(*) OVER () AS total FROM organizations WHERE deleted_ms IS NULL ORDER BY id LIMIT $1 OFFSET $2";
        let rows = sqlx::query(text).bind(page.limit()).bind(page.offset()).fetch_all(&self.read).await?;
        let total = rows.first().map(|row| row.try_get::<i64, _>("total")).transpose()?;
        let read = |row: &sqlx::any::AnyRow| {
            let id = OrgId::new(row.try_get::<String, _>("id")?);
            Ok(Organization { id, name: row.try_get("name")?, limits: limits::read(row)? })
        };
        let items = rows.iter().map(read).collect::<Result<_>>()?;
        Ok(Listed { items, total: total.unwrap_or(0).unsigned_abs() })
    }

    /// Makes a user a member, or changes what it may do.
    pub async fn save_member(&self, by: &By, organization: &OrgId, member: &Member) -> Result<i64> {
        let mut change = self.change(by).await?;
        let text = "INSERT INTO members (organization_id, user_id, role, created_ms) VALUES ($1, $2, $3, $4) \
                    ON CONFLICT (organization_id, user_id) DO UPDATE SET role = excluded.role, deleted_ms = NULL";
        let now = change.now_ms();
        let query =
            sqlx::query(text).bind(organization.as_str()).bind(&member.user).bind(member.role.as_str()).bind(now);
        query.execute(change.on()).await.map_err(StoreError::of("organization's owner"))?;
        change.revoke_user(&member.user).await?;
        let detail = json!({"user": member.user, "role": member.role.as_str()});
        change.commit(Entry { action: "member.save", subject: organization.as_str(), detail }).await
    }

    /// Ends a membership.
    pub async fn remove_member(&self, by: &By, organization: &OrgId, user: &str) -> Result<i64> {
        let mut change = self.change(by).await?;
        let text =
            "UPDATE members SET deleted_ms = $3 WHERE organization_id = $1 AND user_id = $2 AND deleted_ms IS NULL";
        let now = change.now_ms();
        let query = sqlx::query(text).bind(organization.as_str()).bind(user).bind(now);
        if query.execute(change.on()).await?.rows_affected() == 0 {
            return Err(StoreError::NotFound("member"));
        }
        change.revoke_user(user).await?;
        let entry = Entry { action: "member.remove", subject: organization.as_str(), detail: json!({"user": user}) };
        change.commit(entry).await
    }

    /// Lists an organization's members by user.
    pub async fn members(&self, organization: &OrgId) -> Result<Vec<Member>> {
        let text =
            "SELECT user_id, role FROM members WHERE organization_id = $1 AND deleted_ms IS NULL ORDER BY user_id";
        let rows = sqlx::query(text).bind(organization.as_str()).fetch_all(&self.read).await?;
        let read = |row: &sqlx::any::AnyRow| {
            let role = MemberRole::parse(&row.try_get::<String, _>(1)?).unwrap_or(MemberRole::Reader);
            Ok(Member { user: row.try_get(0)?, role })
        };
        rows.iter().map(read).collect()
    }
}
