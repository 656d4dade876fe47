//! Which environment variables are settings: `TOLLGATE_PROXY__LISTEN` sets `proxy.listen`.
//!
//! Every name that begins with `TOLLGATE_` must be one, so that a misspelt one is noticed, with three exceptions: the
//! variables that the program reads for other ends, an empty variable (as good as none), and those that Kubernetes puts
//! into every pod beside a Service whose name begins with `tollgate`.

use super::layers::Override;
use super::problem::Origin;

pub(super) const PREFIX: &str = "TOLLGATE_";
/// Names the configuration file.
pub(super) const CONFIG: &str = "TOLLGATE_CONFIG";
/// Variables of the project's own make targets, tests and benches, which are exported around the program.
const FOREIGN: [&str; 3] = ["TOLLGATE_TEST_", "TOLLGATE_BENCH_", "TOLLGATE_CACHE"];

/// The settings among these variables.
pub(super) fn overrides(environment: &[(String, String)]) -> Vec<Override<'_>> {
    environment.iter().filter_map(|(name, value)| from_variable(name, value)).collect()
}

/// The variable that sets a path such as `upstreams[0].url`.
pub(super) fn variable_of(path: &str) -> String {
    let path = path.replace('[', ".").replace(']', "");
    format!("{PREFIX}{}", path.replace('.', "__").to_uppercase())
}

/// The value of a variable; an empty one counts as unset.
pub(super) fn lookup<'e>(environment: &'e [(String, String)], name: &str) -> Option<&'e str> {
    let (_, value) = environment.iter().rev().find(|(known, _)| known == name)?;
    (!value.is_empty()).then_some(value)
}

fn from_variable<'s>(name: &str, value: &'s str) -> Option<Override<'s>> {
    let rest = name.strip_prefix(PREFIX)?;
    if value.is_empty()
        || name == CONFIG
        || FOREIGN.iter().any(|foreign| name.starts_with(foreign))
        || is_service_link(rest, value)
    {
        return None;
    }
    let steps = rest.to_lowercase().split("__").map(str::to_owned).collect();
    Some(Override { steps, text: value, at: Origin::Environment(name.into()) })
}

// `TOLLGATE_SERVICE_HOST`, `TOLLGATE_SERVICE_PORT_OPS`, `TOLLGATE_PORT=tcp://…`, `TOLLGATE_PORT_4141_TCP_ADDR`;
// see "Discovering services" in the Kubernetes documentation.
fn is_service_link(rest: &str, value: &str) -> bool {
    let (Some(first), false) = (value.chars().next(), rest.contains("__")) else { return false };
    let url = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    rest.ends_with("SERVICE_HOST")
        || (rest.contains("SERVICE_PORT") && first.is_ascii_digit())
        || (url && (rest.ends_with("PORT") || rest.contains("PORT_")))
        || ["_TCP_", "_UDP_", "_SCTP_"].iter().any(|protocol| rest.contains(protocol) && rest.contains("PORT_"))
}

#[cfg(test)]
mod tests {
    use super::{overrides, variable_of};

    #[test]
    fn kubernetes_service_links_are_not_settings() {
        let names = [
            ("TOLLGATE_SERVICE_HOST", "10.0.0.1"),
            ("TOLLGATE_SERVICE_PORT", "4141"),
            ("TOLLGATE_SERVICE_PORT_OPS", "4142"),
            ("TOLLGATE_PORT", "tcp://10.0.0.1:4141"),
            ("TOLLGATE_PORT_4141_TCP", "tcp://10.0.0.1:4141"),
            ("TOLLGATE_PORT_4141_TCP_PROTO", "tcp"),
            ("TOLLGATE_CONTROL_PORT_4141_TCP_ADDR", "10.0.0.1"),
            ("TOLLGATE_CONFIG", "x.yaml"),
            ("TOLLGATE_TEST_KAFKA", "127.0.0.1:9092"),
            ("TOLLGATE_CACHE", "/var/cache/tollgate"),
            ("TOLLGATE_LOG__FILTER", ""),
        ];
        let environment: Vec<_> = names.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let found: Vec<_> = overrides(&environment).into_iter().map(|one| one.steps.join(".")).collect();
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_path_and_its_variable_name_each_other() {
        let environment = [(variable_of("upstreams[0].url"), "http://x".to_owned())];
        assert_eq!(environment[0].0, "TOLLGATE_UPSTREAMS__0__URL");
        assert_eq!(overrides(&environment)[0].steps, ["upstreams", "0", "url"]);
    }
}
