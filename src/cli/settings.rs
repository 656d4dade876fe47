//! The options that `serve`, `proxy` and `check` share: where the configuration comes from.

use std::path::PathBuf;

use clap::Args;

use crate::config::Sources;

/// Where the configuration comes from.
#[derive(Debug, Args)]
pub(super) struct Settings {
    /// Configuration file (YAML or JSON); `tollgate.yaml` when it exists
    #[arg(short, long, env = "TOLLGATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Send every call to this endpoint, with nothing else to configure
    #[arg(short, long, value_name = "URL")]
    upstream: Option<String>,
    /// Where clients connect [default: 127.0.0.1:4141]
    #[arg(short, long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where /livez, /readyz and /metrics are served [default: 127.0.0.1:4142]
    #[arg(long, value_name = "ADDRESS")]
    ops_listen: Option<String>,
    /// How logs look: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// What is logged: error, warn, info, debug, or a filter such as tollgate=debug [default: info]
    #[arg(long, value_name = "FILTER")]
    log_filter: Option<String>,
    /// Set any other setting by its path, such as `--set proxy.disconnect=drain`; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (path, value) = text.split_once('=').ok_or("write it as path=value, such as proxy.disconnect=drain")?;
    Ok((path.to_owned(), value.to_owned()))
}

impl Settings {
    /// The sources of the configuration, flags included.
    pub(super) fn sources(&self) -> Sources {
        let named = [
            ("upstream", &self.upstream),
            ("proxy.listen", &self.listen),
            ("ops.listen", &self.ops_listen),
            ("log.format", &self.log_format),
            ("log.filter", &self.log_filter),
        ];
        let named = named.into_iter().filter_map(|(path, text)| Some((path.to_owned(), text.clone()?)));
        Sources::from_process(self.config.clone(), self.set.iter().cloned().chain(named).collect())
    }
}
