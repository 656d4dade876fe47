//! A running Tollgate with a folder, a configuration and a file of events of its own.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;
use tollgate::app::App;
use tollgate::config::{self, Sources};

use super::{Client, Mock, eventually};

/// A keys file with one key that may do everything: `sk-good`.
pub(crate) const KEYS: &str = "- id: good\n  key: sk-good\n  organizations: [org_a, org_b]\n  group: research\n";

/// The world.
pub(crate) struct World {
    app: Option<App>,
    pub(crate) address: SocketAddr,
    pub(crate) ops: SocketAddr,
    pub(crate) dir: TempDir,
}

/// How a world is made.
pub(crate) struct Builder {
    upstream: String,
    credential: &'static str,
    upstream_extra: String,
    keys: Option<String>,
    extra: String,
    dir: TempDir,
}

impl World {
    /// A world in front of this upstream: mode `open`, spool and file sink, no limits.
    pub(crate) fn before(upstream: &Mock) -> Builder {
        Self::before_url(&upstream.url())
    }

    /// As [`World::before`], for an upstream that is no mock.
    pub(crate) fn before_url(upstream: &str) -> Builder {
        Builder {
            upstream: upstream.to_owned(),
            credential: "  credential: { value: sk-upstream }\n",
            upstream_extra: String::new(),
            keys: None,
            extra: String::new(),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Posts a chat over a connection of its own.
    pub(crate) async fn chat(&self, key: Option<&str>, body: &str) -> super::Got {
        self.client().await.post("/v1/chat/completions", key, body.to_owned()).await
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("usage.jsonl")
    }

    /// The events so far.
    pub(crate) fn read(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.file()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("an event is a line of JSON")).collect()
    }

    /// Waits for this many events.
    pub(crate) async fn events(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} events"), || Some(self.read()).filter(|events| events.len() >= count)).await
    }

    /// The text of `/metrics`.
    pub(crate) async fn metrics(&self) -> String {
        Client::connect(self.ops).await.get("/metrics").await.text().await
    }

    /// The value of one metric line, in whole numbers; 0 when it is not there.
    pub(crate) async fn metric(&self, line: &str) -> u64 {
        let text = self.metrics().await;
        let found = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        found.map_or(0, |value| value.parse::<f64>().unwrap() as u64)
    }

    /// How many unfinished events a spool holds, as the next start would find.
    pub(crate) fn recovered_from(dir: &std::path::Path) -> u64 {
        let spool = open_spool(dir);
        let recovered = spool.stats().recovered;
        spool.close();
        recovered
    }

    /// The events that the next start would deliver from a spool.
    pub(crate) fn events_recovered_from(dir: &std::path::Path) -> Vec<Value> {
        let mut reader = open_spool(dir).reader("test");
        let records = std::iter::from_fn(|| reader.next(std::time::Duration::ZERO));
        records.map(|record| serde_json::from_slice(&record.event).unwrap()).collect()
    }

    /// Stops Tollgate in order.
    pub(crate) async fn stop(mut self) {
        self.app.take().unwrap().stop().await.unwrap();
    }

    /// Stops, changes something in the folder, and starts again as configured.
    pub(crate) async fn restart(mut self, change: impl FnOnce(&std::path::Path)) -> Self {
        self.app.take().unwrap().stop().await.unwrap();
        change(self.dir.path());
        let (app, dir) = (launch(self.dir.path()).await, self.dir);
        Self { address: app.address(), ops: app.ops_address(), app: Some(app), dir }
    }

    /// Stops Tollgate and yields every event it left: no more can come.
    pub(crate) async fn finish(self) -> Vec<Value> {
        self.finish_unless(std::future::pending()).await
    }

    /// As [`World::finish`], but what still runs is cut as soon as `hurry` resolves.
    pub(crate) async fn finish_unless(mut self, hurry: impl Future<Output = ()>) -> Vec<Value> {
        self.app.take().unwrap().stop_unless(hurry).await.unwrap();
        let events = self.read();
        let mut numbers: Vec<_> =
            events.iter().map(|event| event["data"]["sequence"]["number"].as_u64().unwrap()).collect();
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(1..=events.len() as u64), "numbers are not dense: {numbers:?}");
        events
    }

    /// As [`World::only_event`], where the event comes by itself: waits for it before stopping.
    pub(crate) async fn only_event_soon(self) -> Value {
        self.events(1).await;
        self.only_event().await
    }

    /// As [`World::finish`], where there is one event.
    pub(crate) async fn only_event(self) -> Value {
        let mut events = self.finish().await;
        assert_eq!(events.len(), 1, "{events:#?}");
        events.pop().unwrap()
    }
}

fn open_spool(dir: &std::path::Path) -> tollgate::spool::Spool {
    let spool = tollgate::config::Spool {
        dir: dir.to_owned(),
        max_bytes: 1 << 30,
        when_full: tollgate::config::WhenFull::Reject,
        sync: tollgate::config::SyncMode::Process,
    };
    tollgate::spool::Spool::open(&spool).unwrap()
}

impl Builder {
    /// Mode `keys` with this keys file.
    pub(crate) fn keys(mut self, keys: &str) -> Self {
        self.keys = Some(keys.to_owned());
        self
    }

    /// No credential for the upstream: the client's own passes.
    pub(crate) fn passing(mut self) -> Self {
        self.credential = "";
        self
    }

    /// More settings of the upstream, each line indented by two.
    pub(crate) fn upstream(mut self, yaml: &str) -> Self {
        self.upstream_extra.push_str(yaml);
        self
    }

    /// More top-level settings.
    pub(crate) fn with(mut self, yaml: &str) -> Self {
        self.extra.push_str(yaml);
        self.extra.push('\n');
        self
    }

    /// The folder that the configuration stands in.
    pub(crate) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub(crate) async fn start(self) -> World {
        let guard = match &self.keys {
            None => String::new(),
            Some(keys) => {
                std::fs::write(self.dir.path().join("keys.yaml"), keys).unwrap();
                "guard: { mode: keys, keys: { file: keys.yaml } }\n".to_owned()
            }
        };
        let proxy = if self.extra.contains("proxy:") { "" } else { "proxy: { listen: 127.0.0.1:0 }\n" };
        let events = if self.extra.contains("events:") {
            ""
        } else {
            "events: { spool: { dir: spool }, file: { path: usage.jsonl } }\n"
        };
        let configuration = format!(
            "{proxy}ops: {{ listen: 127.0.0.1:0 }}\nupstreams:\n- name: mock\n  url: {}\n{}{}{guard}{events}{}",
            self.upstream, self.credential, self.upstream_extra, self.extra
        );
        std::fs::write(self.dir.path().join("tollgate.yaml"), &configuration).unwrap();
        let app = launch(self.dir.path()).await;
        World { address: app.address(), ops: app.ops_address(), app: Some(app), dir: self.dir }
    }
}

/// Starts what the folder's configuration says.
async fn launch(folder: &std::path::Path) -> App {
    let sources =
        Sources { file: Some(folder.join("tollgate.yaml")), directory: folder.to_owned(), ..Sources::default() };
    let loaded = config::load(&sources).unwrap_or_else(|problems| panic!("{problems}"));
    App::start(loaded, sources).await.unwrap()
}
