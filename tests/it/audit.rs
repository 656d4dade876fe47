//! `tollgate audit` as a person or a script uses it: of a file, of standard input, of a spool, of a real topic.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::support::{Mock, Reply, World, chat, copy_tree, unset};

const ANSWER: &str = r#"{"model":"demo-1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":10,"total_tokens":20}}"#;

fn audit(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    unset(command.arg("audit").args(arguments));
    command
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The events of ten requests, as the file sink wrote them, and the spool that they came from.
async fn ten_events() -> (Vec<String>, tempfile::TempDir) {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = World::before(&upstream).start().await;
    for _ in 0..10 {
        world.chat(None, &chat(false)).await.bytes().await;
    }
    let kept = tempfile::tempdir().unwrap();
    let events = world.events(10).await.iter().map(ToString::to_string).collect();
    copy_tree(&world.dir.path().join("spool"), &kept.path().join("spool"));
    world.stop().await;
    (events, kept)
}

#[tokio::test]
async fn a_file_is_proved_whole_and_a_deleted_event_is_named() {
    let (mut events, kept) = ten_events().await;
    let file = kept.path().join("usage.jsonl");
    std::fs::write(&file, events.join("\n")).unwrap();
    let intact = audit(&["--file", file.to_str().unwrap()]).output().unwrap();
    assert_eq!(intact.status.code(), Some(0), "{}", out(&intact));
    assert!(out(&intact).contains("epoch 1: 1-10, 10 events; ok 10; tokens 100 in, 100 out"), "{}", out(&intact));
    assert!(out(&intact).ends_with("nothing is missing: 10 events of 1 epochs, 0 duplicates\n"), "{}", out(&intact));

    let deleted = events.iter().position(|event| event.contains(r#""number":4}"#) || event.contains(r#""number":4,"#));
    events.remove(deleted.expect("number 4"));
    let mut reading = audit(&["--file", "-", "--json"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    reading.stdin.take().unwrap().write_all(events.join("\n").as_bytes()).unwrap();
    let found = reading.wait_with_output().unwrap();
    assert_eq!(found.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(report["epochs"][0]["missing"]["ranges"], serde_json::json!([[4, 4]]), "{report}");
    assert_eq!((report["sound"].as_bool(), report["missing"].as_u64()), (Some(false), Some(1)));
}

#[tokio::test]
async fn a_spool_is_audited_and_damage_is_said() {
    let (_, kept) = ten_events().await;
    let dir = kept.path().join("spool");
    let intact = audit(&["--spool", dir.to_str().unwrap()]).output().unwrap();
    assert_eq!(intact.status.code(), Some(0), "{}", out(&intact));
    assert!(out(&intact).contains("epoch 1: 1-10, 10 events; ok 10"), "{}", out(&intact));

    let segment = dir.join("00000001/00000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let (first, last) = (b"\"number\":4", b"\"outcome\":\"ok\"");
    let at = bytes.windows(last.len()).enumerate().filter(|(_, found)| found == last).map(|(at, _)| at).nth(3).unwrap();
    assert!(bytes[..at].windows(first.len()).any(|found| found == first));
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let found = audit(&["--spool", dir.to_str().unwrap()]).output().unwrap();
    assert_eq!(found.status.code(), Some(1), "{}", out(&found));
    assert!(out(&found).contains("1 damaged stretches") && out(&found).contains("open 1: 4"), "{}", out(&found));
}

#[tokio::test]
async fn watching_goes_on_until_it_is_told_to_end() {
    let (events, kept) = ten_events().await;
    let file = kept.path().join("usage.jsonl");
    std::fs::write(&file, events[..5].join("\n") + "\n").unwrap();
    let mut command = audit(&["--watch", "--file", file.to_str().unwrap()]);
    let mut watching = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = std::io::BufReader::new(watching.stderr.take().unwrap());
    let mut hear = |what: &str| {
        let mut line = String::new();
        while !line.contains(what) {
            line.clear();
            assert!(std::io::BufRead::read_line(&mut said, &mut line).unwrap() > 0, "it ended before {what}");
        }
    };
    hear("audit: 5 events");
    std::fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(events[5..].join("\n").as_bytes()).unwrap();
    std::fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"\n").unwrap();
    hear("audit: 10 events");
    assert!(Command::new("kill").args(["-INT", &watching.id().to_string()]).status().unwrap().success());
    let ended = watching.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), out(&ended).contains("nothing is missing")), (Some(0), true));
}

#[test]
fn wrong_usage_exits_2_and_says_what_to_name() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = audit(&[]).current_dir(dir.path()).output().unwrap();
    assert_eq!(nothing.status.code(), Some(2));
    assert!(String::from_utf8(nothing.stderr).unwrap().contains("--brokers, --file or --spool"));
    assert_eq!(audit(&["--file", "a", "--spool", "b"]).output().unwrap().status.code(), Some(2));
    let gone = audit(&["--spool", dir.path().join("none").to_str().unwrap()]).output().unwrap();
    assert_eq!(gone.status.code(), Some(1));
    assert!(!dir.path().join("none").exists(), "looking makes nothing");
}

#[cfg(feature = "kafka")]
#[tokio::test]
async fn a_real_topic_is_proved_whole_and_an_event_that_never_came_is_named() {
    use crate::peers::{KafkaPeer, off_runtime};

    let (events, _kept) = ten_events().await;
    off_runtime(move || {
        let kafka = KafkaPeer::shared();
        for (topic, left_out, code) in [("audit-intact", None, 0), ("audit-gap", Some(6), 1)] {
            kafka.create_topic(topic, 3);
            let kept = events.iter().enumerate().filter(|(at, _)| Some(*at) != left_out).map(|(_, event)| event);
            produce(&kafka.bootstrap, topic, kept);
            let found = audit(&["--brokers", &kafka.bootstrap, "--topic", topic]).output().unwrap();
            assert_eq!(found.status.code(), Some(code), "{}{}", out(&found), String::from_utf8_lossy(&found.stderr));
            if let Some(left_out) = left_out {
                let event: serde_json::Value = serde_json::from_str(&events[left_out]).unwrap();
                let named = format!("missing 1: {}\n", event["data"]["sequence"]["number"]);
                assert!(out(&found).contains(&named), "no {named} in {}", out(&found));
            }
        }
        let none = audit(&["--brokers", &kafka.bootstrap, "--topic", "audit-none"]).output().unwrap();
        assert_eq!(none.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&none.stderr).contains("audit-none does not exist"), "{none:?}");
    })
    .await;
}

#[cfg(feature = "kafka")]
fn produce<'a>(bootstrap: &str, topic: &str, events: impl Iterator<Item = &'a String>) {
    use rdkafka::ClientConfig;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    for (at, event) in events.enumerate() {
        producer.send(BaseRecord::to(topic).key(&at.to_string()).payload(event)).map_err(|(e, _)| e).unwrap();
    }
    producer.flush(crate::support::PATIENCE).unwrap();
}

/// What makes a gap a proof of loss: were a number given out before its first record and a later one recorded first, a
/// process killed in between would leave a hole that no loss explains.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn numbers_stand_in_the_log_without_holes_at_every_moment() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = World::before(&upstream).start().await;
    let spool = world.dir.path().join("spool");
    let surveying = tokio::task::spawn_blocking(move || {
        for _ in 0..40 {
            // What came before the first INTENT was delivered and deleted.
            let (mut first, mut numbers) = (None, std::collections::BTreeSet::new());
            let surveyed = tollgate::spool::survey(&spool, |_, seen| match seen {
                tollgate::spool::Seen::Intent { number, .. } => {
                    first.get_or_insert(number);
                    numbers.insert(number);
                }
                tollgate::spool::Seen::Event { event } => {
                    let event: serde_json::Value = serde_json::from_slice(event).unwrap();
                    numbers.insert(event["data"]["sequence"]["number"].as_u64().unwrap());
                }
                _ => {}
            });
            if surveyed.is_err_and(|error| error.kind() == std::io::ErrorKind::Interrupted) {
                continue;
            }
            let last = numbers.last().copied().unwrap_or(0);
            let holes: Vec<_> = (first.unwrap_or(1)..=last).filter(|number| !numbers.contains(number)).collect();
            assert!(holes.is_empty(), "{holes:?} of {last}");
        }
    });
    let mut load = tokio::task::JoinSet::new();
    for worker in 0..16 {
        let address = world.address;
        load.spawn(async move {
            let mut client = crate::support::Client::connect(address).await;
            loop {
                // Every other one is refused: that is recorded too, and has no INTENT.
                let body = if worker % 2 == 0 { chat(false) } else { "{}".to_owned() };
                client.post("/v1/chat/completions", None, body).await.bytes().await;
            }
        });
    }
    let surveyed = surveying.await;
    load.shutdown().await;
    world.stop().await;
    surveyed.unwrap();
}
