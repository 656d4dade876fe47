//! That the peers themselves work, without Tollgate: when these fail, look here first.

use std::fs;
use std::time::Duration;

use super::{KafkaPeer, LlamaPeer, Process, Sdk, check_events, check_metrics, off_runtime, tied};

const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(feature = "kafka")]
fn produce(bootstrap: &str, topic: &str, keys: std::ops::Range<usize>) {
    use rdkafka::ClientConfig;
    use rdkafka::message::{Header, OwnedHeaders};
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("enable.idempotence", "true").set("compression.type", "zstd");
    let producer: BaseProducer = config.create().expect("the settings are valid");
    for number in keys {
        let key = format!("key-{number}");
        let headers = OwnedHeaders::new().insert(Header { key: "content-type", value: Some("application/json") });
        let record = BaseRecord::to(topic).key(&key).payload("{}").headers(headers);
        producer.send(record).map_err(|(e, _)| e).expect("the queue has room");
    }
    producer.flush(PATIENCE).expect("the broker acknowledges");
}

#[cfg(feature = "kafka")]
#[test]
fn kafka_hands_an_independent_reader_what_a_producer_sent() {
    let kafka = KafkaPeer::shared();
    kafka.create_topic("peers-smoke", 3);
    produce(&kafka.bootstrap, "peers-smoke", 0..100);

    let messages = kafka.read("peers-smoke", 100, PATIENCE);

    let mut keys: Vec<_> = messages.iter().filter_map(|m| m.key.clone()).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 100);
    assert!(
        messages.iter().all(|m| m.value.as_deref() == Some("{}") && m.headers["content-type"] == "application/json")
    );
    assert!(messages.iter().all(|m| (0..3).contains(&m.partition) && (0..100).contains(&m.offset)));
    assert_eq!(kafka.read("peers-smoke", 0, PATIENCE).len(), 100, "a count of 0 reads to the end and stops there");
}

#[cfg(feature = "kafka")]
#[test]
fn a_killed_broker_comes_back_with_its_messages() {
    let mut kafka = KafkaPeer::alone();
    kafka.create_topic("kept", 1);
    produce(&kafka.bootstrap, "kept", 0..10);

    kafka.stop();
    kafka.start();

    produce(&kafka.bootstrap, "kept", 10..20);
    assert_eq!(kafka.read("kept", 20, PATIENCE).len(), 20);
}

#[test]
fn both_clients_read_whole_answers_streams_completions_and_embeddings_of_llama() {
    let base_url = format!("{}/v1", LlamaPeer::shared().url);
    for sdk in [Sdk::python(&base_url, "any"), Sdk::node(&base_url, "any")] {
        let whole = sdk.ask("whole");
        assert_eq!((&whole["model"], &whole["finish_reason"]), (&"tiny".into(), &"length".into()), "{whole}");
        assert_eq!(whole["usage"]["completion_tokens"], 8, "{whole}");

        let stream = sdk.ask("stream");
        assert_eq!((&stream["usage_chunks"], &stream["empty_choices"]), (&0.into(), &0.into()), "{stream}");
        assert_eq!(stream["finish_reason"], "length", "{stream}");

        let with_usage = sdk.ask("stream_with_usage");
        assert_eq!((&with_usage["usage_chunks"], &with_usage["empty_choices"]), (&1.into(), &1.into()), "{with_usage}");
        assert_eq!(with_usage["usage"]["completion_tokens"], 8, "{with_usage}");

        assert_eq!(sdk.ask("completion")["usage"]["completion_tokens"], 8);
        assert_eq!(sdk.ask("embeddings")["dimensions"], 64);
    }
}

#[test]
fn the_clients_send_what_they_are_told_and_report_an_error_with_its_tries() {
    // The context is 4,096 tokens long; the model name and the header change nothing here.
    let base_url = format!("{}/nowhere", LlamaPeer::shared().url);
    for sdk in [Sdk::python(&base_url, "any"), Sdk::node(&base_url, "any")] {
        let seen = sdk.model("other").max_tokens(3).header("x-test", "1").ask("refusal");
        assert_eq!((&seen["ok"], &seen["tries"]), (&false.into(), &1.into()), "{seen}");
        assert_eq!(
            (&seen["error"]["class"], &seen["error"]["status"]),
            (&"NotFoundError".into(), &404.into()),
            "{seen}"
        );
    }
}

#[tokio::test]
async fn an_async_test_can_wait_for_a_peer_of_its_own() {
    let url = off_runtime(|| LlamaPeer::alone().url.clone()).await;
    let address = url.strip_prefix("http://").expect("a URL");
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "a dropped peer is gone");
}

#[test]
fn promtool_accepts_a_good_page_and_names_the_fault_of_a_bad_one() {
    let good =
        "# HELP tollgate_requests_total Requests.\n# TYPE tollgate_requests_total counter\ntollgate_requests_total 1\n";
    assert_eq!(check_metrics(good), Ok(()));
    let fault =
        check_metrics("# HELP tollgate_requests Requests.\n# TYPE tollgate_requests counter\ntollgate_requests 1\n");
    assert!(fault.is_err_and(|e| e.contains("_total")));
}

#[test]
fn the_event_check_counts_good_and_bad_lines() {
    let dir = tempfile::tempdir().unwrap();
    let schema = dir.path().join("schema.json");
    fs::write(&schema, r#"{"type":"object","required":["id"]}"#).unwrap();
    let good = r#"{"specversion":"1.0","id":"1","source":"/tollgate/a","type":"t","data":{}}"#;
    let lines = format!("{good}\n{good}\n{{\"id\":\"2\"}}\n[]\n");

    let check = check_events(&schema, &lines);

    assert_eq!((check.events, check.valid, check.invalid, check.distinct_ids), (4, 2, 2, 1));
    assert!(check.faults.iter().any(|fault| fault.starts_with("line 3: not a CloudEvent")), "{:?}", check.faults);
}

#[test]
fn a_program_that_ends_too_early_is_explained_by_its_last_lines() {
    let mut command = tied("bash");
    command.args(["-c", "echo broken >&2"]);
    let error = Process::start(command, |line| (line == "ready").then_some(())).expect_err("it never gets ready");
    assert!(error.contains("ended before it was ready") && error.contains("broken"), "{error}");
}

#[test]
fn a_program_can_be_ended_by_a_signal() {
    let mut command = tied("bash");
    command.args(["-c", "trap 'exit 7' TERM; echo ready; while :; do read -t 0.05 <> <(:); done"]);
    let (mut process, ()) = Process::start(command, |line| (line == "ready").then_some(())).unwrap();
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(7), "{}", process.last_lines());
}
