//! Which models a key may use: those of its own and those of its group together; without any, all.

use serde_json::json;

use super::change::{Change, Entry};
use super::{By, Result, Store, StoreError};
use crate::types::{GroupId, KeyId, Pattern};

/// Who holds a permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// One key.
    Key(KeyId),
    /// All keys of a group.
    Group(GroupId),
}

impl Store {
    /// Lets the holder use these models; giving one again changes nothing.
    pub async fn permit(&self, by: &By, holder: &Holder, models: &[Pattern]) -> Result<i64> {
        let text = match holder {
            Holder::Key(_) => "INSERT INTO key_models (key_id, model) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            Holder::Group(_) => "INSERT INTO group_models (group_id, model) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        };
        self.set(by, (holder, models), (text, "model.permit")).await
    }

    /// Takes permissions back. A holder that is left without any may use all models again.
    pub async fn forbid(&self, by: &By, holder: &Holder, models: &[Pattern]) -> Result<i64> {
        let text = match holder {
            Holder::Key(_) => "DELETE FROM key_models WHERE key_id = $1 AND model = $2",
            Holder::Group(_) => "DELETE FROM group_models WHERE group_id = $1 AND model = $2",
        };
        self.set(by, (holder, models), (text, "model.forbid")).await
    }

    async fn set(
        &self,
        by: &By,
        (holder, models): (&Holder, &[Pattern]),
        (text, action): (&'static str, &'static str),
    ) -> Result<i64> {
        let mut change = self.change(by).await?;
        for model in models {
            let query = sqlx::query(text).bind(holder.id()).bind(model.as_str());
            query.execute(change.on()).await.map_err(StoreError::of("permission"))?;
        }
        holder.revoke(&mut change).await?;
        let names: Vec<&str> = models.iter().map(Pattern::as_str).collect();
        change.commit(Entry { action, subject: holder.id(), detail: json!({ "models": names }) }).await
    }
}

impl Holder {
    fn id(&self) -> &str {
        match self {
            Self::Key(id) => id.as_str(),
            Self::Group(id) => id.as_str(),
        }
    }

    async fn revoke(&self, change: &mut Change) -> Result<()> {
        match self {
            Self::Key(id) => change.revoke_key(id.as_str()).await,
            Self::Group(id) => change.revoke_group(id.as_str()).await,
        }
    }
}
