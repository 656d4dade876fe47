//! `tollgate usage`: who spent what, from the ledger's daily totals.

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::End;
use super::store::{self, Place};
use super::table::{self, Column, Format};
use crate::control::store::{Grouping, UsageAsked, UsageRow};
use crate::types::Timestamp;

const EXAMPLES: &str = "\
Examples:
  tollgate usage                                        every key and model, the dearest first
  tollgate usage --since 2026-11-01 --until 2026-12-01 --by org
  tollgate usage --key acme-ci --by day,model --format csv > november.csv
  tollgate usage --database postgres://ledger@db/tollgate --format json

Days are UTC days; --until is not included. Money is exact to the nano-dollar.";

/// What to add up.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    #[command(flatten)]
    place: Place,
    /// From this day on, such as 2026-11-01
    #[arg(long, value_name = "DAY", value_parser = day)]
    since: Option<Timestamp>,
    /// Up to this day, and not it
    #[arg(long, value_name = "DAY", value_parser = day)]
    until: Option<Timestamp>,
    /// Of this key only
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// Of this organization only
    #[arg(long, value_name = "ID")]
    org: Option<String>,
    /// Of this model only
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// What to tell apart, in this order
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "key,model")]
    by: Vec<By>,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    Day,
    Key,
    Org,
    Model,
}

impl By {
    fn grouping(self) -> Grouping {
        match self {
            Self::Day => Grouping::Day,
            Self::Key => Grouping::Key,
            Self::Org => Grouping::Organization,
            Self::Model => Grouping::Model,
        }
    }
}

fn day(text: &str) -> Result<Timestamp, String> {
    let midnight = Timestamp::parse(&format!("{text}T00:00:00Z"));
    midnight.ok_or_else(|| "write a day as 2026-11-01".to_owned())
}

pub(super) fn run(options: &Options) -> Result<End> {
    let mut by: Vec<Grouping> = Vec::new();
    for grouping in options.by.iter().map(|by| by.grouping()) {
        if !by.contains(&grouping) {
            by.push(grouping);
        }
    }
    let asked = UsageAsked {
        since: options.since,
        until: options.until,
        key: options.key.clone(),
        organization: options.org.clone(),
        model: options.model.clone(),
        by,
    };
    store::on(&options.place, async |store, _| {
        let rows = store.usage(&asked).await?;
        print!("{}", shown(&asked.by, &rows, options.format));
        Ok(End::Done)
    })
}

fn shown(by: &[Grouping], rows: &[UsageRow], format: Format) -> String {
    let mut columns: Vec<Column> = by.iter().map(|by| Column::Text(by.as_str())).collect();
    columns.extend(
        ["requests", "errors", "rejected", "input", "cached", "output", "reasoning", "unpriced", "cost_usd"]
            .map(Column::Number),
    );
    let cells = |row: &UsageRow| {
        let totals = &row.totals;
        let counts = [
            totals.requests,
            totals.errors,
            totals.rejected,
            totals.input_tokens,
            totals.cache_read_tokens,
            totals.output_tokens,
            totals.reasoning_tokens,
            totals.unpriced,
        ];
        // An absent name is a dash where people read, and empty where programs do.
        let name =
            |name: &String| if name.is_empty() && format == Format::Table { "-".to_owned() } else { name.clone() };
        let mut cells: Vec<String> = row.names.iter().map(name).collect();
        cells.extend(counts.map(|count| count.to_string()));
        cells.push(totals.cost.dollars());
        cells
    };
    table::write(&columns, &rows.iter().map(cells).collect::<Vec<_>>(), format)
}
