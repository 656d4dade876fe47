//! The `SecretKey` of each deployment that may ask the guard API, besides the one of the configuration.

use serde_json::json;

use super::change::Entry;
use super::{By, Result, Store, StoreError};
use crate::types::Digest;

impl Store {
    /// Lets a deployment ask with a secret of this digest from now on; one of the same id has its secret changed.
    pub async fn save_deployment(&self, by: &By, id: &str, secret: &Digest) -> Result<i64> {
        let mut change = self.change(by).await?;
        let text = "INSERT INTO deployments (id, secret_sha256, enabled, created_ms) VALUES ($1, $2, 1, $3) \
                    ON CONFLICT (id) DO UPDATE SET secret_sha256 = excluded.secret_sha256, enabled = 1";
        let now = change.now_ms();
        let query = sqlx::query(text).bind(id).bind(secret.to_hex()).bind(now);
        query.execute(change.on()).await.map_err(StoreError::of("deployment's secret"))?;
        change.commit(Entry { action: "deployment.save", subject: id, detail: json!({}) }).await
    }

    /// A deployment may no longer ask.
    pub async fn disable_deployment(&self, by: &By, id: &str) -> Result<i64> {
        let mut change = self.change(by).await?;
        let text = "UPDATE deployments SET enabled = 0 WHERE id = $1";
        if sqlx::query(text).bind(id).execute(change.on()).await?.rows_affected() == 0 {
            return Err(StoreError::NotFound("deployment"));
        }
        change.commit(Entry { action: "deployment.disable", subject: id, detail: json!({}) }).await
    }

    /// Whether a secret of this digest lets a deployment ask.
    ///
    /// The index compares digests, not secrets: how long it takes says nothing that helps to guess one.
    pub async fn is_deployment(&self, secret: &Digest) -> Result<bool> {
        let text = "SELECT COUNT(*) FROM deployments WHERE secret_sha256 = $1 AND enabled = 1";
        let count: i64 = sqlx::query_scalar(text).bind(secret.to_hex()).fetch_one(&self.read).await?;
        Ok(count > 0)
    }
}
