//! One value under its path, read as what it should be.
//!
//! Each reader gives the value or notes a problem and gives nothing. Texts are quoted in problems only by readers of
//! values that are no secrets; a value of the wrong kind (a text where a map should be) is never quoted, because a
//! secret in the wrong place looks just like that.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::context::{CHECK_PATH, Context, NoDocument};
use super::problem::{Origin, Problem};
use super::section::Section;
use super::tree::{Node, Value};

/// A value and its path.
pub(super) struct Field<'a> {
    pub(super) value: &'a Value,
    pub(super) path: String,
    pub(super) context: &'a Context<'a>,
}

impl<'a> Field<'a> {
    pub(super) fn problem(&self, what: impl Into<String>, fix: impl Into<String>) {
        self.context.problem(self.remark(what.into(), fix.into()));
    }

    pub(super) fn warn(&self, what: impl Into<String>, fix: impl Into<String>) {
        self.context.warn(self.remark(what.into(), fix.into()));
    }

    fn remark(&self, what: String, fix: String) -> Problem {
        Problem { at: self.value.at.clone(), path: self.path.clone(), what, fix }
    }

    fn kind(&self) -> &'static str {
        match self.value.node {
            Node::Null => "empty",
            Node::Scalar(_) => "a single value",
            Node::List(_) => "a list",
            Node::Map(_) => "a map",
        }
    }

    /// The text, without a word about it if it is something else.
    pub(super) fn scalar(&self) -> Option<&'a str> {
        match &self.value.node {
            Node::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// A text that is not empty.
    pub(super) fn text(&self) -> Option<&'a str> {
        match self.scalar() {
            Some(text) if !text.trim().is_empty() => Some(text),
            Some(_) => self.refuse("is empty", "Give a text, or leave it out."),
            None => self.refuse(format!("is {}", self.kind()), "Give one text."),
        }
    }

    fn refuse<T>(&self, what: impl Into<String>, fix: impl Into<String>) -> Option<T> {
        self.problem(what, fix);
        None
    }

    /// A text of another type. `what` it is not completes the sentence "'…' is not".
    pub(super) fn parse<T: FromStr>(&self, what: &str, fix: &str) -> Option<T> {
        let text = self.text()?;
        text.parse().ok().or_else(|| self.refuse(format!("{} is not {what}", quote(text)), fix))
    }

    /// A whole number within bounds.
    pub(super) fn number(&self, (least, most): (u64, u64), fix: &str) -> Option<u64> {
        let text = self.text()?;
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.or_else(|| self.refuse(format!("{} is not a whole number from {least} to {most}", quote(text)), fix))
    }

    /// A number with a fraction, not negative.
    pub(super) fn amount(&self) -> Option<f64> {
        let text = self.text()?;
        let amount = text.parse::<f64>().ok().filter(|amount| amount.is_finite() && *amount >= 0.0);
        amount.or_else(|| self.refuse(format!("{} is not an amount of dollars", quote(text)), "Write it as 0.15."))
    }

    /// `true` or `false`.
    pub(super) fn switch(&self) -> Option<bool> {
        self.choice(&[("true", true), ("false", false)])
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.refuse(format!("{} is none of: {}", quote(text), known.join(", ")), "Choose one of these.")
    }

    /// A duration within bounds.
    pub(super) fn duration(&self, (least, most): (Duration, Duration)) -> Option<Duration> {
        let text = self.text()?;
        let Some(duration) = parse_duration(text) else {
            return self.refuse(
                format!("{} is not a duration", quote(text)),
                "Write a whole number and its unit, such as 250ms, 10s, 5m or 1h.",
            );
        };
        if duration < least || duration > most {
            let bounds = format!("Choose {} to {}.", show_duration(least), show_duration(most));
            return self.refuse(format!("{} is out of range", quote(text)), bounds);
        }
        Some(duration)
    }

    /// A path: in a file relative to the file's folder, elsewhere to the working directory.
    pub(super) fn file_path(&self) -> Option<PathBuf> {
        let text = self.text()?;
        let folder = match &self.value.at {
            Origin::File { path, .. } => path.parent().map(std::borrow::ToOwned::to_owned).unwrap_or_default(),
            Origin::Unset => self.context.base.clone(),
            Origin::Environment(_) | Origin::Flag(_) => self.context.directory.to_owned(),
        };
        Some(folder.join(text))
    }

    /// The document in the file at this path, which this field named.
    pub(super) fn document(&self, path: &Path) -> Option<Value> {
        match self.context.document(path) {
            Ok(value) => return Some(value),
            Err(NoDocument::Broken(problem)) => self.context.problem(problem),
            Err(NoDocument::Unreadable(what)) => self.unreadable(path, &what),
        }
        None
    }

    /// Notes that the file at this path, which this field named, is no use. `what` completes the sentence "it …".
    pub(super) fn unreadable(&self, path: &Path, what: &str) {
        self.problem(format!("{} {what}", path.display()), CHECK_PATH);
    }

    /// The items of a list. On the command line and in variables commas may take the place of brackets.
    pub(super) fn list(&self) -> Vec<Item<'a>> {
        match &self.value.node {
            Node::List(items) => {
                items.iter().enumerate().map(|(index, value)| Item::Value(self.item(index, value))).collect()
            }
            Node::Scalar(text) if matches!(self.value.at, Origin::Environment(_) | Origin::Flag(_)) => {
                text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(Item::Text).collect()
            }
            _ => {
                self.problem(format!("is {}, not a list", self.kind()), "Write it as [first, second].");
                Vec::new()
            }
        }
    }

    fn item(&self, index: usize, value: &'a Value) -> Field<'a> {
        Field { value, path: format!("{}[{index}]", self.path), context: self.context }
    }

    /// The items of a list that holds maps.
    pub(super) fn fields(&self) -> Vec<Field<'a>> {
        let Node::List(items) = &self.value.node else {
            self.problem(format!("is {}, not a list", self.kind()), "Begin each item with '- '.");
            return Vec::new();
        };
        items.iter().enumerate().map(|(index, value)| self.item(index, value)).collect()
    }

    /// The texts of a list.
    pub(super) fn texts(&self) -> Vec<&'a str> {
        let items = self.list();
        items.into_iter().filter_map(|item| item.text()).collect()
    }

    /// A map; an empty one, and a problem, if it is something else.
    pub(super) fn section(self) -> Section<'a> {
        let entries = match &self.value.node {
            Node::Map(entries) => entries.as_slice(),
            Node::Null => &[],
            _ => {
                self.problem(format!("is {}, not a map", self.kind()), "Write it as key: value.");
                &[]
            }
        };
        Section::new(self, entries)
    }
}

/// One item of a list of texts.
pub(super) enum Item<'a> {
    /// From a written list.
    Value(Field<'a>),
    /// Between commas.
    Text(&'a str),
}

impl<'a> Item<'a> {
    pub(super) fn text(&self) -> Option<&'a str> {
        match self {
            Self::Value(field) => field.text(),
            Self::Text(text) => Some(text),
        }
    }
}

/// A text in quotes, cut short and without control characters.
pub(super) fn quote(text: &str) -> String {
    const MOST: usize = 60;
    let shown: String = text.chars().take(MOST).filter(|c| !c.is_control()).collect();
    let rest = if text.chars().count() > MOST { "…" } else { "" };
    format!("'{shown}{rest}'")
}

fn show_duration(duration: Duration) -> String {
    match duration.as_millis() {
        ms if ms > 0 && ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        ms if ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(unit_at);
    let number: u64 = digits.parse().ok()?;
    match unit.trim_start() {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}
