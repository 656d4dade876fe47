//! Puts the sources together and reads the whole: flags over environment over file over defaults.
//!
//! Loading is a function of its sources and the files that they name. It changes nothing, so that a bad file can be
//! refused whole while the old configuration stays in use.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::context::{Context, NoDocument};
use super::field::Field;
use super::layers::{Override, lay_over};
use super::problem::{Origin, Problem, Problems};
use super::tree::{Node, Value};
use super::{
    Config, GuardMode, control, environment, events, guard, limits, prices, process, proxy, tokenizers, upstreams,
};

const DEFAULT_FILE: &str = "tollgate.yaml";

/// Where a configuration comes from.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file, as given on the command line. Otherwise `TOLLGATE_CONFIG` names it, and otherwise it is
    /// `tollgate.yaml` in `directory`, if there is one.
    pub file: Option<PathBuf>,
    /// All environment variables: those that are settings, and those that hold secrets.
    pub environment: Vec<(String, String)>,
    /// Overrides: a path such as `proxy.listen`, and a text.
    pub flags: Vec<(String, String)>,
    /// The working directory; empty means the process's own.
    pub directory: PathBuf,
}

impl Sources {
    /// The sources of this process.
    pub fn from_process(config: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        // A variable that is not text fails where it is read, not here.
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        Self { file: config, environment, flags, directory: PathBuf::new() }
    }

    fn file(&self) -> Option<PathBuf> {
        let named = environment::lookup(&self.environment, environment::CONFIG).map(PathBuf::from);
        let default = self.directory.join(DEFAULT_FILE);
        let named = self.file.clone().or(named).map(|path| self.directory.join(path));
        named.or_else(|| default.exists().then_some(default))
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The environment holds secrets, and a flag may.
        let flags: Vec<&String> = self.flags.iter().map(|(path, _)| path).collect();
        f.debug_struct("Sources").field("file", &self.file).field("flags", &flags).finish_non_exhaustive()
    }
}

/// A configuration that holds.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Problem>,
    /// Every file that was read: configuration, keys, prices, certificates, secrets.
    pub watched: Vec<PathBuf>,
}

/// Reads the configuration, or says all that is wrong with it.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    let mut context = Context::new(&sources.environment, &sources.directory);
    let mut root = Value { node: Node::Null, at: Origin::Unset };
    if let Some(path) = sources.file() {
        path.parent().unwrap_or(Path::new("")).clone_into(&mut context.base);
        match context.document(&path) {
            Ok(value) => root = value,
            Err(error) => return Err(without_file(context, &path, error)),
        }
    }
    let flags = || sources.flags.iter().map(|(path, text)| Override::from_flag(path, text));
    for problem in lay_over(&mut root, environment::overrides(&sources.environment)) {
        context.problem(problem);
    }
    for problem in lay_over(&mut root, flags().collect()) {
        context.problem(problem);
    }
    let config = read(Field { value: &root, path: String::new(), context: &context });
    let (warnings, watched) = context.finish()?;
    Ok(Loaded { config, warnings, watched })
}

// Without the file most else that could be said would be wrong.
fn without_file(context: Context<'_>, path: &Path, error: NoDocument) -> Problems {
    let watched = context.finish().map(|(_, watched)| watched).unwrap_or_default();
    Problems::new(vec![error.into_problem(path)], watched)
}

fn read(whole: Field<'_>) -> Config {
    let mut root = whole.section();
    let proxy = proxy::read(root.section("proxy"));
    let control = control::read(&mut root);
    let (limits, shared_limits) = limits::read(root.section("limits"));
    let config = Config {
        upstreams: upstreams::read(&mut root, proxy.disconnect, control.as_ref()),
        proxy,
        guard: guard::read(root.section("guard"), control.as_ref()),
        limits,
        shared_limits,
        prices: Arc::new(prices::read(&mut root)),
        tokenizers: tokenizers::read(&mut root),
        events: events::read(root.section("events")),
        control,
        ops: process::ops(root.section("ops")),
        log: process::log(root.section("log")),
        instance: process::instance(&mut root),
        workload: process::workload(&mut root),
    };
    compare(&config, &root);
    config
}

/// What only several sections together show.
fn compare(config: &Config, root: &super::section::Section<'_>) {
    let Config { proxy, ops, guard, .. } = config;
    if proxy.listen == *ops && ops.address.port() != 0 {
        root.problem("proxy.listen and ops.listen are the same address", "Give one of them another port.");
    }
    let open = matches!(guard.mode, GuardMode::Open);
    if open && proxy.tls.is_none() && !proxy.listen.address.ip().is_loopback() {
        root.warn(
            format!("everyone who reaches {} may call, without a key and in plain text", proxy.listen.address),
            "Listen on 127.0.0.1, or set guard.mode to keys and proxy.tls.",
        );
    }
    for upstream in config.upstreams.iter().filter(|upstream| !open && upstream.credential.is_none()) {
        root.warn(
            format!(
                "the upstream '{}' is called without a credential, because a client's key stays here",
                upstream.name
            ),
            "Give it a 'credential', unless it needs none.",
        );
    }
}

/// For the fuzz target: reads a text as a configuration, in a folder that does not exist.
#[cfg(fuzzing)]
pub fn fuzz(text: &str) {
    let directory = Path::new("/nonexistent/folder");
    let context = Context::new(&[], directory);
    if let Ok(value) = Context::parsed(text, &directory.join("tollgate.yaml")) {
        read(Field { value: &value, path: String::new(), context: &context });
    }
    drop(context.finish());
}
