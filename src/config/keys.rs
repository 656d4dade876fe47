//! The keys file: a list with one record per key.
//!
//! Records hold digests only. A plain key is accepted with a warning that gives the digest to write in its place; the
//! key itself is shown nowhere.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::types::{Budget, Digest, GroupId, KeyId, KeyRecord, NanoUsd, OrgId, Pattern, Period, Timestamp};

use super::context::{Context, NoDocument};
use super::field::{Field, quote};
use super::limits;
use super::problem::{Origin, Problem, Problems};
use super::section::Section;
use super::tree::{Node, Value};

/// The most letters of an id: it stands in every event and log line.
const MOST_ID_LETTERS: usize = 128;

/// Reads a keys file on its own: its records and warnings, or all that is wrong with it.
pub fn load_keys(path: &Path) -> Result<(Vec<KeyRecord>, Vec<Problem>), Problems> {
    judge(path, |context| context.document(path))
}

/// As [`load_keys`], of a text that is to become this file.
pub fn check_keys(text: &str, path: &Path) -> Result<(Vec<KeyRecord>, Vec<Problem>), Problems> {
    judge(path, |_| Context::parsed(text, path))
}

fn judge(
    path: &Path,
    read: impl FnOnce(&Context<'_>) -> Result<Value, NoDocument>,
) -> Result<(Vec<KeyRecord>, Vec<Problem>), Problems> {
    let directory = PathBuf::new();
    let context = Context::new(&[], &directory);
    let records = match read(&context) {
        Ok(value) => records(&value, &context),
        Err(error) => {
            context.problem(error.into_problem(path));
            Vec::new()
        }
    };
    let (warnings, _) = context.finish()?;
    Ok((records, warnings))
}

/// Reads the keys file that the configuration names.
pub(super) fn from_config(field: &Field<'_>, path: &Path) -> Vec<KeyRecord> {
    field.document(path).map(|value| records(&value, field.context)).unwrap_or_default()
}

fn records(value: &Value, context: &Context<'_>) -> Vec<KeyRecord> {
    let whole = Field { value, path: String::new(), context };
    if matches!(&value.node, Node::Null) || matches!(&value.node, Node::List(list) if list.is_empty()) {
        whole.warn("there is no key in it, so every call is refused", "Add a record: - id: NAME.");
        return Vec::new();
    }
    let mut seen = Seen::default();
    whole.fields().into_iter().filter_map(|field| record(field, &mut seen)).collect()
}

/// Where ids and keys stood first.
#[derive(Default)]
struct Seen {
    ids: HashMap<String, Origin>,
    keys: HashMap<Digest, Origin>,
}

fn record(field: Field<'_>, seen: &mut Seen) -> Option<KeyRecord> {
    let mut section = field.section().with_hidden_names();
    let id = section.require("id", "Give it a name: id: acme-ci.");
    let id = id.and_then(|field| unique_id(&field, seen));
    let key = section.require("key", "Write key: { sha256: … }.");
    let key = key.and_then(|field| unique_key(field, seen));
    let secret = section.take("secret").and_then(digest);
    let record = KeyRecord {
        secret,
        organizations: section.texts("organizations").into_iter().map(OrgId::new).collect(),
        group: section.text("group").map(GroupId::new),
        models: section.texts("models").into_iter().map(Pattern::new).collect(),
        limits: limits::scope(&mut section.section("limits")),
        budget: section.take("budget").and_then(budget),
        expires: section.take("expires").and_then(|field| expires(&field)),
        enabled: section.switch("enabled").unwrap_or(true),
        ..KeyRecord::new(KeyId::new(id.unwrap_or_default()), key.unwrap_or_else(|| Digest::of(b"")))
    };
    (id.is_some() && key.is_some()).then_some(record)
}

fn unique_id<'a>(field: &Field<'a>, seen: &mut Seen) -> Option<&'a str> {
    let text = field.text()?;
    if text.len() > MOST_ID_LETTERS || text.chars().any(char::is_control) {
        field.problem("is too long or has control characters", "Use up to 128 letters.");
        return None;
    }
    if let Some(first) = seen.ids.insert(text.to_owned(), field.value.at.clone()) {
        field.problem(format!("the id {} is already used at {first}", quote(text)), "Give each record its own id.");
    }
    Some(text)
}

fn unique_key(field: Field<'_>, seen: &mut Seen) -> Option<Digest> {
    let (at, path, context) = (field.value.at.clone(), field.path.clone(), field.context);
    let digest = digest(field)?;
    if let Some(first) = seen.keys.insert(digest, at.clone()) {
        let what = format!("the same key already stands at {first}");
        context.problem(Problem { at, path, what, fix: "Give each record its own key.".to_owned() });
    }
    Some(digest)
}

/// `{ sha256: hex }`, or the plain text with a warning.
fn digest(field: Field<'_>) -> Option<Digest> {
    if field.scalar().is_some() {
        let digest = Digest::of(field.text()?.as_bytes());
        let fix = format!("Write {{ sha256: {} }} instead.", digest.to_hex());
        field.warn("stands here in plain text", fix);
        return Some(digest);
    }
    let mut section = field.section().with_hidden_names();
    let field = section.require("sha256", "Write { sha256: … }, the hex digest of its bytes.")?;
    let digest = Digest::from_hex(field.text()?);
    if digest.is_none() {
        field.problem("is not a SHA-256 digest", "Write its 64 hex digits.");
    }
    digest
}

fn budget(field: Field<'_>) -> Option<Budget> {
    let mut section: Section<'_> = field.section();
    let periods = [("day", Period::Day), ("week", Period::Week), ("month", Period::Month), ("total", Period::Total)];
    let period = section.require("period", "Write period: day, week, month or total.");
    let usd = section.require("usd", "Write usd: 100.0.");
    let period = period.and_then(|field| field.choice(&periods));
    let amount = usd.and_then(|field| positive(&field));
    Some(Budget { period: period?, amount: amount? })
}

fn positive(field: &Field<'_>) -> Option<NanoUsd> {
    let amount = NanoUsd::from_usd(field.amount()?).filter(|amount| *amount > NanoUsd(0));
    if amount.is_none() {
        field.problem("is nothing to spend, or more than can be counted", "Write an amount of dollars above 0.");
    }
    amount
}

fn expires(field: &Field<'_>) -> Option<Timestamp> {
    let text = field.text()?;
    let time = Timestamp::parse(text);
    if time.is_none() {
        field.problem(format!("{} is not a time in UTC", quote(text)), "Write it as 2027-01-01T00:00:00Z.");
    }
    time
}
