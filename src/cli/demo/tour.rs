//! The tour itself: what is called, and what is shown of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::Instant;

use super::{Keys, client};
use crate::cli::line;
use crate::event::UsageEvent;

/// How long an event may take to its file.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where everything is.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) proxy: SocketAddr,
    pub(super) ops: SocketAddr,
    pub(super) model: SocketAddr,
    pub(super) folder: PathBuf,
}

impl Place {
    /// The file that events are written to.
    pub(super) fn events(&self) -> PathBuf {
        self.folder.join("usage.jsonl")
    }
}

/// Calls, shows, and says how to go on.
pub(super) async fn go(place: &Place, keys: &Keys) -> Result<()> {
    println!("tollgate {}  proxy http://{}  operations http://{}", env!("CARGO_PKG_VERSION"), place.proxy, place.ops);
    println!("built-in fake LLM http://{} (40 words a second), demo key {}\n", place.model, keys.demo);
    let calls = [
        ("a call", &*keys.demo, false, 200),
        ("a wrong key: refused, and no event, for nobody is known", "tg-no-such-key", false, 401),
        ("a key with a limit of one request a minute", &*keys.limited, false, 200),
        ("the same key again: refused, and an event says so", &*keys.limited, false, 429),
        ("a streamed call", &*keys.demo, true, 200),
    ];
    let mut seen = 0;
    let mut last = None;
    for (what, key, stream, expected) in calls {
        let answer = client::chat(place.proxy, key, stream).await.with_context(|| format!("{what} failed"))?;
        if answer.status != expected {
            bail!("{what}: expected status {expected}, got {}: {}", answer.status, answer.body);
        }
        println!("- {what}");
        if expected == 401 {
            println!("  {} {}", answer.status, answer.body.trim());
            continue;
        }
        seen += 1;
        let event = event(&place.events(), seen).await?;
        println!("  {}", line::of(&event));
        last = Some(event);
    }
    let event = serde_json::to_string_pretty(&last)?;
    println!("\nThe last event, as it would stand in Kafka:\n{event}\n");
    farewell(place, keys);
    Ok(())
}

fn farewell(place: &Place, keys: &Keys) {
    println!("Events:  {}", place.events().display());
    println!("Metrics: http://{}/metrics\n", place.ops);
    println!("Try it yourself:\n");
    println!("  export OPENAI_BASE_URL=http://{}/v1", place.proxy);
    println!("  export OPENAI_API_KEY={}", keys.demo);
    println!(
        "  curl -N $OPENAI_BASE_URL/chat/completions -H \"authorization: Bearer $OPENAI_API_KEY\" -H 'content-type: application/json' -d '{{\"model\":\"demo\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}'\n"
    );
}

/// The event on this line of the file, once it is there.
async fn event(file: &Path, number: usize) -> Result<UsageEvent> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = tokio::fs::read_to_string(file).await.unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        if let Some(line) = whole.lines().nth(number - 1) {
            return serde_json::from_str(line).context("an event could not be read");
        }
        if Instant::now() > deadline {
            bail!("event {number} did not arrive in {}", file.display());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Shows every further event as one line, until it fails.
pub(super) async fn follow(file: &Path) -> Result<()> {
    println!("Every request shows here as one line. Ctrl-C ends the demo.\n");
    let mut lines = BufReader::new(tokio::fs::File::open(file).await?);
    let mut shown = 0;
    let mut text = String::new();
    let known = tokio::fs::read_to_string(file).await?.lines().count();
    loop {
        let read = lines.read_line(&mut text).await?;
        if read == 0 || !text.ends_with('\n') {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        shown += 1;
        if shown > known {
            println!("  {}", line::of(&serde_json::from_str(&text)?));
        }
        text.clear();
    }
}
