//! Charges: what was spent per period, and what a balance owes for it.
//!
//! A key's budget is used first. What goes beyond it is taken from its balance, which may go below zero: that debt is
//! still there when the next period begins. A key without a budget that was ever paid for lives on its balance alone; so
//! does an organization. The row of what was spent is locked from its reading to the commit, so of two that charge one
//! payer at once neither forgets the other.
//!
//! Where a key's money is lent in slices, it is noted besides which holder spent it.

use std::collections::BTreeMap;

use sqlx::{AnyConnection, Row};

use super::limits::millis;
use super::{Payer, Result};
use crate::types::{Budget, KeyId, NanoUsd, Period, Timestamp};

/// What is charged together, in the order in which rows are touched.
#[derive(Debug, Default)]
pub(super) struct Spending {
    rows: BTreeMap<(Payer, &'static str, i64), i64>,
    /// The same of keys, by who held the slice that it may be of.
    held: BTreeMap<(KeyId, &'static str, i64, String), i64>,
}

/// What a payer lives on.
#[derive(Clone, Copy, Debug, Default)]
struct Means {
    budget: Option<Budget>,
    has_balance: bool,
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

    /// Adds that a holder of slices spent this of a key's money.
    pub(super) fn add_held(&mut self, (key, holder): (&KeyId, &str), at: Timestamp, amount: NanoUsd) {
        if amount.0 == 0 {
            return;
        }
        for period in Period::ALL {
            let row = (key.clone(), period.as_str(), millis(period.start(at)), holder.to_owned());
            let sum = self.held.entry(row).or_default();
            *sum = sum.saturating_add(amount.0);
        }
    }

    /// Writes it all.
    pub(super) async fn write(self, connection: &mut AnyConnection) -> Result<()> {
        let mut means: BTreeMap<&Payer, Means> = BTreeMap::new();
        for (payer, ..) in self.rows.keys() {
            if !means.contains_key(payer) {
                means.insert(payer, Means::of(connection, payer).await?);
            }
        }
        let mut owed: BTreeMap<&Payer, i64> = BTreeMap::new();
        for ((payer, period, start), amount) in &self.rows {
            let spent = add(connection, (payer, period, *start), *amount).await?;
            let budget = means.get(payer).and_then(|means| means.budget);
            *owed.entry(payer).or_default() += beyond(budget, period, (spent, *amount));
        }
        for (payer, amount) in owed.into_iter().filter(|(_, amount)| *amount != 0) {
            let has_budget = means.get(payer).is_some_and(|means| means.budget.is_some());
            owe(connection, (payer, has_budget), amount).await?;
        }
        for ((key, period, start, holder), amount) in self.held {
            let lent_by = means.get(&Payer::Key(key.clone())).and_then(Means::lent_by);
            if lent_by.is_some_and(|lent_by| lent_by.as_str() == period) {
                note_held(connection, (&key, start, &holder), amount).await?;
            }
        }
        Ok(())
    }
}

impl Means {
    async fn of(connection: &mut AnyConnection, payer: &Payer) -> Result<Self> {
        let Payer::Key(key) = payer else { return Ok(Self::default()) };
        let text = "SELECT b.period, b.amount_nano, (SELECT COUNT(*) FROM balances WHERE payer_kind = 'key' \
                    AND payer_id = $1) FROM changes LEFT JOIN budgets b ON b.key_id = $1";
        let row = sqlx::query(text).bind(key.as_str()).fetch_one(connection).await?;
        let period = row.try_get::<Option<String>, _>(0)?.as_deref().and_then(Period::parse);
        let amount = row.try_get::<Option<i64>, _>(1)?.map(NanoUsd);
        let budget = period.zip(amount).map(|(period, amount)| Budget { period, amount });
        Ok(Self { budget, has_balance: row.try_get::<i64, _>(2)? > 0 })
    }

    /// The period by which slices are lent.
    fn lent_by(&self) -> Option<Period> {
        let budget = self.budget.map(|budget| budget.period);
        budget.or(self.has_balance.then_some(Period::Total))
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

/// What was spent without a slice is no holder's.
async fn note_held(
    connection: &mut AnyConnection,
    (key, start, holder): (&KeyId, i64, &str),
    amount: i64,
) -> Result<()> {
    let text = "INSERT INTO life_spend (key_id, start_ms, holder, spent_nano) SELECT CAST($1 AS TEXT), \
                CAST($2 AS BIGINT), CAST($3 AS TEXT), CAST($4 AS BIGINT) WHERE EXISTS (SELECT 1 FROM leases \
                WHERE payer_kind = 'key' AND payer_id = $1 AND holder = $3 AND start_ms = $2) \
                ON CONFLICT (key_id, start_ms, holder) DO UPDATE SET spent_nano = life_spend.spent_nano + excluded.spent_nano";
    sqlx::query(text).bind(key.as_str()).bind(start).bind(holder).bind(amount).execute(connection).await?;
    Ok(())
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
