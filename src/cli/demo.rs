//! `tollgate demo`: a tour with nothing to configure.
//!
//! Starts a built-in fake LLM and a real Tollgate on embedded defaults, makes a key, sends a few real calls through it,
//! shows one line per request and the event of the last one, and then keeps running to be played with.

mod client;
mod model;
mod tour;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use super::{End, keys};
use crate::app::App;
use crate::config::{self, Sources};
use crate::types::Digest;
use crate::{shutdown, telemetry};

/// How the tour goes.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// End after the tour instead of running on until Ctrl-C
    #[arg(long)]
    once: bool,
    /// Where clients connect [default: 127.0.0.1:4141, or a free port when that is taken]
    #[arg(short, long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where /livez, /readyz and /metrics are served [default: 127.0.0.1:4142, or a free port when that is taken]
    #[arg(long, value_name = "ADDRESS")]
    ops_listen: Option<SocketAddr>,
    /// Keep events here [default: a new folder for temporary files]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

/// How far the tour came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Toured {
    /// To its end.
    Whole,
    /// To a signal.
    Stopped,
}

/// The keys that the tour made.
#[derive(Debug)]
struct Keys {
    /// May call as it likes.
    demo: String,
    /// May call once a minute.
    limited: String,
}

pub(super) fn run(options: &Options) -> Result<End> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(start(options))
}

async fn start(options: &Options) -> Result<End> {
    let folder = folder(options)?;
    let keys = Keys { demo: keys::make()?, limited: keys::make()? };
    let (model, listener) = model::bind().await?;
    let serving = tokio::spawn(model::serve(listener));
    let listen = [free(options.listen, 4141).await?, free(options.ops_listen, 4142).await?];
    let sources = Sources {
        file: Some(configure(&folder, &keys, model, listen)?),
        directory: folder.clone(),
        ..Sources::default()
    };
    let loaded = config::load(&sources)
        .map_err(|problems| anyhow::anyhow!("the demo's own configuration is wrong:\n{problems}"))?;
    telemetry::init(&loaded.config.log)?;
    let app = App::start(loaded, sources).await?;
    let place = tour::Place { proxy: app.address(), ops: app.ops_address(), model, folder };
    let mut signals = shutdown::Signals::listen()?;
    let toured = tokio::select! {
        toured = tour::go(&place, &keys) => toured.map(|()| Toured::Whole),
        () = signals.next() => Ok(Toured::Stopped),
    };
    if matches!(toured, Ok(Toured::Whole)) && !options.once {
        let events = place.events();
        tokio::select! {
            () = signals.next() => {}
            followed = tour::follow(&events) => followed?,
        }
        println!("\nstopping: running streams may finish; Ctrl-C again cuts them");
    }
    app.stop_unless(signals.next()).await?;
    serving.abort();
    toured.map(|_| End::Done)
}

fn folder(options: &Options) -> Result<PathBuf> {
    let named = || std::env::temp_dir().join(format!("tollgate-demo-{}", std::process::id()));
    let folder = options.data.clone().unwrap_or_else(named);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("{} cannot be made; choose another with --data", folder.display()))?;
    folder.canonicalize().context("the demo's folder has gone")
}

/// The address asked for, else the usual port, else any free one: a demo should not fail for a busy port.
async fn free(asked: Option<SocketAddr>, usual: u16) -> Result<SocketAddr> {
    if let Some(asked) = asked {
        return Ok(asked);
    }
    let usual = SocketAddr::from(([127, 0, 0, 1], usual));
    let port = if tokio::net::TcpListener::bind(usual).await.is_ok() { usual.port() } else { 0 };
    Ok(SocketAddr::from(([127, 0, 0, 1], port)))
}

fn configure(folder: &Path, keys: &Keys, model: SocketAddr, listen: [SocketAddr; 2]) -> Result<PathBuf> {
    let digest = |key: &str| Digest::of(key.as_bytes()).to_hex();
    let records = format!(
        "- id: demo\n  key: {{ sha256: {} }}\n  organizations: [org_demo]\n- id: limited\n  key: {{ sha256: {} }}\n  limits: {{ requests_per_minute: 1 }}\n",
        digest(&keys.demo),
        digest(&keys.limited),
    );
    let [proxy, ops] = listen;
    let configuration = format!(
        "proxy: {{ listen: \"{proxy}\" }}\nops: {{ listen: \"{ops}\" }}\n\
         upstreams:\n- name: demo\n  url: http://{model}\n  credential: {{ value: demo-upstream-key }}\n\
         guard: {{ mode: keys, keys: {{ file: keys.yaml }} }}\n\
         events:\n  spool: {{ dir: spool }}\n  file: {{ path: usage.jsonl }}\n\
         log: {{ filter: error }}\n"
    );
    std::fs::write(folder.join("keys.yaml"), records)?;
    let file = folder.join("tollgate.yaml");
    std::fs::write(&file, configuration)?;
    Ok(file)
}
