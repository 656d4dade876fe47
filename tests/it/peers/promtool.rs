//! Prometheus' own judgement of `/metrics`.

use super::{installed, limited, run};

/// Parses a metrics page and checks names, types and help texts; the error is promtool's list of faults.
pub(crate) fn check_metrics(page: &str) -> Result<(), String> {
    let mut command = limited(installed("promtool"));
    command.args(["check", "metrics"]);
    let output = run(command, page);
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
