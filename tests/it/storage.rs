//! A spool whose disk is full, damaged, in use or not writable: a clear error or the documented policy, nothing lost
//! silently, and counts that balance at every moment.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Notify;

use crate::support::{Client, Got, Mock, Reply, World, chat, unset};

const ANSWER: &str = r#"{"model":"demo-1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":10,"total_tokens":20}}"#;
/// The least that a spool may be allowed.
const LEAST: u64 = 32 << 20;

/// Answers begin at once and end when the gate opens.
async fn gated() -> (Mock, Arc<Notify>) {
    let gate = Arc::new(Notify::new());
    let reply = Reply::head(200, "application/json").gate(&gate).chunk(ANSWER).end();
    (Mock::always(reply).await, gate)
}

fn events(spool: &str) -> String {
    format!("events: {{ spool: {spool}, file: {{ path: usage.jsonl }} }}")
}

/// Requests that have begun and not ended, and the connections that they are on.
#[derive(Default)]
struct Open {
    clients: Vec<Client>,
    answers: Vec<Got>,
}

/// Requests on one connection.
const TOGETHER: usize = 50;

/// Opens requests, each on its way and none ended, until one is refused or `most` are.
async fn open_until_full(world: &World, most: usize) -> (Open, Option<Got>) {
    let mut open = Open::default();
    while open.answers.len() < most {
        if open.answers.len().is_multiple_of(TOGETHER) {
            open.clients.push(Client::connect_h2(world.address).await);
            assert_balanced(world).await;
        }
        let client = open.clients.last_mut().unwrap();
        let got = client.post("/v1/chat/completions", None, chat(false)).await;
        if got.status != 200 {
            return (open, Some(got));
        }
        open.answers.push(got);
    }
    (open, None)
}

async fn finish(open: Open, gate: &Notify) {
    let mut reading = tokio::task::JoinSet::new();
    for got in open.answers {
        reading.spawn(async move { assert_eq!(got.bytes().await, ANSWER) });
    }
    while !reading.is_empty() {
        gate.notify_waiters();
        let _ =
            tokio::time::timeout(std::time::Duration::from_millis(20), reading.join_next()).await.map(Option::unwrap);
    }
    drop(open.clients);
}

/// One such test at a time, for each holds thousands of connections.
static FILLING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Nothing is lost where it is not allowed: the test says so then.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    FILLING.lock().await
}

/// Whether what went in is what went out and what waits, in one reading of the metrics.
pub(crate) async fn assert_balanced(world: &World) {
    let text = world.metrics().await;
    let read = |name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("no {name}")).parse::<f64>().unwrap() as u64
    };
    let state = |state: &str| read(&format!("tollgate_events_total{{state=\"{state}\"}}"));
    let (inherited, recovered) = (read("tollgate_spool_inherited_events"), read("tollgate_spool_recovered_total"));
    let taken = inherited + recovered + state("committed") + read("tollgate_spool_loss_events_total");
    let left = read("tollgate_spool_pending_events") + read("tollgate_spool_spoiled_events_total");
    assert_eq!(taken, state("delivered") + left, "{text}");
    let numbers = state("committed") + state("dropped") + read("tollgate_spool_open_tickets");
    assert_eq!(read("tollgate_spool_numbers_total"), numbers, "{text}");
}

async fn ready(world: &World) -> u16 {
    Client::connect(world.ops).await.get("/readyz").await.status.as_u16()
}

fn tollgate(arguments: &[&str], dir: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    unset(command.args(arguments).current_dir(dir)).output().unwrap()
}

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

/// While a full spool refuses: with 503, and the process is not ready. Then it takes requests again, and has them all.
async fn refuses_and_comes_back(world: World, gate: &Notify) {
    std::fs::create_dir(world.dir.path().join("usage.jsonl")).unwrap();
    let (open, refused) = open_until_full(&world, 4000).await;
    let refused = refused.expect("it takes no more");
    assert_eq!(refused.status, 503);
    let seconds: u64 = refused.header("retry-after").expect("when to come again").parse().unwrap();
    assert!(seconds > 0);
    assert_eq!(ready(&world).await, 503, "new work could not be recorded");
    let count = open.answers.len();
    assert!(count > 100, "{count} requests were let in");
    finish(open, gate).await;
    assert_balanced(&world).await;
    eventually_ready(&world).await;
    let (more, none) = open_until_full(&world, 5).await;
    assert!(none.is_none());
    finish(more, gate).await;
    std::fs::remove_dir(world.dir.path().join("usage.jsonl")).unwrap();
    let events = world.events(count + 5).await;
    assert_balanced(&world).await;
    assert_eq!(of_kind(&events, "dev.tollgate.usage.v1").len(), count + 5);
    assert!(events.iter().all(|event| event["data"]["outcome"] == "ok"));
    assert_eq!(world.metric("tollgate_events_total{state=\"dropped\"}").await, 0);
    let file = world.dir.path().join("usage.jsonl");
    let audited = tollgate(&["audit", "--file", file.to_str().unwrap()], world.dir.path());
    assert!(audited.status.success(), "{}", String::from_utf8_lossy(&audited.stdout));
    world.stop().await;
}

async fn eventually_ready(world: &World) {
    crate::support::until("it is ready again", async || ready(world).await == 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spool_at_its_bound_refuses_and_comes_back_with_all_its_events() {
    let _one = alone().await;
    let (upstream, gate) = gated().await;
    let world = World::before(&upstream).with(&events(&format!("{{ dir: spool, max_bytes: {LEAST} }}"))).start().await;
    refuses_and_comes_back(world, &gate).await;
}

/// A file system of its own, where we may make one; it goes with this.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn new(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir.path()).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then_some(Self(dir))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_comes_back_with_all_its_events() {
    let _one = alone().await;
    let Some(disk) = Tmpfs::new("size=9m") else {
        println!("left out: no file system can be mounted here");
        return;
    };
    let (upstream, gate) = gated().await;
    let spool = format!("{{ dir: \"{}/spool\" }}", disk.0.path().display());
    let world = World::before(&upstream).with(&events(&spool)).start().await;
    refuses_and_comes_back(world, &gate).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_dropped_by_choice_is_told_and_counted() {
    let _one = alone().await;
    let (upstream, gate) = gated().await;
    let spool = format!("{{ dir: spool, max_bytes: {LEAST}, when_full: drop }}");
    let world = World::before(&upstream).with(&events(&spool)).start().await;
    let mut open = Open::default();
    let dropped = "tollgate_events_total{state=\"dropped\"}";
    while world.metric(dropped).await == 0 {
        let (more, refused) = open_until_full(&world, 50).await;
        assert!(refused.is_none(), "nobody is refused");
        open.clients.extend(more.clients);
        open.answers.extend(more.answers);
    }
    assert_eq!(ready(&world).await, 200);
    let (count, lost) = (open.answers.len(), world.metric(dropped).await as usize);
    finish(open, &gate).await;
    let events = world.events(count - lost + 1).await;
    assert_balanced(&world).await;
    let told = of_kind(&events, "dev.tollgate.loss.v1");
    assert_eq!((of_kind(&events, "dev.tollgate.usage.v1").len(), told.len()), (count - lost, 1));
    let (from, to) = (told[0]["data"]["first"].as_u64().unwrap(), told[0]["data"]["last"].as_u64().unwrap());
    assert_eq!((from as usize, to as usize), (count - lost + 1, count));
    let file = world.dir.path().join("usage.jsonl");
    let audited = tollgate(&["audit", "--json", "--file", file.to_str().unwrap()], world.dir.path());
    assert_eq!(audited.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&audited.stdout).unwrap();
    assert_eq!(report["epochs"][0]["lost"]["ranges"], serde_json::json!([[from, to]]), "{report}");
    assert_eq!((report["missing"].as_u64(), report["unreadable"].as_u64()), (Some(0), Some(0)), "{report}");
    world.stop().await;
}

#[tokio::test]
async fn a_damaged_segment_costs_what_it_hit_and_is_told_and_the_start_goes_on() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = World::before(&upstream).start().await;
    // Nothing is delivered before the damage.
    std::fs::create_dir(world.dir.path().join("usage.jsonl")).unwrap();
    for _ in 0..10 {
        world.chat(None, &chat(false)).await.bytes().await;
    }
    let world = world
        .restart(|dir| {
            let segment = dir.join("spool/00000001/00000001.seg");
            let mut bytes = std::fs::read(&segment).unwrap();
            let done = b"\"outcome\":\"ok\"";
            let at = bytes.windows(done.len()).enumerate().filter(|(_, found)| found == done).nth(3).unwrap().0;
            bytes[at] ^= 1;
            bytes[20] ^= 1;
            std::fs::write(&segment, bytes).unwrap();
            std::fs::remove_dir(dir.join("usage.jsonl")).unwrap();
        })
        .await;
    let events = world.events(12).await;
    assert_eq!(ready(&world).await, 200);
    assert_balanced(&world).await;
    let usage = of_kind(&events, "dev.tollgate.usage.v1");
    let outcome = |outcome: &str| usage.iter().filter(|event| event["data"]["outcome"] == outcome).count();
    assert_eq!((outcome("ok"), outcome("interrupted")), (9, 1), "its INTENT is what is known of it");
    let damage: Vec<_> =
        of_kind(&events, "dev.tollgate.loss.v1").iter().map(|event| &event["data"]["damage"]).collect();
    assert_eq!((damage.len(), damage[0]["offset"].as_u64()), (2, Some(0)), "{damage:?}");
    assert_eq!(world.metric("tollgate_spool_damaged_total").await, 2);
    assert!(std::fs::read_dir(world.dir.path().join("spool/quarantine")).unwrap().count() == 2);
    world.stop().await;
}

#[tokio::test]
async fn a_spool_in_use_or_not_writable_ends_the_start_with_what_to_do() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = World::before(&upstream).start().await;
    let second = tollgate(&["proxy"], world.dir.path());
    let said = String::from_utf8_lossy(&second.stderr).into_owned() + &String::from_utf8_lossy(&second.stdout);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("in use by another process") && said.contains("events.spool.dir"), "{said}");
    world.chat(None, &chat(false)).await.bytes().await;
    assert_eq!(world.events(1).await.len(), 1, "the first one goes on");

    std::fs::write(world.dir.path().join("file"), "").unwrap();
    let readonly = Tmpfs::new("ro");
    let dirs = [Some(world.dir.path().join("file/spool")), readonly.as_ref().map(|disk| disk.0.path().join("spool"))];
    for dir in dirs.into_iter().flatten() {
        let set = format!("events.spool.dir={}", dir.display());
        let refused = tollgate(&["proxy", "--set", &set], world.dir.path());
        let said = String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains("must be writable") && said.contains(dir.to_str().unwrap()), "{said}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_request_whose_event_cannot_be_written_down_is_not_sent_and_counted() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let workload = format!("workload: {{ pod: {} }}", "p".repeat(9000));
    let world = World::before(&upstream).with(&workload).start().await;
    let got = world.chat(None, &chat(false)).await;
    assert_eq!(got.status, 500);
    assert_eq!(got.json().await["error"]["code"], "usage_not_recordable");
    assert_eq!(world.metric("tollgate_rejections_total{reason=\"unrecordable\"}").await, 1);
    assert_eq!(upstream.asked().len(), 0, "nothing is served that cannot be recorded");
    assert_balanced(&world).await;
    world.stop().await;
}
