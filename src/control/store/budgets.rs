//! Budgets: what may be spent in a day, a week, a month or in all, and what was spent.

use serde_json::json;
use sqlx::Row;

use super::change::{Change, Entry};
use super::limits::{millis, moment};
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

    /// Lends a holder (a sidecar) a part of what is left of a budget, until a time; a lease that it has is renewed.
    ///
    /// What all holders have on loan never exceeds what is left, so what they overspend together is at most what was
    /// lent before it was spent. The part is a tenth of what is not lent, and all of it when that is next to nothing.
    pub async fn lend(&self, loan: &Loan<'_>, budget: &Budget) -> Result<NanoUsd> {
        let mut transaction = self.write.begin_with(self.backend.begin()).await?;
        // One lender at a time, across processes: what is left must not be lent twice.
        sqlx::query("UPDATE changes SET one = 1 WHERE one = 1").execute(&mut *transaction).await?;
        let text = "SELECT COALESCE((SELECT spent_nano FROM spend WHERE payer_kind = 'key' AND payer_id = $1 \
                    AND period = $2 AND start_ms = $3), 0), COALESCE((SELECT balance_nano FROM balances \
                    WHERE payer_kind = 'key' AND payer_id = $1), 0), CAST(COALESCE((SELECT SUM(amount_nano) FROM leases \
                    WHERE payer_kind = 'key' AND payer_id = $1 AND holder <> $4 AND expires_ms > $5), 0) AS BIGINT)";
        let query = sqlx::query(text).bind(loan.key.as_str()).bind(budget.period.as_str());
        let query = query.bind(millis(budget.period.start(loan.now))).bind(loan.holder).bind(millis(loan.now));
        let row = query.fetch_one(&mut *transaction).await?;
        let (spent, balance, lent): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let free = budget.amount.0.saturating_sub(spent).max(0).saturating_add(balance).saturating_sub(lent).max(0);
        let part = if free <= LEAST { free } else { (free / 10).max(LEAST) };
        let text = "INSERT INTO leases (payer_kind, payer_id, holder, amount_nano, expires_ms) \
                    VALUES ('key', $1, $2, $3, $4) ON CONFLICT (payer_kind, payer_id, holder) \
                    DO UPDATE SET amount_nano = excluded.amount_nano, expires_ms = excluded.expires_ms";
        let query = sqlx::query(text).bind(loan.key.as_str()).bind(loan.holder).bind(part).bind(millis(loan.until));
        query.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(NanoUsd(part))
    }

    /// A holder gives back what it had on loan.
    pub async fn give_back(&self, key: &KeyId, holder: &str) -> Result<()> {
        let text = "DELETE FROM leases WHERE payer_kind = 'key' AND payer_id = $1 AND holder = $2";
        sqlx::query(text).bind(key.as_str()).bind(holder).execute(&self.write).await?;
        Ok(())
    }

    /// What is on loan of a key's budget: holder, amount, until when.
    pub async fn loans(&self, key: &KeyId) -> Result<Vec<(String, NanoUsd, Timestamp)>> {
        let text = "SELECT holder, amount_nano, expires_ms FROM leases WHERE payer_kind = 'key' AND payer_id = $1 \
                    ORDER BY holder";
        let rows = sqlx::query(text).bind(key.as_str()).fetch_all(&self.read).await?;
        let read = |row: &sqlx::any::AnyRow| Ok((row.try_get(0)?, NanoUsd(row.try_get(1)?), moment(row.try_get(2)?)));
        rows.iter().map(read).collect()
    }
}

/// One cent: a smaller part is not worth a call.
const LEAST: i64 = 10_000_000;

/// A loan to be.
#[derive(Clone, Copy, Debug)]
pub struct Loan<'a> {
    /// Whose budget it is of.
    pub key: &'a KeyId,
    /// Who asks.
    pub holder: &'a str,
    /// The moment.
    pub now: Timestamp,
    /// When it ends unless renewed.
    pub until: Timestamp,
}

pub(super) async fn insert(change: &mut Change, key: &KeyId, budget: &Budget) -> Result<()> {
    let text = "INSERT INTO budgets (key_id, period, amount_nano) VALUES ($1, $2, $3)";
    let query = sqlx::query(text).bind(key.as_str()).bind(budget.period.as_str()).bind(budget.amount.0);
    query.execute(change.on()).await.map_err(StoreError::of("budget"))?;
    Ok(())
}
