//! Lays environment variables and flags over what the file says: a path such as `upstreams.0.url`, and a text.
//!
//! A text that begins with `[` or `{` and is valid YAML is a list or a map; every other text stands for itself, whatever
//! characters it has. What is laid over replaces what was there, and nothing beside it.

use super::problem::{Origin, Problem};
use super::tree::{self, Entry, MaxNodes, Node, Place, Value};

const MAX_NODES: MaxNodes = MaxNodes(10_000);

/// One value to lay over.
pub(super) struct Override<'s> {
    /// From the root; a number counts into a list.
    pub(super) steps: Vec<String>,
    pub(super) text: &'s str,
    pub(super) at: Origin,
}

impl<'s> Override<'s> {
    /// From a path such as `proxy.listen`.
    pub(super) fn from_flag(path: &str, text: &'s str) -> Self {
        Self { steps: path.split('.').map(str::to_owned).collect(), text, at: Origin::Flag(path.into()) }
    }
}

/// Lays the values over, shorter paths first, so that a part can be set inside a whole.
pub(super) fn lay_over(root: &mut Value, mut overrides: Vec<Override<'_>>) -> Vec<Problem> {
    overrides.sort_by_cached_key(|one| one.steps.iter().map(|step| step_order(step)).collect::<Vec<_>>());
    overrides.into_iter().filter_map(|one| set(root, &one).err()).collect()
}

// Lists grow one by one, so 2 has to come before 10.
fn step_order(step: &str) -> (usize, String) {
    (step.parse().unwrap_or(usize::MAX), step.to_owned())
}

fn set(root: &mut Value, one: &Override<'_>) -> Result<(), Problem> {
    let mut place = root;
    for (depth, step) in one.steps.iter().enumerate() {
        let before = one.steps.get(..depth).unwrap_or_default().join(".");
        place = descend(place, step, &one.at).map_err(|(what, fix)| Problem {
            at: one.at.clone(),
            path: one.steps.join("."),
            what: if before.is_empty() { what.replace("{}", "the file") } else { what.replace("{}", &before) },
            fix: fix.to_owned(),
        })?;
    }
    *place = value(one.text, &one.at);
    Ok(())
}

type Refused = (&'static str, &'static str);

fn descend<'v>(place: &'v mut Value, step: &str, at: &Origin) -> Result<&'v mut Value, Refused> {
    let index = step.parse::<usize>().ok();
    if matches!(place.node, Node::Null) {
        place.node = if index.is_some() { Node::List(Vec::new()) } else { Node::Map(Vec::new()) };
        place.at = at.clone();
    }
    match (&mut place.node, index) {
        (Node::Map(entries), _) => Ok(entry(entries, step, at)),
        (Node::List(list), Some(index)) => item(list, index, at),
        (Node::List(_), None) => Err(("{} is a list", "Say which item: 0 is the first.")),
        _ => Err(("{} is not a map", "Mend it where it is set.")),
    }
}

fn entry<'v>(entries: &'v mut Vec<Entry>, key: &str, at: &Origin) -> &'v mut Value {
    let index = entries.iter().position(|entry| entry.key == key).unwrap_or(entries.len());
    if index == entries.len() {
        let value = Value { node: Node::Null, at: at.clone() };
        entries.push(Entry { key: key.to_owned(), key_at: at.clone(), value });
    }
    &mut entries[index].value
}

fn item<'v>(list: &'v mut Vec<Value>, index: usize, at: &Origin) -> Result<&'v mut Value, Refused> {
    if index == list.len() {
        list.push(Value { node: Node::Null, at: at.clone() });
    }
    list.get_mut(index).ok_or(("{} is shorter than that", "Count from 0 and leave no gap."))
}

fn value(text: &str, at: &Origin) -> Value {
    if text.starts_with(['[', '{'])
        && let Ok(value) = tree::parse(text, &Place::One(at), MAX_NODES)
    {
        return value;
    }
    Value { node: Node::Scalar(text.to_owned()), at: at.clone() }
}
