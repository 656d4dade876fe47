//! What the official clients make of each refusal: which error, after how many tries, and what each try left behind.

use std::sync::Arc;
use std::thread;

use serde_json::Value;
use tokio::sync::Notify;

use super::running::{Running, Site};
use super::{assert_dense, assert_valid};
use crate::peers::{LlamaPeer, Sdk, off_runtime};
use crate::support::{Client, Mock, Reply, chat};

const KEYS: &str = "
- { id: narrow, key: sk-narrow, models: [demo] }
- { id: busy, key: sk-busy, limits: { concurrent_requests: 1 } }
- { id: small, key: sk-small, limits: { tokens_per_minute: 100 } }
- { id: plain, key: sk-plain }
";

/// One refusal as a client meets it.
struct Case {
    key: &'static str,
    model: &'static str,
    max_tokens: u32,
    /// Class, status and code of the error.
    error: (&'static str, u16, &'static str),
    tries: usize,
    /// The outcome of the event that each try leaves.
    outcome: Option<&'static str>,
}

const CASES: [Case; 6] = [
    Case {
        key: "sk-unknown",
        model: "demo",
        max_tokens: 8,
        error: ("AuthenticationError", 401, "invalid_api_key"),
        tries: 1,
        outcome: None,
    },
    Case {
        key: "sk-narrow",
        model: "other",
        max_tokens: 8,
        error: ("PermissionDeniedError", 403, "model_not_allowed"),
        tries: 1,
        outcome: Some("rejected"),
    },
    Case {
        key: "sk-busy",
        model: "demo",
        max_tokens: 8,
        error: ("RateLimitError", 429, "rate_limit_exceeded"),
        tries: 3,
        outcome: Some("rejected"),
    },
    Case {
        key: "sk-small",
        model: "demo",
        max_tokens: 700,
        error: ("RateLimitError", 429, "rate_limit_exceeded"),
        tries: 1,
        outcome: Some("rejected"),
    },
    Case {
        key: "sk-plain",
        model: "",
        max_tokens: 8,
        error: ("BadRequestError", 400, "model_missing"),
        tries: 1,
        outcome: Some("rejected"),
    },
    Case {
        key: "sk-plain",
        model: "gone",
        max_tokens: 8,
        error: ("InternalServerError", 502, "upstream_unreachable"),
        tries: 3,
        outcome: Some("upstream_error"),
    },
];

impl Case {
    fn ask(&self, sdk: fn(&str, &str) -> Sdk, base_url: &str) -> Value {
        sdk(base_url, self.key).model(self.model).max_tokens(self.max_tokens).ask("refusal")
    }

    fn check(&self, seen: &Value, events: &[Value]) {
        let (class, status, code) = self.error;
        let error = &seen["error"];
        assert_eq!(
            (&error["class"], &error["status"], &error["code"]),
            (&class.into(), &status.into(), &code.into()),
            "{seen}"
        );
        assert_eq!(seen["tries"], self.tries, "{seen}");
        let left: Vec<_> = events.iter().map(|event| &event["data"]).filter(|data| self.left(data)).collect();
        assert_eq!(left.len(), self.outcome.map_or(0, |_| self.tries), "{seen} left {left:#?}");
        let attempts: Vec<_> = left.iter().map(|data| data["attempt"].as_u64().unwrap()).collect();
        assert!(attempts.iter().copied().eq(1..=left.len() as u64), "{attempts:?}");
        for data in left {
            assert_eq!((&data["outcome"], &data["status"]), (&self.outcome.into(), &status.into()), "{data}");
        }
    }

    /// Whether this case left the event.
    fn left(&self, data: &Value) -> bool {
        let key = self.key.strip_prefix("sk-");
        let refused = data["outcome"] != "interrupted" && data["outcome"] != "ok";
        let model = data["model_requested"].as_str().unwrap_or_default();
        refused && data["key_id"].as_str() == key && model == self.model
    }
}

async fn start(held: &Mock) -> (Site, Running) {
    let llama = off_runtime(|| LlamaPeer::shared().url.clone()).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let upstreams = format!(
        "- {{ name: held, url: \"{}\", match: {{ models: [held] }} }}\n\
         - {{ name: gone, url: \"http://{closed}\", match: {{ models: [gone] }} }}\n\
         - {{ name: llama, url: \"{llama}\" }}",
        held.url()
    );
    let more = "guard: { mode: keys, keys: { file: keys.yaml } }\n\
                events: { spool: { dir: spool }, file: { path: usage.jsonl } }";
    let site = Site::new(&upstreams, more).with("keys.yaml", KEYS);
    let running = site.start().await;
    (site, running)
}

async fn each_refusal(sdk: fn(&str, &str) -> Sdk) {
    let gate = Arc::new(Notify::new());
    let held =
        Mock::always(Reply::head(200, "text/event-stream").chunk("data: {\"choices\":[]}\n\n").gate(&gate)).await;
    let (site, running) = start(&held).await;
    let mut busy: Client = running.client().await;
    let body = chat(true).replace("demo", "held");
    let mut in_flight = busy.post("/v1/chat/completions", Some("sk-busy"), body).await;
    in_flight.piece().await.unwrap().unwrap();

    let base_url = running.base_url();
    let seen = off_runtime(move || {
        let base_url = &base_url;
        thread::scope(|scope| {
            let asking = CASES.each_ref().map(|case| scope.spawn(move || case.ask(sdk, base_url)));
            asking.map(|seen| seen.join().unwrap())
        })
    })
    .await;
    drop(in_flight);
    busy.hang_up();
    running.stop().await;
    drop(gate);

    let events = site.file();
    for (case, seen) in CASES.iter().zip(&seen) {
        case.check(seen, &events);
    }
    assert_eq!(seen[2]["retry_after"], serde_json::json!(["1", "1", "1"]), "a place may be free soon");
    assert_eq!(seen[3]["retry_after"], serde_json::json!([]), "no waiting helps a request that can never fit");
    let expected: usize = CASES.iter().filter(|case| case.outcome.is_some()).map(|case| case.tries).sum();
    assert_eq!(events.len(), expected + 1, "and the stream that was in flight");
    assert_dense(&events);
    off_runtime(move || assert_valid(&events)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_understands_each_refusal_and_each_try_leaves_its_event() {
    each_refusal(Sdk::python).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_client_understands_each_refusal_and_each_try_leaves_its_event() {
    each_refusal(Sdk::node).await;
}
