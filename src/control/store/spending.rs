//! Charges: what was spent per period, and what a balance owes for it.
//!
//! A key's budget is used first. What goes beyond it is taken from its balance, which may go below zero: that debt is
//! still there when the next period begins. A key without a budget that was ever paid for lives on its balance alone; so
//! does an organization. The row of what was spent is locked from its reading to the commit, so of two that charge one
//! payer at once neither forgets the other.

use std::collections::BTreeMap;

use sqlx::{AnyConnection, Row};

use super::limits::millis;
use super::{Payer, Result};
use crate::types::{Budget, NanoUsd, Period, Timestamp};

/// What is charged together, in the order in which rows are touched.
#[derive(Debug, Default)]
pub(super) struct Spending {
    rows: BTreeMap<(Payer, &'static str, i64), i64>,
}

impl Spending {
    /// Adds what a payer spent at a moment, to every period that holds it.
    pub(super) fn add(&mut self, payer: &Payer, at: Timestamp, amount: NanoUsd) {
        if amount.0 == 0 {
            return;
        }
        for period in Period::ALL {
            let row = (payer.clone(), period.as_str(), millis(period.start(at)));
            let sum = self.rows.entry(row).or_default();
            *sum = sum.saturating_add(amount.0);
        }
    }

    /// Writes it all.
    pub(super) async fn write(self, connection: &mut AnyConnection) -> Result<()> {
        let mut budgets: BTreeMap<&Payer, Option<Budget>> = BTreeMap::new();
        for (payer, ..) in self.rows.keys() {
            if !budgets.contains_key(payer) {
                budgets.insert(payer, budget(connection, payer).await?);
            }
        }
        let mut owed: BTreeMap<&Payer, i64> = BTreeMap::new();
        for ((payer, period, start), amount) in &self.rows {
            let spent = add(connection, (payer, period, *start), *amount).await?;
            let budget = budgets.get(payer).copied().flatten();
            *owed.entry(payer).or_default() += beyond(budget, period, (spent, *amount));
        }
        for (payer, amount) in owed.into_iter().filter(|(_, amount)| *amount != 0) {
            let has_budget = budgets.get(payer).is_some_and(Option::is_some);
            owe(connection, (payer, has_budget), amount).await?;
        }
        Ok(())
    }
}

/// How much of an amount the budget does not cover, once it is spent in this period. Without a budget that is all of it,
/// told by the period that never ends.
fn beyond(budget: Option<Budget>, period: &str, (spent, amount): (i64, i64)) -> i64 {
    let Some(budget) = budget else { return if period == Period::Total.as_str() { amount } else { 0 } };
    if period != budget.period.as_str() {
        return 0;
    }
    let over = |spent: i64| spent.saturating_sub(budget.amount.0).max(0);
    over(spent) - over(spent.saturating_sub(amount))
}

/// What was spent in a period, after this.
async fn add(connection: &mut AnyConnection, (payer, period, start): (&Payer, &str, i64), amount: i64) -> Result<i64> {
    let text = "INSERT INTO spend (payer_kind, payer_id, period, start_ms, spent_nano) VALUES ($1, $2, $3, $4, $5) \
                ON CONFLICT (payer_kind, payer_id, period, start_ms) \
                DO UPDATE SET spent_nano = spend.spent_nano + excluded.spent_nano RETURNING spent_nano";
    let (kind, id) = payer.columns();
    let query = sqlx::query_scalar(text).bind(kind).bind(id).bind(period).bind(start).bind(amount);
    Ok(query.fetch_one(connection).await?)
}

async fn budget(connection: &mut AnyConnection, payer: &Payer) -> Result<Option<Budget>> {
    let Payer::Key(key) = payer else { return Ok(None) };
    let text = "SELECT period, amount_nano FROM budgets WHERE key_id = $1";
    let Some(row) = sqlx::query(text).bind(key.as_str()).fetch_optional(connection).await? else { return Ok(None) };
    let period = Period::parse(&row.try_get::<String, _>(0)?);
    let amount = NanoUsd(row.try_get(1)?);
    Ok(period.map(|period| Budget { period, amount }))
}

/// Takes from a balance. Beyond a budget there is always one; otherwise only where it was paid into.
async fn owe(connection: &mut AnyConnection, (payer, always): (&Payer, bool), amount: i64) -> Result<()> {
    let (kind, id) = payer.columns();
    let text = if always {
        "INSERT INTO balances (payer_kind, payer_id, balance_nano) VALUES ($1, $2, $3) \
         ON CONFLICT (payer_kind, payer_id) DO UPDATE SET balance_nano = balances.balance_nano + excluded.balance_nano"
    } else {
        "UPDATE balances SET balance_nano = balance_nano + $3 WHERE payer_kind = $1 AND payer_id = $2"
    };
    sqlx::query(text).bind(kind).bind(id).bind(-amount).execute(connection).await?;
    Ok(())
}
