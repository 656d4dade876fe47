//! Usage events as a receiver would check them: a JSON Schema validator and the CloudEvents library, both not ours.

use std::path::Path;

use serde::Deserialize;

use super::{python, run};

/// What the check found.
#[derive(Debug, Deserialize)]
pub(crate) struct EventCheck {
    pub(crate) events: usize,
    pub(crate) valid: usize,
    pub(crate) invalid: usize,
    /// Different pairs of `source` and `id` among the valid events.
    pub(crate) distinct_ids: usize,
    /// The first ten faults, each with its line.
    pub(crate) faults: Vec<String>,
}

/// Checks events, one per line, against the schema of a whole event.
pub(crate) fn check_events(schema: &Path, lines: &str) -> EventCheck {
    let mut command = python("check_events.py");
    command.arg(schema);
    let output = run(command, lines);
    let report = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&report).unwrap_or_else(|e| {
        panic!("check_events.py printed no report ({e}): {report}{}", String::from_utf8_lossy(&output.stderr))
    })
}
