//! What concerns the process as a whole: `ops:`, `log:`, `instance:` and `workload:`.

use tracing_subscriber::EnvFilter;

use super::field::quote;
use super::proxy::listen;
use super::section::Section;
use super::{Listen, Log, LogFormat, Workload, environment};

const OPS_PORT: u16 = 4142;
const MOST_INSTANCE_LETTERS: usize = 253;

pub(super) fn ops(mut section: Section<'_>) -> Listen {
    listen(section.take("listen"), OPS_PORT)
}

pub(super) fn log(mut section: Section<'_>) -> Log {
    let format = section.choice("format", &[("text", LogFormat::Text), ("json", LogFormat::Json)]);
    let filter = section.take("filter").and_then(|field| {
        let text = field.text()?;
        let valid = EnvFilter::builder().parse(text).is_ok();
        if !valid {
            field.problem(format!("{} is not a log filter", quote(text)), "Write it as info or tollgate=debug.");
        }
        valid.then(|| text.to_owned())
    });
    Log { format: format.unwrap_or(LogFormat::Text), filter: filter.unwrap_or_else(|| "info".to_owned()) }
}

/// The name of this process: as configured, or the host's.
pub(super) fn instance(root: &mut Section<'_>) -> String {
    let host = environment::lookup(root.context().environment, "HOSTNAME").filter(|host| is_name(host));
    let default = host.unwrap_or("local").to_owned();
    let Some(field) = root.take("instance") else { return default };
    let Some(text) = field.text() else { return default };
    if !is_name(text) {
        field.problem(
            format!("{} does not do as a part of a URL", quote(text)),
            "Use up to 253 letters, digits, '.', '_', '~' and '-'.",
        );
    }
    text.to_owned()
}

fn is_name(text: &str) -> bool {
    text.len() <= MOST_INSTANCE_LETTERS && text.chars().all(|c| c.is_ascii_alphanumeric() || "._~-".contains(c))
}

pub(super) fn workload(root: &mut Section<'_>) -> Option<Workload> {
    let mut section = root.take("workload")?.section();
    let mut text = |key| section.text(key).map(str::to_owned);
    Some(Workload {
        cluster: text("cluster"),
        namespace: text("namespace"),
        pod: text("pod"),
        node: text("node"),
        service_account: text("service_account"),
    })
}
