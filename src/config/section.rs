//! One map, read key by key.
//!
//! A section remembers which keys it was asked for. When it goes out of scope it reports every other key that it has,
//! so no reader can forget to.

use std::path::PathBuf;
use std::time::Duration;

use super::context::Context;
use super::environment;
use super::field::{Field, quote};
use super::problem::{Origin, Problem};
use super::suggest;
use super::tree::{Entry, Node, Value};

/// See the module.
pub(super) struct Section<'a> {
    whole: Field<'a>,
    entries: &'a [Entry],
    asked: Vec<&'static str>,
    names: Names,
}

/// Whether an unknown key may be shown.
#[derive(PartialEq, Eq)]
enum Names {
    Shown,
    /// The section holds a secret, which may stand where a key should.
    Hidden,
}

static NOTHING: Value = Value { node: Node::Null, at: Origin::Unset };

impl<'a> Section<'a> {
    pub(super) fn new(whole: Field<'a>, entries: &'a [Entry]) -> Self {
        Self { whole, entries, asked: Vec::new(), names: Names::Shown }
    }

    /// The same section, whose unknown keys are not shown.
    pub(super) fn with_hidden_names(mut self) -> Self {
        self.names = Names::Hidden;
        self
    }

    pub(super) fn context(&self) -> &'a Context<'a> {
        self.whole.context
    }

    /// A problem of the section as a whole; none if it is no map at all, which has been told already.
    pub(super) fn problem(&self, what: impl Into<String>, fix: impl Into<String>) {
        if matches!(self.whole.value.node, Node::Map(_) | Node::Null) {
            self.whole.problem(what, fix);
        }
    }

    pub(super) fn warn(&self, what: impl Into<String>, fix: impl Into<String>) {
        self.whole.warn(what, fix);
    }

    /// A value, unless it is absent or null.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Field<'a>> {
        self.asked.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (!matches!(entry.value.node, Node::Null)).then(|| self.field(&entry.value, key))
    }

    /// A value that came from a variable or flag; in a file the key stays unknown.
    pub(super) fn take_override(&mut self, key: &'static str) -> Option<Field<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        if matches!(entry.key_at, Origin::File { .. }) {
            return None;
        }
        self.take(key)
    }

    /// A value that must be there.
    pub(super) fn require(&mut self, key: &'static str, fix: &str) -> Option<Field<'a>> {
        let field = self.take(key);
        if field.is_none() {
            self.problem(format!("'{key}' is missing"), fix);
        }
        field
    }

    /// Every key and its value, in the order of the file: for maps whose keys are free.
    pub(super) fn take_all(mut self) -> Vec<(&'a str, Field<'a>)> {
        let entries = std::mem::take(&mut self.entries);
        entries.iter().map(|entry| (entry.key.as_str(), self.field(&entry.value, &entry.key))).collect()
    }

    /// A map within this one; an absent one is empty.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'a> {
        self.take(key).unwrap_or_else(|| self.field(&NOTHING, key)).section()
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<&'a str> {
        self.take(key)?.text()
    }

    pub(super) fn texts(&mut self, key: &'static str) -> Vec<&'a str> {
        self.take(key).map(|field| field.texts()).unwrap_or_default()
    }

    pub(super) fn number(&mut self, key: &'static str, bounds: (u64, u64)) -> Option<u64> {
        self.take(key)?.number(bounds, "Write it in digits.")
    }

    pub(super) fn duration(&mut self, key: &'static str, bounds: (Duration, Duration)) -> Option<Duration> {
        self.take(key)?.duration(bounds)
    }

    pub(super) fn switch(&mut self, key: &'static str) -> Option<bool> {
        self.take(key)?.switch()
    }

    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        self.take(key)?.choice(words)
    }

    pub(super) fn file_path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.take(key)?.file_path()
    }

    fn field(&self, value: &'a Value, key: &str) -> Field<'a> {
        Field { value, path: self.path_of(key), context: self.whole.context }
    }

    fn path_of(&self, key: &str) -> String {
        if self.whole.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.whole.path) }
    }

    fn unknown(&self, entry: &Entry) -> Problem {
        let nearest = suggest::nearest(&entry.key, &self.asked);
        let path = match self.names {
            Names::Hidden if nearest.is_none() => self.whole.path.clone(),
            _ => self.path_of(quote(&entry.key).trim_matches('\'')),
        };
        let fix = match nearest {
            Some(key) => self.did_you_mean(entry, key),
            None => format!("Known here: {}.", self.asked.join(", ")),
        };
        Problem { at: entry.key_at.clone(), path, what: "is not a known key".to_owned(), fix }
    }

    fn did_you_mean(&self, entry: &Entry, key: &str) -> String {
        let Origin::Environment(name) = &entry.key_at else {
            return format!("Did you mean '{key}'?");
        };
        let wrong = environment::variable_of(&self.path_of(&entry.key));
        let rest = name.strip_prefix(wrong.as_str()).unwrap_or_default();
        format!("Did you mean '{}{rest}'?", environment::variable_of(&self.path_of(key)))
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        for entry in self.entries.iter().filter(|entry| !self.asked.contains(&entry.key.as_str())) {
            self.whole.context.problem_with(|| self.unknown(entry));
        }
    }
}
