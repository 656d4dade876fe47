//! No key, prompt or completion leaves by a log, a metric, an event, a refusal or the spool, at any log filter.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tollgate::types::Digest;

use crate::support::{Client, Mock, Reply, eventually, unset};

const KEY: &str = "CANARY-key-0123456789";
const WRONG: &str = "CANARY-wrong-0123456789";
const SECRET: &str = "CANARY-secret-0123456789";

/// A tollgate of its own process, killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn configure(dir: &Path, upstream: &str) {
    let digest = |text: &str| Digest::of(text.as_bytes()).to_hex();
    let keys = format!(
        "- id: good\n  key: {{ sha256: {} }}\n- id: secret\n  key: {{ sha256: {} }}\n  secret: {{ sha256: {} }}\n",
        digest(KEY),
        digest("CANARY-guarded-key"),
        digest(SECRET)
    );
    std::fs::write(dir.join("keys.yaml"), keys).unwrap();
    let receiver = format!(
        "{{ url: {upstream}, format: log-usage, secret: {{ value: CANARY-guard-secret }}, api_key: {{ value: CANARY-report-key }}, headers: {{ X-Team: CANARY-header }} }}"
    );
    let configuration = format!(
        "proxy: {{ listen: 127.0.0.1:0 }}\nops: {{ listen: 127.0.0.1:0 }}\nlog: {{ filter: trace }}\nupstreams:\n- name: mock\n  url: {upstream}\n  credential: {{ value: CANARY-upstream-credential }}\nguard: {{ mode: keys, keys: {{ file: keys.yaml }} }}\nevents: {{ spool: {{ dir: spool }}, file: {{ path: usage.jsonl }}, http: [{receiver}] }}\n"
    );
    std::fs::write(dir.join("tollgate.yaml"), configuration).unwrap();
}

/// Every byte of every file in a folder, but for the configuration.
fn written(dir: &Path, into: &mut Vec<u8>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            written(&path, into);
        } else if path.extension().is_none_or(|extension| extension != "yaml") {
            std::fs::File::open(path).unwrap().read_to_end(into).unwrap();
        }
    }
}

fn address(log: &str, name: &str) -> Option<SocketAddr> {
    let ready = log.lines().find(|line| line.contains("ready") && line.contains(name))?;
    ready.split(name).nth(1)?.split_whitespace().next()?.parse().ok()
}

fn body(text: &str, stream: bool) -> String {
    format!(r#"{{"model":"gpt-4o","stream":{stream},"messages":[{{"role":"user","content":"CANARY-prompt {text}"}}]}}"#)
}

/// Repeats what it was told, and says things of its own.
async fn talkative() -> Mock {
    Mock::start(|asked| match () {
        () if asked.body.contains("refuse") => Reply::json(400, r#"{"error":{"message":"CANARY-echo of the prompt"}}"#),
        () if asked.body.contains("\"stream\":true") => Reply::sse([
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"CANARY-completion\"},\"finish_reason\":null}]}\n\n",
            "data: {CANARY-broken\n\n",
            "data: [DONE]\n\n",
        ]),
        () => Reply::json(200, r#"{"model":"m","choices":[{"message":{"content":"CANARY-completion"}}]}"#),
    })
    .await
}

/// A call with its key in this place.
fn request(place: &str, key: &str, body: String) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let path = "/v1/chat/completions";
    let request = match place {
        "?key=" => http::Request::post(format!("{path}?key={key}")),
        "authorization" => http::Request::post(path).header(place, format!("Bearer {key}")),
        _ => http::Request::post(path).header(place, key),
    };
    request.header("content-type", "application/json").body(bytes::Bytes::from(body).into()).unwrap()
}

fn start(dir: &Path) -> Running {
    let log = std::fs::File::create(dir.join("stderr.log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(["serve", "--config", "tollgate.yaml", "--log-filter", "trace,h2=trace,hyper=trace"]);
    unset(&mut command).current_dir(dir).stdout(Stdio::null()).stderr(log);
    Running(command.spawn().unwrap())
}

#[tokio::test]
async fn a_canary_in_any_place_is_found_in_no_output() {
    let upstream = talkative().await;
    let dir = tempfile::tempdir().unwrap();
    configure(dir.path(), &upstream.url());
    let mut running = start(dir.path());
    let said = || std::fs::read_to_string(dir.path().join("stderr.log")).unwrap();
    let (proxy, ops) =
        eventually("it is ready", || Some((address(&said(), "proxy=")?, address(&said(), "ops=")?))).await;

    let mut outputs = Vec::new();
    let mut known = 0;
    for h2 in [false, true] {
        for key in [KEY, WRONG] {
            for place in ["authorization", "x-api-key", "x-ug-api-key", "api-key", "x-goog-api-key", "?key="] {
                for (text, stream) in [("say", false), ("say", true), ("refuse", false)] {
                    let mut client = if h2 { Client::connect_h2(proxy).await } else { Client::connect(proxy).await };
                    let got = client.send(request(place, key, body(text, stream))).await;
                    let refused = got.status == 401;
                    known += usize::from(!refused);
                    assert_eq!(refused, key == WRONG, "{place}");
                    let answer = got.bytes().await;
                    if refused {
                        outputs.extend_from_slice(&answer);
                    }
                }
            }
        }
    }
    for secret in [SECRET, WRONG] {
        let mut request = request("authorization", "CANARY-guarded-key", body("say", false));
        request.headers_mut().insert("secretkey", secret.parse().unwrap());
        let status = Client::connect(proxy).await.send(request).await.status;
        assert_eq!(status == 200, secret == SECRET);
        known += usize::from(secret == SECRET);
    }
    outputs.extend_from_slice(&Client::connect(ops).await.get("/metrics").await.bytes().await);
    written(&dir.path().join("spool"), &mut outputs);
    let pid = running.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(running.0.wait().unwrap().success());
    let reported = |asked: &crate::support::Asked| {
        asked.path() == "/api/guard/log-usage" && asked.headers["secretkey"] == "CANARY-guard-secret"
    };
    assert!(upstream.asked().iter().any(reported), "the receiver was told");
    written(dir.path(), &mut outputs);
    let text = String::from_utf8_lossy(&outputs);
    let events = std::fs::read_to_string(dir.path().join("usage.jsonl")).unwrap();
    assert_eq!(events.lines().count(), known);
    assert!(text.contains("tollgate_requests_total") && said().contains("shutting down"), "all was looked at");
    let found: Vec<_> =
        text.match_indices("CANARY").map(|(at, _)| text[at..].chars().take(60).collect::<String>()).collect();
    assert!(found.is_empty(), "{} secrets got out: {:?}", found.len(), found.iter().take(5).collect::<Vec<_>>());
}
