//! Rows of text as people and programs read them: aligned, as CSV, or as JSON.

use clap::ValueEnum;
use serde_json::{Map, Value};

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Aligned columns
    #[default]
    Table,
    /// Comma-separated values (RFC 4180), with a header
    Csv,
    /// An array of objects
    Json,
}

/// A column's name, and whether it holds numbers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    Text(&'static str),
    Number(&'static str),
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::Text(name) | Self::Number(name) => name,
        }
    }
}

/// The whole text, line ends included.
pub(super) fn write(columns: &[Column], rows: &[Vec<String>], format: Format) -> String {
    let names: Vec<String> = columns.iter().map(|column| column.name().to_owned()).collect();
    match format {
        Format::Table => aligned(columns, &names, rows),
        Format::Csv => std::iter::once(&names).chain(rows).map(|row| csv(row)).collect(),
        Format::Json => json(columns, rows),
    }
}

fn aligned(columns: &[Column], names: &[String], rows: &[Vec<String>]) -> String {
    let heads: Vec<String> = names.iter().map(|name| name.to_uppercase()).collect();
    let width = |at: usize| {
        let cells = rows.iter().chain(std::iter::once(&heads)).filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(columns).zip(&widths).map(|((cell, column), width)| match column {
            Column::Text(_) => format!("{cell:width$}"),
            Column::Number(_) => format!("{cell:>width$}"),
        });
        let text = cells.collect::<Vec<_>>().join("  ");
        format!("{}\n", text.trim_end())
    };
    std::iter::once(&heads).chain(rows).map(line).collect()
}

fn csv(row: &[String]) -> String {
    let quoted = |cell: &String| {
        // A cell that a spreadsheet would take for a formula is a text: names come from callers.
        let cell = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell.clone() };
        if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
    };
    format!("{}\r\n", row.iter().map(quoted).collect::<Vec<_>>().join(","))
}

fn json(columns: &[Column], rows: &[Vec<String>]) -> String {
    let object = |row: &Vec<String>| {
        let cells = columns.iter().zip(row).map(|(column, cell)| {
            let value = match column {
                Column::Number(_) if cell.is_empty() => Value::Null,
                Column::Number(_) => serde_json::from_str(cell).unwrap_or_else(|_| Value::String(cell.clone())),
                Column::Text(_) => Value::String(cell.clone()),
            };
            (column.name().to_owned(), value)
        });
        Value::Object(cells.collect::<Map<_, _>>())
    };
    let rows = Value::Array(rows.iter().map(object).collect());
    format!("{}\n", serde_json::to_string_pretty(&rows).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{Column, Format, write};

    #[test]
    fn the_same_rows_in_three_forms() {
        let columns = [Column::Text("key"), Column::Number("cost_usd")];
        let row = |key: &str, cost: &str| vec![key.to_owned(), cost.to_owned()];
        let rows = [row("a,\"b\"", "0.100000000"), row("=x", "12.000000000")];
        assert_eq!(
            write(&columns, &rows, Format::Table),
            "KEY        COST_USD\na,\"b\"   0.100000000\n=x     12.000000000\n"
        );
        assert_eq!(
            write(&columns, &rows, Format::Csv),
            "key,cost_usd\r\n\"a,\"\"b\"\"\",0.100000000\r\n'=x,12.000000000\r\n"
        );
        assert!(write(&columns, &rows, Format::Json).contains("\"key\": \"=x\""));
        let unknown = write(&columns, &[row("a", "")], Format::Json);
        assert!(unknown.contains("\"cost_usd\": null"), "{unknown}");
    }
}
