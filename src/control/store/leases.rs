//! Slices of budgets on loan to sidecars.
//!
//! A holder says with each question what it has used since the period began, so what is left is known however late the
//! usage events come. What was spent is taken to be the larger of what the events say and what the holders say: the
//! same money is in both. What all holders have on loan never exceeds what is left, so what they overspend together is
//! at most what was on loan, and what the last call of each went beyond its slice.

use sqlx::Row;

use super::limits::{millis, moment};
use super::{Result, Store};
use crate::types::{Budget, KeyId, NanoUsd, Slice, Timestamp, Used};

/// One cent: a smaller part is not worth a call.
const LEAST: i64 = 10_000_000;

/// A loan to be.
#[derive(Clone, Copy, Debug)]
pub struct Loan<'a> {
    /// Whose budget it is of.
    pub key: &'a KeyId,
    /// Who asks. A process that starts anew is another holder.
    pub holder: &'a str,
    /// What it has used.
    pub used: Option<Used>,
    /// The moment.
    pub now: Timestamp,
    /// When it ends unless renewed.
    pub until: Timestamp,
}

const NOTE: &str = "INSERT INTO leases (payer_kind, payer_id, holder, amount_nano, expires_ms, used_nano, start_ms) \
    VALUES ('key', $1, $2, 0, $3, $4, $5) ON CONFLICT (payer_kind, payer_id, holder) DO UPDATE SET \
    amount_nano = 0, expires_ms = excluded.expires_ms, used_nano = CASE WHEN leases.start_ms = excluded.start_ms \
    AND leases.used_nano > excluded.used_nano THEN leases.used_nano ELSE excluded.used_nano END, \
    start_ms = excluded.start_ms";

const STANDING: &str = "SELECT COALESCE((SELECT spent_nano FROM spend WHERE payer_kind = 'key' AND payer_id = $1 \
    AND period = $2 AND start_ms = $3), 0), COALESCE((SELECT balance_nano FROM balances \
    WHERE payer_kind = 'key' AND payer_id = $1), 0), CAST(COALESCE((SELECT SUM(amount_nano) FROM leases \
    WHERE payer_kind = 'key' AND payer_id = $1 AND expires_ms > $5), 0) AS BIGINT), \
    CAST(COALESCE((SELECT SUM(used_nano) FROM leases WHERE payer_kind = 'key' AND payer_id = $1 \
    AND start_ms = $3), 0) AS BIGINT), COALESCE((SELECT used_nano FROM leases WHERE payer_kind = 'key' \
    AND payer_id = $1 AND holder = $4), 0)";

impl Store {
    /// Lends a holder (a sidecar) a part of what is left of a budget, until a time; a lease that it has is replaced.
    ///
    /// The part is a tenth of what is not lent, and all of it when that is next to nothing.
    pub async fn lend(&self, loan: &Loan<'_>, budget: &Budget) -> Result<Slice> {
        let since = budget.period.start(loan.now);
        // What was used of another period is no part of this one.
        let used = loan.used.filter(|used| used.since == since).map_or(0, |used| used.nano_usd.0.max(0));
        let mut transaction = self.write.begin_with(self.backend.begin()).await?;
        // One lender at a time, across processes: what is left must not be lent twice.
        sqlx::query("UPDATE changes SET one = 1 WHERE one = 1").execute(&mut *transaction).await?;
        let old =
            "DELETE FROM leases WHERE payer_kind = 'key' AND payer_id = $1 AND start_ms < $2 AND expires_ms <= $3";
        let query = sqlx::query(old).bind(loan.key.as_str()).bind(millis(since)).bind(millis(loan.now));
        query.execute(&mut *transaction).await?;
        let query = sqlx::query(NOTE).bind(loan.key.as_str()).bind(loan.holder).bind(millis(loan.until));
        query.bind(used).bind(millis(since)).execute(&mut *transaction).await?;
        let query = sqlx::query(STANDING).bind(loan.key.as_str()).bind(budget.period.as_str()).bind(millis(since));
        let row = query.bind(loan.holder).bind(millis(loan.now)).fetch_one(&mut *transaction).await?;
        let number = |at: usize| row.try_get::<i64, _>(at);
        let (told, balance, lent, said, used) = (number(0)?, number(1)?, number(2)?, number(3)?, number(4)?);
        // What the events say went beyond the budget is taken off the balance already; what they do not say yet is not.
        let untold = said.saturating_sub(told).max(0);
        let unspent = budget.amount.0.saturating_sub(told).max(0).saturating_add(balance).saturating_sub(untold);
        let free = unspent.saturating_sub(lent).max(0);
        let part = if free <= LEAST { free } else { (free / 10).max(LEAST) };
        let text = "UPDATE leases SET amount_nano = $3 WHERE payer_kind = 'key' AND payer_id = $1 AND holder = $2";
        let query = sqlx::query(text).bind(loan.key.as_str()).bind(loan.holder).bind(part);
        query.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Slice { nano_usd: NanoUsd(part), used: NanoUsd(used), since, expires: loan.until })
    }

    /// A holder gives back what it had on loan, and says what it used of it.
    pub async fn give_back(&self, key: &KeyId, (holder, used): (&str, Used)) -> Result<()> {
        let text = "UPDATE leases SET amount_nano = 0, expires_ms = 0, used_nano = CASE WHEN start_ms = $4 \
                    AND used_nano < $3 THEN $3 ELSE used_nano END \
                    WHERE payer_kind = 'key' AND payer_id = $1 AND holder = $2";
        let query = sqlx::query(text).bind(key.as_str()).bind(holder).bind(used.nano_usd.0);
        query.bind(millis(used.since)).execute(&self.write).await?;
        Ok(())
    }

    /// What is on loan of a key's budget: holder, amount, until when.
    pub async fn loans(&self, key: &KeyId) -> Result<Vec<(String, NanoUsd, Timestamp)>> {
        let text = "SELECT holder, amount_nano, expires_ms FROM leases WHERE payer_kind = 'key' AND payer_id = $1 \
                    AND amount_nano > 0 ORDER BY holder";
        let rows = sqlx::query(text).bind(key.as_str()).fetch_all(&self.read).await?;
        let read = |row: &sqlx::any::AnyRow| Ok((row.try_get(0)?, NanoUsd(row.try_get(1)?), moment(row.try_get(2)?)));
        rows.iter().map(read).collect()
    }
}
