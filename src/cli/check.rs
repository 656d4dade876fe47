//! `tollgate check`: is everything in place? One line per thing looked at, and one remedy per failure.
//!
//! Looks only: no topic is created, no message sent, no model asked. A database of an older schema is brought up to date.

use std::time::Duration;

use anyhow::Result;

use super::{End, settings::Settings};
use crate::config::{self, Config, Loaded, Vocabulary};
use crate::guard::probe_store;
use crate::listener::Listener;
use crate::meter::count;
use crate::sink::http::probe;
use crate::upstream::Upstreams;

/// How long each thing may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was found of one thing.
struct Finding {
    what: String,
    /// What to do, when it is not as it should be.
    remedy: Option<String>,
    fails: bool,
}

impl Finding {
    fn good(what: String) -> Self {
        Self { what, remedy: None, fails: false }
    }

    fn bad(what: String, remedy: impl Into<String>) -> Self {
        Self { what, remedy: Some(remedy.into()), fails: true }
    }
}

pub(super) fn run(settings: &Settings) -> Result<End> {
    let loaded = match config::load(&settings.sources()) {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprintln!("{problems}");
            return Ok(End::Wrong);
        }
    };
    let Loaded { config, warnings, .. } = loaded;
    for warning in &warnings {
        println!("warn  {warning}");
    }
    println!("ok    the configuration has no problems");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut findings = runtime.block_on(listening(&config));
    findings.extend(runtime.block_on(upstreams(&config)));
    findings.extend(tokenizers(&config));
    findings.extend(spool(&config));
    findings.extend(kafka(&config));
    findings.extend(runtime.block_on(receivers(&config)));
    findings.extend(runtime.block_on(database(&config)));
    findings.extend(runtime.block_on(limit_store(&config)));
    let failed = findings.iter().filter(|finding| finding.fails).count();
    for finding in &findings {
        show(finding);
    }
    match failed {
        0 => println!("everything is in place"),
        1 => println!("1 problem"),
        _ => println!("{failed} problems"),
    }
    Ok(if failed == 0 { End::Done } else { End::Failed })
}

fn show(finding: &Finding) {
    let word = if finding.fails { "FAIL" } else { "ok  " };
    println!("{word}  {}", finding.what);
    if let Some(remedy) = &finding.remedy {
        println!("      remedy: {remedy}");
    }
}

/// The addresses and the certificates. An address in use may be a Tollgate that runs already.
async fn listening(config: &Config) -> Vec<Finding> {
    let proxy = match Listener::bind(&config.proxy).await {
        Ok(_) => Finding::good(format!("{} is free to listen on", config.proxy.listen.address)),
        Err(error) => Finding::bad(
            format!("the proxy cannot listen: {error}"),
            "if a Tollgate runs there already, all is well; otherwise change proxy.listen or proxy.tls",
        ),
    };
    let ops = match tokio::net::TcpListener::bind(config.ops.address).await {
        Ok(_) => Finding::good(format!("{} is free for operations", config.ops.address)),
        Err(error) => Finding::bad(
            format!("{} cannot be listened on: {error}", config.ops.address),
            "if a Tollgate runs there already, all is well; otherwise change ops.listen",
        ),
    };
    vec![proxy, ops]
}

/// Whether each upstream accepts a connection, TLS included.
async fn upstreams(config: &Config) -> Vec<Finding> {
    let targets = match Upstreams::new(&config.upstreams) {
        Ok(targets) => targets,
        Err(error) => return vec![Finding::bad(error.to_string(), "correct upstreams: in the configuration")],
    };
    let mut findings = Vec::new();
    for target in targets.all() {
        let place = format!("upstream {} at {}", target.name, target.host);
        findings.push(match tokio::time::timeout(PATIENCE, target.probe()).await {
            Ok(Ok(())) => Finding::good(format!("{place} can be reached")),
            Ok(Err(failure)) => Finding::bad(
                format!("{place} cannot be reached: {}", failure.code()),
                "check the url, DNS, firewalls and, for TLS, SSL_CERT_FILE",
            ),
            Err(_) => Finding::bad(
                format!("{place} did not accept a connection within {PATIENCE:?}"),
                "check the url and firewalls",
            ),
        });
    }
    findings
}

/// Whether each tokenizer that the configuration names can be used.
fn tokenizers(config: &Config) -> Vec<Finding> {
    let files = config.tokenizers.iter().filter_map(|row| match &row.vocabulary {
        Vocabulary::File(path) => Some(path),
        Vocabulary::BuiltIn(_) => None,
    });
    let finding = |path: &std::sync::Arc<std::path::Path>| match count::check_file(path) {
        Ok(()) => Finding::good(format!("the tokenizer {} can be used", path.display())),
        Err(error) => Finding::bad(
            format!("the tokenizer {} cannot be used: {error}", path.display()),
            "name a tokenizer.json as Hugging Face's libraries save it; until then its models' counts are estimates",
        ),
    };
    files.map(finding).collect()
}

/// Whether the spool's directory can be written.
fn spool(config: &Config) -> Vec<Finding> {
    let dir = &config.events.spool.dir;
    let remedy = "make the directory, or let this user write to it, or change events.spool.dir";
    let trial = dir.join(".check");
    let written = std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::write(&trial, b""))
        .and_then(|()| std::fs::remove_file(&trial));
    vec![match written {
        Ok(()) => Finding::good(format!("the spool can be written in {}", dir.display())),
        Err(error) => Finding::bad(format!("the spool cannot be written in {}: {error}", dir.display()), remedy),
    }]
}

/// Whether each receiver of events accepts a connection, TLS included. Nothing is posted.
async fn receivers(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for receiver in &config.events.http {
        let place = format!("receiver {} at {}", receiver.name, receiver.url);
        findings.push(match tokio::time::timeout(PATIENCE, probe(receiver)).await {
            Ok(Ok(())) => Finding::good(format!("{place} can be reached")),
            Ok(Err(error)) => Finding::bad(
                format!("{place} cannot be reached: {error}"),
                "check its url, DNS, firewalls and, for TLS, SSL_CERT_FILE; events wait in the spool until then",
            ),
            Err(_) => Finding::bad(
                format!("{place} did not accept a connection within {PATIENCE:?}"),
                "check its url and firewalls; events wait in the spool until then",
            ),
        });
    }
    findings
}

/// Whether the store through which limits are shared can be used.
async fn limit_store(config: &Config) -> Vec<Finding> {
    let Some(settings) = &config.shared_limits else { return Vec::new() };
    let place = format!("the store of limits at {}:{}", settings.host, settings.port);
    vec![match probe_store(settings).await {
        Ok(()) => Finding::good(format!("{place} can be used")),
        Err(error) => Finding::bad(
            format!("{place} cannot be used: {error}"),
            "check limits.shared: url, username, password, firewalls and, for TLS, SSL_CERT_FILE; its user must be allowed EVAL, EVALSHA and keys under the prefix",
        ),
    }]
}

/// Whether the control plane's database can be used; one that is a file and does not exist yet is not made.
#[cfg(feature = "control")]
async fn database(config: &Config) -> Option<Finding> {
    use crate::config::Database;
    use crate::control::store::Store;
    let control = config.control.as_ref()?;
    if let Database::Sqlite(path) = &control.database
        && !path.exists()
    {
        return Some(Finding::good(format!("the database {} will be made at the start", path.display())));
    }
    Some(match tokio::time::timeout(PATIENCE, Store::open(&control.database)).await {
        Ok(Ok(store)) => {
            let good = Finding::good(format!("the control plane's database can be used: {}", store.name()));
            store.close().await;
            good
        }
        Ok(Err(error)) => Finding::bad(error.to_string(), "check control.database, and that this user may use it"),
        Err(_) => Finding::bad(
            format!("the control plane's database did not answer within {PATIENCE:?}"),
            "check control.database and firewalls",
        ),
    })
}

#[cfg(not(feature = "control"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
async fn database(config: &Config) -> Option<Finding> {
    let what = "control is configured, but this build has no control plane";
    config.control.as_ref().map(|_| Finding::bad(what.to_owned(), "build with the feature `control`"))
}

#[cfg(feature = "kafka")]
fn kafka(config: &Config) -> Vec<Finding> {
    use crate::sink::kafka::{Level, check};
    let Some(kafka) = &config.events.kafka else { return Vec::new() };
    let findings = check(kafka, PATIENCE).into_iter();
    findings
        .map(|found| Finding { what: found.what, remedy: found.remedy, fails: found.level == Level::Failed })
        .collect()
}

#[cfg(not(feature = "kafka"))]
fn kafka(config: &Config) -> Vec<Finding> {
    let configured = config.events.kafka.as_ref();
    let finding = |_| {
        Finding::bad(
            "events.kafka is configured, but this build has no Kafka".to_owned(),
            "build with the feature `kafka`",
        )
    };
    configured.map(finding).into_iter().collect()
}
