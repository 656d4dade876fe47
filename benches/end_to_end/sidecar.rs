//! Tollgate with everything on: keys, limits that are never reached, prices, metering, the spool, one sink.
//!
//! The configuration is written anew for every start, with a spool of its own. Nothing of the caller's environment is
//! handed down.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;
use tollgate::types::Digest;

use crate::kafka::Topic;
use crate::payload::KEY;
use crate::peer::Surroundings;
use crate::process::{Core, Process, free_address};

const LIMITS: &str =
    "{ requests_per_minute: 4000000000, tokens_per_minute: 1000000000000000, concurrent_requests: 1000000 }";

/// Where events go.
#[derive(Debug)]
pub(crate) enum SinkChoice<'a> {
    /// A file of JSON lines.
    File(&'a Path),
    /// Kafka.
    Kafka(&'a Topic),
}

/// Starts the program with one worker thread, as the floor has.
pub(crate) fn start(around: &Surroundings<'_>, listen: SocketAddr, sink: &SinkChoice<'_>) -> Result<Process> {
    let directory = around.directory;
    let config = directory.join("tollgate.yaml");
    fs::write(&config, configuration(around, listen, sink)?)?;
    fs::write(directory.join("keys.yaml"), keys())?;
    fs::write(directory.join("credential"), "sk-upstream-0123456789")?;
    fs::write(
        directory.join("prices.yaml"),
        "version: 2026-11-01\nmodels:\n  - { model: \"bench-*\", input: 2.5, output: 10 }\n",
    )?;
    let mut command = around.command(around.binary);
    command.arg("serve").arg("--config").arg(&config).current_dir(directory);
    command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("TOKIO_WORKER_THREADS", "1")
        .stdout(std::process::Stdio::null());
    Process::start(&mut command, Core::Proxy, &directory.join("tollgate.err"))
}

fn configuration(around: &Surroundings<'_>, listen: SocketAddr, sink: &SinkChoice<'_>) -> Result<String> {
    let (directory, upstream, ops) = (around.directory.display(), around.upstream, free_address()?);
    let sink = match sink {
        SinkChoice::File(path) => format!("file: {{ path: {} }}", path.display()),
        SinkChoice::Kafka(topic) => format!("kafka: {{ brokers: \"{}\", topic: {} }}", topic.brokers, topic.name),
    };
    Ok(format!(
        r#"proxy: {{ listen: "{listen}" }}
ops: {{ listen: "{ops}" }}
log: {{ filter: warn }}
upstreams:
  - name: bench
    url: http://{upstream}
    credential: {{ file: {directory}/credential }}
guard:
  mode: keys
  keys: {{ file: {directory}/keys.yaml }}
limits:
  requests_per_minute: 4000000000
  tokens_per_minute: 1000000000000000
  concurrent_requests: 1000000
  organization: {LIMITS}
  overall: {LIMITS}
prices: {directory}/prices.yaml
events:
  spool: {{ dir: {directory}/spool, max_bytes: 4294967296, when_full: reject, sync: process }}
  {sink}
"#
    ))
}

fn keys() -> String {
    let digest = Digest::of(KEY.as_bytes()).to_hex();
    format!(
        r#"- id: bench
  key: {{ sha256: {digest} }}
  organizations: [org_bench]
  group: load
  models: ["bench-*"]
  limits: {LIMITS}
"#
    )
}
