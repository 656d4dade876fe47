//! The example requests of the guard API's documentation, as its readers would run them.

use serde_json::Value;

use super::{printed, python};

/// Plays each example against this base URL, first without and then with an organization. Of each answer: `example`,
/// `status`, `content_type`, `text`.
pub(crate) fn play_examples(base_url: &str, (key, secret): (&str, &str), organization: &str) -> Vec<Value> {
    let mut command = python("guard_examples.py");
    command.args([base_url, key, secret, organization]);
    let lines = printed(command, "");
    lines.lines().map(|line| serde_json::from_str(line).expect("an answer is one line of JSON")).collect()
}
