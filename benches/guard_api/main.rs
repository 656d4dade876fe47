//! How often the control plane answers `POST /api/guard/auth` on one core, from SQLite: see `benches/README.md`.
//!
//! The release program has core 0 to itself, with all its threads; this load has core 1. Each answer is checked.

#![expect(clippy::expect_used, reason = "a bench that cannot go on has nothing better to do than to end")]

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tollgate::config::Database;
use tollgate::control::store::{By, NewKey, Organization, Store};
use tollgate::types::{Digest, KeyId, Limits, OrgId, Pattern};

const CONNECTIONS: usize = 16;
/// Keys in the store, so that it is one of many that is looked up.
const KEYS: usize = 10_000;
/// What `make bench` holds the figure against.
const MUST: f64 = 3000.0;

fn main() {
    // `cargo test --benches` shows that it works; `cargo bench` measures.
    let seconds = if std::env::args().any(|argument| argument == "--bench") { 10.0 } else { 0.5 };
    let dir = tempfile::tempdir().expect("a folder");
    let keys = if seconds < 1.0 { 10 } else { KEYS };
    fill(&dir.path().join("control.db"), keys);
    let (mut program, address) = start(dir.path());
    pin("1", std::process::id());
    // Warmed up first.
    let _ = load(&address, (keys, seconds / 5.0));
    let before = cpu(program.id());
    let (answers, took) = load(&address, (keys, seconds));
    let spent = cpu(program.id()) - before;
    drop(program.kill());
    drop(program.wait());
    let rate = answers as f64 / took.as_secs_f64();
    let each = spent / answers as f64 * 1e6;
    println!(
        "guard/auth on one core, SQLite, {keys} keys, {CONNECTIONS} connections: {rate:.0} answers/s, {each:.0} µs of CPU each"
    );
    println!("  must {MUST:.0}/s: {}", if rate >= MUST { "met" } else { "NOT MET" });
}

fn fill(path: &Path, keys: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = Store::open(&Database::Sqlite(path.to_owned())).await.expect("a database");
        let by = By::new("bench");
        let organization = Organization { id: OrgId::new("org"), name: "org".to_owned(), limits: Limits::default() };
        store.save_organization(&by, &organization).await.expect("an organization");
        for at in 0..keys {
            let mut new = NewKey::new(KeyId::new(format!("key-{at}")));
            new.record.key = Digest::of(key(at).as_bytes());
            new.record.organizations = vec![OrgId::new("org")];
            new.record.models = vec![Pattern::new("gpt-*"), Pattern::new("demo")];
            new.record.limits.requests_per_minute = Some(u32::MAX);
            store.import_key(&by, &new).await.expect("a key");
        }
        store.close().await;
    });
}

fn key(at: usize) -> String {
    format!("sk-bench-{at:08}-0123456789abcdefghijklmnopqrstuvwxyz")
}

fn start(dir: &Path) -> (Child, String) {
    let config = "proxy: { listen: 127.0.0.1:0 }\nops: { listen: 127.0.0.1:0 }\nlog: { format: json }\n\
                  events: { spool: { dir: spool }, file: { path: usage.jsonl } }\n\
                  control: { database: \"sqlite://control.db\", guard_secret: { value: secret } }\n";
    std::fs::write(dir.join("tollgate.yaml"), config).expect("a configuration");
    let mut command = Command::new("taskset");
    command
        .args(["-c", "0", env!("CARGO_BIN_EXE_tollgate"), "control"])
        .current_dir(dir)
        .env("TOKIO_WORKER_THREADS", "1");
    let mut program = command.stderr(Stdio::piped()).spawn().expect("taskset and the program");
    let mut lines = BufReader::new(program.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let address = lines.find_map(|line| {
        let (_, rest) = line.split_once("\"proxy\":\"")?;
        Some(rest.split('"').next()?.to_owned())
    });
    thread::spawn(move || lines.for_each(drop));
    (program, address.expect("the program says where it listens"))
}

/// Asks on all connections for so many seconds; how many answers there were, and how long it took.
fn load(address: &str, (keys, seconds): (usize, f64)) -> (u64, Duration) {
    let (answers, over, started) = (AtomicU64::new(0), AtomicBool::new(false), Instant::now());
    thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let (answers, over) = (&answers, &over);
            scope.spawn(move || {
                let stream = TcpStream::connect(address).expect("a connection");
                stream.set_nodelay(true).expect("no delay");
                let (mut writer, mut reader) = (stream.try_clone().expect("a clone"), BufReader::new(stream));
                for at in (connection..).step_by(CONNECTIONS) {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    ask(&mut writer, &mut reader, &key(at * 7919 % keys)).expect("an answer");
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        thread::sleep(Duration::from_secs_f64(seconds));
        over.store(true, Ordering::Relaxed);
    });
    (answers.into_inner(), started.elapsed())
}

fn ask(writer: &mut TcpStream, reader: &mut BufReader<TcpStream>, key: &str) -> io::Result<()> {
    let body = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hello there"}]}"#;
    let request = format!(
        "POST /api/guard/auth HTTP/1.1\r\nhost: bench\r\nsecretkey: secret\r\nauthorization: {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    writer.write_all(request.as_bytes())?;
    let mut line = String::new();
    reader.read_line(&mut line)?;
    assert!(line.starts_with("HTTP/1.1 200 "), "{line}");
    while !line.trim_end().is_empty() {
        line.clear();
        reader.read_line(&mut line)?;
    }
    let mut success = [0; 7];
    io::Read::read_exact(reader, &mut success)?;
    assert_eq!(&success, b"Success");
    Ok(())
}

fn pin(core: &str, process: u32) {
    let pinned = Command::new("taskset").args(["-a", "-cp", core, &process.to_string()]).stdout(Stdio::null()).status();
    assert!(pinned.is_ok_and(|status| status.success()), "taskset pins the load");
}

/// Seconds of CPU time that a process has used, all its threads together.
fn cpu(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("a running process");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // User and system time, in hundredths of a second: fields 14 and 15, of which two stand before the name's end.
    fields.iter().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
