//! The official clients of other formats than OpenAI's, as an application would use them.

use std::path::Path;

use serde_json::Value;

use super::{installed, limited, printed, script};

/// Plays scenarios with a script of `tests/peers/sdks` and yields what the application saw of each, in order.
///
/// `base_url` has no version at its end. Always in an answer: `ok`, `sdk`, `scenario`, `seconds`; if not `ok`: `error` with
/// `class`, `status` and `message`; else what the scenario says, in the words of the scripts.
pub(crate) fn play_native(name: &str, base_url: &str, scenarios: &[&str]) -> Vec<Value> {
    play_native_trusting(name, (base_url, None), scenarios)
}

/// As [`play_native`], for a base URL of `https` whose certificate is signed by the one in this file.
pub(crate) fn play_native_trusting(
    name: &str,
    (base_url, ca): (&str, Option<&Path>),
    scenarios: &[&str],
) -> Vec<Value> {
    let mut command = limited(installed("sdks/bin/python"));
    command.arg(script("sdks").join(name)).args(scenarios);
    command.env("BASE_URL", base_url).env("KEY", "sk-good");
    command.envs(ca.map(|ca| ("CA", ca)));
    let lines = printed(command, "");
    let seen: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("a scenario prints one line of JSON")).collect();
    assert_eq!(seen.len(), scenarios.len(), "{lines}");
    seen
}
