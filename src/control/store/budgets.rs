//! Budgets: what may be spent in a day, a week, a month or in all, and what was spent.

use serde_json::json;

use super::change::{Change, Entry};
use super::limits::millis;
use super::spending::Spending;
use super::{By, Payer, Result, Store, StoreError};
use crate::types::{Budget, KeyId, NanoUsd, Period, Timestamp};

impl Store {
    /// Sets a key's budget, or takes it away. What was spent stays spent.
    pub async fn set_budget(&self, by: &By, key: &KeyId, budget: Option<&Budget>) -> Result<i64> {
        let mut change = self.change(by).await?;
        let delete = sqlx::query("DELETE FROM budgets WHERE key_id = $1");
        delete.bind(key.as_str()).execute(change.on()).await?;
        if let Some(budget) = budget {
            insert(&mut change, key, budget).await?;
        }
        change.revoke_key(key.as_str()).await?;
        let detail = json!({"period": budget.map(|budget| budget.period.as_str()),
            "amount_nano": budget.map(|budget| budget.amount.0)});
        change.commit(Entry { action: "budget.set", subject: key.as_str(), detail }).await
    }

    /// Charges a payer with what was spent at a moment: in every period that holds it, and its balance with what its
    /// budget does not cover. The ledger does the same with a batch of events at a time.
    pub async fn add_spending(&self, payer: &Payer, at: Timestamp, amount: NanoUsd) -> Result<()> {
        let mut transaction = self.write.begin_with(self.backend.begin()).await?;
        let mut spending = Spending::default();
        spending.add(payer, at, amount);
        spending.write(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// What a payer has spent in the period that holds this moment.
    pub async fn spent(&self, payer: &Payer, (period, at): (Period, Timestamp)) -> Result<NanoUsd> {
        let text =
            "SELECT spent_nano FROM spend WHERE payer_kind = $1 AND payer_id = $2 AND period = $3 AND start_ms = $4";
        let (kind, id) = payer.columns();
        let query = sqlx::query_scalar(text).bind(kind).bind(id).bind(period.as_str()).bind(millis(period.start(at)));
        Ok(NanoUsd(query.fetch_optional(&self.read).await?.unwrap_or(0)))
    }
}

pub(super) async fn insert(change: &mut Change, key: &KeyId, budget: &Budget) -> Result<()> {
    let text = "INSERT INTO budgets (key_id, period, amount_nano) VALUES ($1, $2, $3)";
    let query = sqlx::query(text).bind(key.as_str()).bind(budget.period.as_str()).bind(budget.amount.0);
    query.execute(change.on()).await.map_err(StoreError::of("budget"))?;
    Ok(())
}
