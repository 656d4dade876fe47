//! Slices of budgets on loan to sidecars.
//!
//! A holder says with each question what it has used since the period began and what calls in flight may add, so what is
//! left is known however late the usage events come. Both say the same of the same money: of each holder the larger
//! counts. A holder that was killed said less than it spent, so its slice stays on loan until its time ends; by then its
//! events have come. What all holders have on loan never exceeds what is left, so what they overspend together is at
//! most what the last call of each went beyond its slice, and the slices of those whose events come later than that.

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
    /// Who asks: what stands before the number in the ids of its events. A process that starts anew is another holder.
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
    CAST(COALESCE((SELECT SUM(CASE WHEN l.used_nano > COALESCE(s.spent_nano, 0) \
    THEN l.used_nano - COALESCE(s.spent_nano, 0) ELSE 0 END) FROM leases l LEFT JOIN life_spend s \
    ON s.key_id = l.payer_id AND s.start_ms = l.start_ms AND s.holder = l.holder \
    WHERE l.payer_kind = 'key' AND l.payer_id = $1 AND l.start_ms = $3), 0) AS BIGINT), \
    COALESCE((SELECT used_nano FROM leases WHERE payer_kind = 'key' AND payer_id = $1 AND holder = $4), 0), \
    COALESCE((SELECT spent_nano FROM life_spend WHERE key_id = $1 AND start_ms = $3 AND holder = $4), 0)";

impl Store {
    /// Lends a holder (a sidecar) a part of what is left of a budget, until a time; a lease that it has is replaced.
    ///
    /// The part is what its calls in flight may use, and a tenth of the rest that is not lent, or all of it when that is
    /// next to nothing.
    pub async fn lend(&self, loan: &Loan<'_>, budget: &Budget) -> Result<Slice> {
        let since = budget.period.start(loan.now);
        // What was used of another period is no part of this one.
        let own = loan.used.filter(|used| used.since == since);
        let used = own.map_or(0, |used| used.nano_usd.0.max(0));
        let held = loan.used.map_or(0, |used| used.held.0.max(0));
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
        let (told, balance, lent, untold) = (number(0)?, number(1)?, number(2)?, number(3)?);
        // What the events say went beyond the budget is taken off the balance already; what they do not say yet is not.
        let unspent = budget.amount.0.saturating_sub(told).max(0).saturating_add(balance).saturating_sub(untold);
        let free = unspent.saturating_sub(lent).max(0);
        let part = part(free, held);
        let text = "UPDATE leases SET amount_nano = $3 WHERE payer_kind = 'key' AND payer_id = $1 AND holder = $2";
        // Calls in flight go on though nothing is left for them.
        let query = sqlx::query(text).bind(loan.key.as_str()).bind(loan.holder).bind(part.max(held));
        query.execute(&mut *transaction).await?;
        // Its events may say more than it does, where the key was called without a budget before.
        let used = number(4)?.max(number(5)?);
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

/// What is lent of what is free.
fn part(free: i64, held: i64) -> i64 {
    let held = held.min(free);
    let rest = free - held;
    held + if rest <= LEAST { rest } else { (rest / 10).max(LEAST) }
}
