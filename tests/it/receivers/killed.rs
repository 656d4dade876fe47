//! Tollgate is killed again and again under load, and so is the receiver: what a client has read to the end is there.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{ANSWER, ids};
use crate::peers::{Program, audit, free_port};
use crate::support::{Asked, Client, Mock, Reply, chat, eventually};

const KILLS: usize = 6;
const CLIENTS: usize = 6;

/// What survives the receiver.
#[derive(Default)]
struct Kept {
    ids: Mutex<HashSet<String>>,
    copies: Mutex<usize>,
}

impl Kept {
    /// One request in four fails, in one of three ways.
    fn answer(&self, asked: &Asked) -> Reply {
        let fate = fastrand::u8(..12);
        match fate {
            0 => return Reply::default().reset(),
            1 => return Reply::json(503, "{}"),
            _ => {}
        }
        for id in ids(asked) {
            let known = !self.ids.lock().unwrap().insert(id);
            *self.copies.lock().unwrap() += usize::from(known);
        }
        if fate == 2 { Reply::default().reset() } else { Reply::json(204, "") }
    }
}

#[derive(Default)]
struct Load {
    target: Mutex<Option<SocketAddr>>,
    /// The requests whose answer was read to its end.
    completed: Mutex<HashSet<String>>,
    stop: AtomicBool,
}

async fn work(load: Arc<Load>) {
    while !load.stop.load(Ordering::Relaxed) {
        let target = *load.target.lock().unwrap();
        let connected = match target {
            Some(address) => Client::try_connect(address).await.ok(),
            None => None,
        };
        let Some(mut client) = connected else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        while one(&load, &mut client).await.is_some() {
            if load.stop.load(Ordering::Relaxed) {
                break;
            }
        }
    }
}

async fn one(load: &Load, client: &mut Client) -> Option<()> {
    let request = http::Request::post("/v1/chat/completions").header("content-type", "application/json");
    let request = request.body(http_body_util::Full::new(chat(false).into())).unwrap();
    let mut got = client.try_send(request).await.ok()?;
    let id = got.header("x-tollgate-request-id")?.to_owned();
    while let Some(piece) = got.piece().await {
        piece.ok()?;
    }
    load.completed.lock().unwrap().insert(id);
    Some(())
}

/// The events of the file, whole lines only: by id, the request of each.
fn in_file(dir: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(dir.join("usage.jsonl")).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let events = whole.filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    events.map(|event| (text(&event["id"]), text(&event["data"]["request_id"]))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_completed_answer_is_missing_at_a_receiver_however_often_both_are_killed() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let (kept, port) = (Arc::<Kept>::default(), free_port());
    let receive = async || {
        let kept = Arc::clone(&kept);
        Mock::start_on(port, move |asked| kept.answer(asked)).await
    };
    let dir = tempfile::tempdir().unwrap();
    let url = format!("http://127.0.0.1:{port}/in");
    let config = format!(
        "proxy: {{ listen: 127.0.0.1:0 }}\nops: {{ listen: 127.0.0.1:0 }}\nlog: {{ format: json, filter: \"info,tollgate::request=off\" }}\nupstreams:\n- {{ name: mock, url: \"{}\", credential: {{ value: x }} }}\nevents:\n  spool: {{ dir: spool }}\n  file: {{ path: usage.jsonl }}\n  http: [{{ name: kept, url: \"{url}\", format: cloudevents-batch, batch: 20, timeout: 1s }}]\n",
        upstream.url()
    );
    std::fs::write(dir.path().join("tollgate.yaml"), config).unwrap();
    let load = Arc::<Load>::default();
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(work(Arc::clone(&load)))).collect();
    let mut receiver = Some(receive().await);
    for kill in 0..KILLS {
        let program = Program::start("proxy", dir.path()).await;
        *load.target.lock().unwrap() = Some(program.address);
        tokio::time::sleep(Duration::from_millis(fastrand::u64(100..900))).await;
        // Away while Tollgate dies, and back while it is starting.
        if kill % 2 == 1 {
            receiver = None;
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..300))).await;
        }
        program.kill().await;
        if receiver.is_none() {
            receiver = Some(receive().await);
        }
    }
    load.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let last = Program::start("proxy", dir.path()).await;
    let completed = load.completed.lock().unwrap().clone();
    assert!(completed.len() > 50, "hardly any load: {} answers", completed.len());
    let events = eventually("both have the same, and every answer is among it", || {
        let events = in_file(dir.path());
        let (ids, requests): (HashSet<_>, HashSet<_>) = events.into_iter().unzip();
        (completed.is_subset(&requests) && *kept.ids.lock().unwrap() == ids).then_some(ids.len())
    })
    .await;
    last.end().await;
    audit(env!("CARGO_BIN_EXE_tollgate"), &["--file", dir.path().join("usage.jsonl").to_str().unwrap()]);
    let copies = *kept.copies.lock().unwrap();
    println!("{KILLS} kills: {} answers, {events} events at the receiver, {copies} copies", completed.len());
}
