//! People: they own keys and belong to organizations.

use serde_json::json;

use super::change::Entry;
use super::{By, Result, Store, StoreError};
use crate::types::NanoUsd;

/// How a user pays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plan {
    /// From a balance, if at all.
    #[default]
    Default,
    /// By invoice, up to a limit in each month.
    Invoice,
}

/// A user to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its address, if it is known.
    pub email: Option<String>,
    /// How it pays.
    pub plan: Plan,
    /// With [`Plan::Invoice`]: the most that may be spent in a month.
    pub credit_limit: Option<NanoUsd>,
}

impl Plan {
    /// As written in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Invoice => "invoice",
        }
    }
}

impl Store {
    /// Makes a user, or changes the one of this id.
    pub async fn save_user(&self, by: &By, user: &User) -> Result<i64> {
        let mut change = self.change(by).await?;
        let text = "INSERT INTO users (id, number, name, email, plan, credit_limit_nano, created_ms) \
                    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
                    email = excluded.email, plan = excluded.plan, credit_limit_nano = excluded.credit_limit_nano, \
                    deleted_ms = NULL";
        let (revision, now) = (change.revision(), change.now_ms());
        let query = sqlx::query(text).bind(&user.id).bind(revision).bind(&user.name).bind(user.email.as_deref());
        let query = query.bind(user.plan.as_str()).bind(user.credit_limit.map(|limit| limit.0)).bind(now);
        query.execute(change.on()).await.map_err(StoreError::of("user"))?;
        change.revoke_user(&user.id).await?;
        let limit = user.credit_limit.map(|limit| limit.0);
        let detail = json!({"name": user.name, "plan": user.plan.as_str(), "credit_limit_nano": limit});
        change.commit(Entry { action: "user.save", subject: &user.id, detail }).await
    }

    /// Takes a user out: its keys stay and are refused.
    pub async fn delete_user(&self, by: &By, id: &str) -> Result<i64> {
        let mut change = self.change(by).await?;
        let now = change.now_ms();
        let text = "UPDATE users SET deleted_ms = $2 WHERE id = $1 AND deleted_ms IS NULL";
        let done = sqlx::query(text).bind(id).bind(now).execute(change.on()).await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::NotFound("user"));
        }
        change.revoke_user(id).await?;
        change.commit(Entry { action: "user.delete", subject: id, detail: json!({}) }).await
    }
}
