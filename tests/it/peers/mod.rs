//! The real programs that Tollgate works with: a Kafka broker, PostgreSQL, Redis, a llama.cpp server, the official clients and
//! tokenizers, promtool.
//!
//! `make peers` installs them; a test whose peer is missing fails and says so, it is never skipped. Everything here blocks
//! the calling thread: an async test that serves anything on its own runtime calls it through [`off_runtime`]. Why real
//! ones: a fake of ours shares our misunderstandings.

mod events;
#[cfg(feature = "control")]
mod examples;
mod kafka;
mod llama;
mod native;
#[cfg(feature = "control")]
mod postgres;
mod process;
mod program;
mod promtool;
#[cfg(feature = "redis")]
pub(crate) mod redis;
mod sdk;
mod tests;
mod tokenizers;

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

pub(crate) use events::{EventCheck, check_events};
#[cfg(feature = "control")]
pub(crate) use examples::play_examples;
pub(crate) use kafka::{KafkaPeer, Message};
pub(crate) use llama::LlamaPeer;
pub(crate) use native::{play_native, play_native_trusting};
#[cfg(feature = "control")]
pub(crate) use postgres::PostgresPeer;
pub(crate) use process::{Process, free_port, tied};
pub(crate) use program::{Program, audit, tollgate};
pub(crate) use promtool::check_metrics;
#[cfg(feature = "redis")]
pub(crate) use redis::RedisPeer;
pub(crate) use sdk::Sdk;
pub(crate) use tokenizers::{hugging_face_counts, official_counts};

/// No script of ours takes longer, even on a machine that also compiles; one that hangs is killed after this many seconds.
const SCRIPT_SECONDS: &str = "120";

/// Does blocking work without holding up the async test that asks for it.
pub(crate) async fn off_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the work panicked, see above")
}

/// A script or program of `tests/peers`.
///
/// The tree is that of the run, not of the build: two clones that share a target directory share this binary too.
fn script(name: &str) -> PathBuf {
    let tree = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&tree).join("tests/peers").join(name)
}

/// Something that `make peers` installed; the layout is that of `tests/peers/paths.sh`.
fn installed(name: &str) -> PathBuf {
    let cache = env::var_os("TOLLGATE_CACHE").map(PathBuf::from).filter(|path| !path.as_os_str().is_empty());
    let cache = cache.unwrap_or_else(|| Path::new(&env::var_os("HOME").expect("HOME is set")).join(".cache/tollgate"));
    let path = cache.join("peers").join(name);
    assert!(path.exists(), "a test peer is missing ({}): run `make peers`", path.display());
    path
}

/// A Python script of `tests/peers`, in the environment that holds its packages.
fn python(name: &str) -> Command {
    let mut command = limited(installed("python/bin/python"));
    command.arg(script(name));
    command
}

/// A program that is killed if it hangs.
fn limited(program: PathBuf) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=1", SCRIPT_SECONDS]).arg(program);
    command
}

/// Runs a script to its end with `input` on its standard input.
fn run(mut command: Command, input: &str) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?} does not start: {e}"));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    thread::scope(|scope| {
        // A script that ends before it has read all fails by its own exit code, not by our broken pipe.
        scope.spawn(move || stdin.write_all(input.as_bytes()));
        child.wait_with_output().expect("a started script can be waited for")
    })
}

/// What a script printed; the test fails with its error output if it failed.
fn printed(command: Command, input: &str) -> String {
    let shown = format!("{command:?}");
    let output = run(command, input);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown} failed ({}):\n{errors}", output.status);
    String::from_utf8(output.stdout).expect("scripts print UTF-8")
}
