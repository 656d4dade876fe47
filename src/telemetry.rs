//! Logs: one line per event on standard error, as text for people or as JSON for machines.
//!
//! Levels finer than `info` are ours alone. Libraries below us print what they carry at those levels (h2 prints header
//! fields), and no setting of the filter may bring a key into a log. Colours appear on a terminal only.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Registry, fmt};

use crate::config::{Log, LogFormat};

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("log.filter '{filter}' is not valid ({source}); use a level such as 'info', or 'tollgate=debug'")]
    Filter {
        /// As written.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Logging was set up before.
    #[error("logging is already set up in this process")]
    Twice(#[from] tracing::dispatcher::SetGlobalDefaultError),
}

/// Whether lines are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colour {
    Never,
    /// Unless `NO_COLOR` is set.
    Terminal,
}

/// Sends the logs of this process to standard error from now on. To be called once.
pub fn init(log: &Log) -> Result<(), TelemetryError> {
    let colour = if io::stderr().is_terminal() { Colour::Terminal } else { Colour::Never };
    let dispatch = dispatch(log, colour, io::stderr)?;
    Ok(tracing::dispatcher::set_global_default(dispatch)?)
}

fn dispatch<W>(log: &Log, colour: Colour, writer: W) -> Result<Dispatch, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(&log.filter)
        .map_err(|source| TelemetryError::Filter { filter: log.filter.clone(), source })?;
    let registry = Registry::default().with(filter).with(filter_fn(may_appear));
    // A closed standard error must not be reported on standard error.
    let lines = fmt::layer().with_writer(writer).log_internal_errors(false);
    let lines = if colour == Colour::Never { lines.with_ansi(false) } else { lines };
    Ok(match log.format {
        LogFormat::Text => Dispatch::new(registry.with(lines)),
        LogFormat::Json => Dispatch::new(registry.with(lines.json().flatten_event(true))),
    })
}

fn may_appear(metadata: &Metadata<'_>) -> bool {
    let ours = metadata.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"));
    ours || *metadata.level() <= LevelFilter::INFO
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sheet(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sheet {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: LogFormat, filter: &str) -> String {
        let sheet = Sheet::default();
        let log = Log { format, filter: filter.to_owned() };
        let writer = sheet.clone();
        let dispatch = dispatch(&log, Colour::Never, move || writer.clone()).unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::info!(lost = 3, "events were dropped");
            tracing::debug!("ours in detail");
            tracing::debug!(target: "h2::codec", "authorization: Bearer canary");
            tracing::info!(target: "rdkafka::client", "a broker is back");
        });
        let bytes = sheet.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_is_one_object_per_line_with_the_fields_beside_the_message() {
        let text = written(LogFormat::Json, "info");
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["message"], "events were dropped");
        assert_eq!(lines[0]["lost"], 3);
        assert_eq!(lines[0]["level"], "INFO");
    }

    #[test]
    fn text_without_a_terminal_has_no_escapes() {
        let text = written(LogFormat::Text, "info");
        assert!(text.contains("events were dropped lost=3"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn no_filter_opens_the_fine_levels_of_libraries() {
        let text = written(LogFormat::Text, "trace,h2::codec=trace");
        assert!(text.contains("ours in detail"), "{text}");
        assert!(text.contains("a broker is back"), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }

    #[test]
    fn a_bad_filter_is_named_with_its_remedy() {
        let log = Log { format: LogFormat::Text, filter: "tollgate=loud".to_owned() };
        let error = dispatch(&log, Colour::Never, io::stderr).unwrap_err().to_string();
        assert!(error.contains("tollgate=loud") && error.contains("tollgate=debug"), "{error}");
    }
}
