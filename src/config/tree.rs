//! A configuration as written: a tree of values that know where they were set.
//!
//! Scalars stay the text that was written; whoever reads one decides whether it is a number or a name, so a key of
//! digits or a version such as `2026-11-01` is never bent into something else. Size, depth and aliases are bounded, so
//! a hostile file costs little. What the parser says of a broken file is passed on without any of the file's text.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Location, Options, Spanned};

use super::problem::{Origin, Problem};

/// A value and where it was set.
#[derive(Clone)]
pub(super) struct Value {
    pub(super) node: Node,
    pub(super) at: Origin,
}

/// What a value is.
#[derive(Clone)]
pub(super) enum Node {
    Null,
    /// As written, without quotes.
    Scalar(String),
    List(Vec<Value>),
    /// In the order of the file; no key twice.
    Map(Vec<Entry>),
}

/// A key of a map, and its value.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: Origin,
    pub(super) value: Value,
}

/// What the values of a text are said to come from.
pub(super) enum Place<'a> {
    /// A file: each value has its own line and column.
    File(&'a Path),
    /// A variable or flag: all values have this origin.
    One(&'a Origin),
}

/// How many values one text may have.
#[derive(Clone, Copy)]
pub(super) struct MaxNodes(pub(super) usize);

const MAX_DEPTH: usize = 24;
const MAX_ALIASES: usize = 1000;
/// How much aliases may repeat in all, and how much may stand behind anchors.
const MAX_REPEATED: usize = 20_000;

/// Reads YAML or JSON. An empty text is `Null`.
pub(super) fn parse(text: &str, place: &Place<'_>, nodes: MaxNodes) -> Result<Value, Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let placer = Placer::new(text, place);
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options(nodes)) {
        Ok(raw) => Ok(placer.value(raw)),
        Err(error) => Err(placer.problem(&error)),
    }
}

fn options(MaxNodes(nodes): MaxNodes) -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: nodes,
            max_events: nodes.saturating_mul(3),
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
            max_recorded_anchor_events: MAX_REPEATED,
            max_documents: 2,
            max_merge_keys: MAX_ALIASES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPEATED,
            max_replay_stack_depth: MAX_DEPTH,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    }
}

/// What serde can tell us.
enum Raw {
    Null,
    Text(String),
    /// Something that looks like a number or a truth value; here as the parser would write it.
    Typed(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

/// Gives values their origin and scalars their written text.
struct Placer<'a> {
    text: &'a str,
    file: Option<Arc<Path>>,
    fixed: Origin,
}

impl<'a> Placer<'a> {
    fn new(text: &'a str, place: &Place<'_>) -> Self {
        match place {
            Place::File(path) => Self { text, file: Some((*path).into()), fixed: Origin::Unset },
            Place::One(origin) => Self { text, file: None, fixed: (*origin).clone() },
        }
    }

    // The parser bounds the depth, and so this recursion.
    fn value(&self, raw: Spanned<Raw>) -> Value {
        let at = self.origin(raw.referenced);
        let node = match raw.value {
            Raw::Null => Node::Null,
            Raw::Text(text) => Node::Scalar(text),
            Raw::Typed(text) => Node::Scalar(self.written(raw.defined).unwrap_or(text)),
            Raw::List(list) => Node::List(list.into_iter().map(|item| self.value(item)).collect()),
            Raw::Map(entries) => Node::Map(entries.into_iter().map(|entry| self.entry(entry)).collect()),
        };
        Value { node, at }
    }

    fn entry(&self, (key, value): (Spanned<String>, Spanned<Raw>)) -> Entry {
        Entry { key_at: self.origin(key.referenced), key: key.value, value: self.value(value) }
    }

    fn origin(&self, at: Location) -> Origin {
        match &self.file {
            Some(path) => Origin::File { path: Arc::clone(path), line: at.line() as u32, column: at.column() as u32 },
            None => self.fixed.clone(),
        }
    }

    fn written(&self, at: Location) -> Option<String> {
        let start = usize::try_from(at.span().byte_offset()?).ok()?;
        let length = usize::try_from(at.span().byte_len()?).ok()?;
        let text = self.text.get(start..start.checked_add(length)?)?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn problem(&self, error: &Error) -> Problem {
        let at = error.location().unwrap_or(Location::UNKNOWN);
        let (what, fix) = describe(error.without_snippet());
        Problem { at: self.origin(at), path: String::new(), what, fix: fix.to_owned() }
    }
}

fn describe(error: &Error) -> (String, &'static str) {
    let too_big = ("it is nested too deep, too long, or repeats itself too often", "Write it plainly.");
    let (what, fix) = match error {
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::RecursiveReferencesRequireWeakTypes { .. } => too_big,
        Error::DuplicateMappingKey { .. } => ("this key stands twice in one map", "Keep one of the two."),
        Error::UnknownAnchor { .. } => ("this alias has no anchor", "Put a text that begins with '*' in quotes."),
        Error::MultipleDocuments { .. } => ("there is more than one document", "Keep one, without '---' in between."),
        Error::Eof { .. } => ("it ends too early", "Close every bracket and quote."),
        Error::AliasError { error, .. } => return describe(error),
        // The scanner's messages are fixed texts, with one character of the file at most.
        Error::ExternalMessage { msg, .. } if msg.contains("recursion limit") => too_big,
        Error::ExternalMessage { msg, .. } => {
            let msg = msg.lines().next().unwrap_or_default();
            return (format!("it is not valid YAML: {msg}"), "Mend it at this place or just before.");
        }
        _ => ("it is not valid YAML", "Mend it at this place or just before."),
    };
    (what.to_owned(), fix)
}
