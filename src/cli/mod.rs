//! The command line: one file per subcommand, exit codes decided here.
//!
//! 0 done, 1 failed, 2 wrong usage or configuration.

mod audit;
mod check;
mod completions;
mod demo;
mod keys;
mod line;
#[cfg(feature = "control")]
mod models;
#[cfg(feature = "control")]
mod orgs;
mod serve;
mod settings;
#[cfg(feature = "control")]
mod store;
#[cfg(feature = "control")]
mod stored_keys;
#[cfg(feature = "control")]
mod table;
#[cfg(feature = "control")]
mod usage;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app::Role;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Everything was done.
    Done,
    /// Something failed.
    Failed,
    /// The command or the configuration is wrong.
    Wrong,
}

/// Guards, meters and records every LLM call that passes.
///
/// Tollgate stands in front of any LLM endpoint: it checks who calls, holds callers to their limits, streams answers
/// through untouched, counts tokens and time, and publishes exactly one usage event per request to Kafka or a file.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  tollgate demo                                    a tour with a built-in fake LLM, nothing to configure
  tollgate serve --upstream https://api.openai.com  meter every call, then: export OPENAI_BASE_URL=http://127.0.0.1:4141/v1
  tollgate serve --config tollgate.yaml            with keys, limits, Kafka
  tollgate check --config tollgate.yaml            is everything in place? one remedy per failure
  tollgate keys create --id acme-ci --file keys.yaml
  tollgate usage --since 2026-11-01 --by org       who spent what, from the control plane's ledger
  tollgate audit --file data/usage.jsonl           is any event missing? also of a topic or a spool

Every setting can also come from the environment: TOLLGATE_PROXY__LISTEN sets proxy.listen.
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy, with the control plane where one is configured
    Serve(settings::Settings),
    /// Run the proxy only
    Proxy(settings::Settings),
    /// Run the control plane only: the guard API on its database
    Control(settings::Settings),
    /// A self-contained tour: fake LLM, a key, real calls, lines to paste
    Demo(demo::Options),
    /// Check configuration, upstreams, Kafka, certificates: one remedy per failure
    Check(settings::Settings),
    /// Make, hash and validate keys; list and change those of the control plane
    Keys(keys::Options),
    /// Make, list and charge organizations of the control plane
    #[cfg(feature = "control")]
    Orgs(orgs::Options),
    /// List models of the control plane and set their prices
    #[cfg(feature = "control")]
    Models(models::Options),
    /// Who spent what: the ledger's totals by key, organization, model, day
    #[cfg(feature = "control")]
    Usage(usage::Options),
    /// Prove that no event is missing, from a topic, a file or a spool
    Audit(audit::Options),
    /// Print a shell completion script
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

/// Parses, dispatches, and says how it went.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            drop(error.print());
            return if error.use_stderr() { End::Wrong.into() } else { End::Done.into() };
        }
    };
    let end = match arguments.command {
        Command::Serve(settings) => serve::run(Role::Serve, &settings),
        Command::Proxy(settings) => serve::run(Role::Proxy, &settings),
        Command::Control(settings) => serve::run(Role::Control, &settings),
        Command::Demo(options) => demo::run(&options),
        Command::Check(settings) => check::run(&settings),
        Command::Keys(options) => keys::run(&options),
        #[cfg(feature = "control")]
        Command::Orgs(options) => orgs::run(&options),
        #[cfg(feature = "control")]
        Command::Models(options) => models::run(&options),
        #[cfg(feature = "control")]
        Command::Usage(options) => usage::run(&options),
        Command::Audit(options) => audit::run(&options),
        Command::Completions { shell } => Ok(completions::run(shell)),
    };
    end.unwrap_or_else(|error| {
        eprintln!("tollgate: {error:#}");
        End::Failed
    })
    .into()
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        Self::from(match end {
            End::Done => 0,
            End::Failed => 1,
            End::Wrong => 2,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
