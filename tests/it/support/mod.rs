//! What the tests stand on: a running Tollgate in a world of its own, an upstream that does exactly what a script says,
//! and a client that can leave when it likes.

pub(crate) mod client;
pub(crate) mod frames;
pub(crate) mod mock;
pub(crate) mod world;

pub(crate) use client::{Client, Got};
pub(crate) use frames::{aws_event, aws_exception};
pub(crate) use mock::{Asked, Mock, Reply};
pub(crate) use world::World;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// No fact in these tests takes longer than this to become true.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until a fact is true; fails the test when it does not become so.
pub(crate) async fn eventually<T>(what: &str, mut fact: impl FnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(value) = fact() {
            return value;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what} did not become true within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// As [`eventually`], of a fact that is asked for.
pub(crate) async fn until(what: &str, fact: impl AsyncFnMut() -> bool) {
    until_within(PATIENCE, what, fact).await;
}

/// As [`until`], of a fact that takes longer than others.
pub(crate) async fn until_within(patience: Duration, what: &str, mut fact: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + patience;
    while !fact().await {
        assert!(tokio::time::Instant::now() < deadline, "{what} did not become true within {patience:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Copies a folder as it is, such as a spool at the moment of a crash.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Takes every setting out of a program's environment: what is exported around a test run is not meant for it.
pub(crate) fn unset(program: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TOLLGATE_")) {
        program.env_remove(name);
    }
    program
}

/// A chat request.
pub(crate) fn chat(stream: bool) -> String {
    format!(r#"{{"model":"demo","stream":{stream},"messages":[{{"role":"user","content":"hello there"}}]}}"#)
}
