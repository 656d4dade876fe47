//! Who spent what: the ledger's daily totals, added up as asked.

use sqlx::{AssertSqlSafe, Row};

use super::ledger::Totals;
use super::{Result, Store};
use crate::types::{NanoUsd, Timestamp};

/// By what totals are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grouping {
    /// The day, UTC.
    Day,
    /// The key.
    Key,
    /// The organization.
    Organization,
    /// The model.
    Model,
}

/// Which totals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageAsked {
    /// From this day on: the one that holds the moment.
    pub since: Option<Timestamp>,
    /// Up to this day, and not it: the one that holds the moment.
    pub until: Option<Timestamp>,
    /// Of this key only.
    pub key: Option<String>,
    /// Of this organization only.
    pub organization: Option<String>,
    /// Of this model only.
    pub model: Option<String>,
    /// Told apart by these, in this order.
    pub by: Vec<Grouping>,
}

/// One line of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// One text for each grouping asked for, in its order; a day as `2026-11-21`.
    pub names: Vec<String>,
    /// The sums.
    pub totals: Totals,
}

const DAY_MS: u64 = 86_400_000;

impl Grouping {
    /// Its name, in options and columns.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Key => "key",
            Self::Organization => "org",
            Self::Model => "model",
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Key => "key_id",
            Self::Organization => "organization_id",
            Self::Model => "model",
        }
    }
}

impl Store {
    /// Adds up what is asked for: by day in order, otherwise by what it cost, the most first.
    pub async fn usage(&self, asked: &UsageAsked) -> Result<Vec<UsageRow>> {
        let columns: Vec<_> = asked.by.iter().map(|by| by.column()).collect();
        let first = if columns.is_empty() { String::new() } else { format!("{}, ", columns.join(", ")) };
        let group = if columns.is_empty() { String::new() } else { format!("GROUP BY {}", columns.join(", ")) };
        let order = match asked.by.first() {
            None => String::new(),
            Some(Grouping::Day) => format!("ORDER BY {}", columns.join(", ")),
            Some(_) => format!("ORDER BY SUM(cost_nano) DESC, {}", columns.join(", ")),
        };
        let sums = [
            "requests",
            "errors",
            "rejected",
            "unpriced",
            "input_tokens",
            "output_tokens",
            "cache_read_tokens",
            "cache_write_tokens",
            "reasoning_tokens",
            "cost_nano",
        ]
        .map(|column| format!("CAST(COALESCE(SUM({column}), 0) AS BIGINT)"))
        .join(", ");
        // Only names of ours stand in the text; what is asked for is bound.
        let text = format!(
            "SELECT {first}{sums} FROM daily_totals WHERE day >= $1 AND day < $2 AND ($3 = '' OR key_id = $3) \
             AND ($4 = '' OR organization_id = $4) AND ($5 = '' OR model = $5) {group} {order}"
        );
        let day = |at: Timestamp| (at.as_millis() / DAY_MS) as i64;
        let query = sqlx::query(AssertSqlSafe(text)).bind(asked.since.map_or(0, day));
        let query = query.bind(asked.until.map_or(i64::MAX, day)).bind(asked.key.as_deref().unwrap_or_default());
        let query = query.bind(asked.organization.as_deref().unwrap_or_default());
        let rows = query.bind(asked.model.as_deref().unwrap_or_default()).fetch_all(&self.read).await?;
        rows.iter().map(|row| read(row, &asked.by)).collect()
    }
}

fn read(row: &sqlx::any::AnyRow, by: &[Grouping]) -> Result<UsageRow> {
    let name = |(at, by): (usize, &Grouping)| {
        if *by == Grouping::Day {
            let day = row.try_get::<i64, _>(at)?.unsigned_abs();
            let text = Timestamp::from_millis(day.saturating_mul(DAY_MS)).to_string();
            return Ok(text.chars().take(10).collect());
        }
        row.try_get::<String, _>(at)
    };
    let names = by.iter().enumerate().map(name).collect::<sqlx::Result<_>>()?;
    let number = |at: usize| row.try_get::<i64, _>(by.len() + at);
    let totals = Totals {
        requests: number(0)?,
        errors: number(1)?,
        rejected: number(2)?,
        unpriced: number(3)?,
        input_tokens: number(4)?,
        output_tokens: number(5)?,
        cache_read_tokens: number(6)?,
        cache_write_tokens: number(7)?,
        reasoning_tokens: number(8)?,
        cost: NanoUsd(number(9)?),
    };
    Ok(UsageRow { names, totals })
}
