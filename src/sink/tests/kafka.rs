//! What the Kafka sink promises besides, against librdkafka's own mock brokers.

use std::path::Path;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Headers;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr as Code};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use super::conformance::{Subject, events_config, stats, suite};
use super::script::{DEADLINE, Script, event, events, eventually};
use crate::config::{Events, Kafka, KafkaFormat};
use crate::sink::kafka::{Level, check};
use crate::sink::{Ending, Plan, SinkError, Sinks, Trouble, WINDOW_RECORDS};
use crate::types::Secret;

const TOPIC: &str = "usage.v1";

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster() -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    cluster
}

fn settings(cluster: &Cluster, properties: &[(&str, &str)]) -> Kafka {
    // Short waits, so that tests are quick.
    let quick =
        [("reconnect.backoff.max.ms", "300"), ("linger.ms", "20"), ("topic.metadata.propagation.max.ms", "100")];
    Kafka {
        brokers: cluster.bootstrap_servers(),
        topic: TOPIC.to_owned(),
        format: KafkaFormat::Structured,
        properties: quick.iter().chain(properties).map(|(k, v)| ((*k).to_owned(), Secret::new(*v))).collect(),
    }
}

fn plan(kafka: Kafka, dir: &Path) -> (Plan, Events) {
    let config = events_config(dir, Some(kafka), None);
    (Plan::all(&config).unwrap().remove(0), config)
}

fn start(kafka: Kafka, script: &Script, dir: &Path) -> Sinks {
    let (plan, config) = plan(kafka, dir);
    Sinks::start(vec![(plan, script.clone())], &config.spool).unwrap()
}

fn consumer(brokers: &str) -> BaseConsumer {
    ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", "readers").create().unwrap()
}

struct Read {
    key: Vec<u8>,
    value: Vec<u8>,
    headers: Vec<(String, String)>,
}

/// Everything in the topic's one partition, as a consumer sees it.
fn read(brokers: &str) -> Vec<Read> {
    let consumer = consumer(brokers);
    let (_, end) = consumer.fetch_watermarks(TOPIC, 0, DEADLINE).unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let deadline = Instant::now() + DEADLINE;
    let mut all = Vec::new();
    while (all.len() as i64) < end {
        assert!(Instant::now() < deadline, "{} of {end} messages read", all.len());
        let Some(message) = consumer.poll(Duration::from_millis(100)).map(Result::unwrap) else { continue };
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
        all.push(Read {
            key: message.key().unwrap().to_vec(),
            value: message.payload().unwrap().to_vec(),
            headers: message.headers().unwrap().iter().map(|h| (h.key.to_owned(), text(h.value))).collect(),
        });
    }
    all
}

fn values(brokers: &str) -> Vec<Vec<u8>> {
    read(brokers).into_iter().map(|message| message.value).collect()
}

#[test]
fn waiting_costs_no_processor_time() {
    let cluster = cluster();
    let (plan, _) = plan(settings(&cluster, &[]), Path::new("."));
    let mut sink = plan.maker(std::sync::Arc::default())().unwrap();
    let mut settled = Vec::new();
    let used = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let (started, before) = (Instant::now(), used());
    for wait in [Duration::ZERO, Duration::from_millis(5)].repeat(50) {
        sink.settle(wait, &mut settled).unwrap();
    }
    assert!(started.elapsed() >= Duration::from_millis(250), "it does wait");
    let used = used().saturating_sub(before);
    assert!(used < Duration::from_millis(20), "{used:?} in 100 looks for news");
}

#[test]
fn kafka_conforms() {
    let mut clusters = Vec::new();
    suite(|dir| {
        let cluster = cluster();
        let brokers = cluster.bootstrap_servers();
        let (plan, _) = plan(settings(&cluster, &[]), dir);
        clusters.push(cluster);
        let counter = consumer(&brokers);
        Subject {
            make: plan.maker(std::sync::Arc::default()),
            count: Box::new(move || counter.fetch_watermarks(TOPIC, 0, DEADLINE).unwrap().1 as u64),
            read: Box::new(move || values(&brokers)),
        }
    });
}

#[test]
fn brokers_that_are_down_at_the_start_are_waited_for() {
    let (dir, cluster, script) = (tempfile::tempdir().unwrap(), cluster(), Script::of(100));
    cluster.broker_down(-1).unwrap();
    let sinks = start(settings(&cluster, &[]), &script, dir.path());
    eventually("noticed", || stats(&sinks).last_error == Some(Trouble::Unreachable));
    eventually("taken", || stats(&sinks).in_flight == 100);
    assert_eq!(script.state().acknowledged, 0);
    cluster.broker_up(-1).unwrap();
    script.wait_acknowledged(100);
    assert_eq!(values(&cluster.bootstrap_servers()), events(100));
    eventually("connected", || stats(&sinks).connected == Some(true));
}

#[test]
fn brokers_that_are_down_at_the_end_do_not_hold_up_the_stop() {
    let (dir, cluster, script) = (tempfile::tempdir().unwrap(), cluster(), Script::of(10));
    cluster.broker_down(-1).unwrap();
    let sinks = start(settings(&cluster, &[]), &script, dir.path());
    eventually("taken", || stats(&sinks).in_flight == 10);
    let begun = Instant::now();
    assert_eq!(sinks.stop(Duration::from_millis(100))[0].1, Ending::Deadline);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(script.state().acknowledged, 0);
}

#[test]
fn passing_produce_errors_lose_and_reorder_nothing() {
    let (dir, cluster, script) = (tempfile::tempdir().unwrap(), cluster(), Script::of(100));
    let errors = [
        Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        Code::RD_KAFKA_RESP_ERR__TRANSPORT,
    ];
    cluster.request_errors(RDKafkaApiKey::Produce, &errors);
    let sinks = start(settings(&cluster, &[]), &script, dir.path());
    script.wait_acknowledged(100);
    assert_eq!(values(&cluster.bootstrap_servers()), events(100));
    assert_eq!((stats(&sinks).delivered, stats(&sinks).rejected), (100, 0));
    script.assert_kept_its_promises();
}

#[test]
fn of_a_refused_batch_only_the_record_that_is_refused_alone_is_dead_lettered() {
    let (dir, cluster, script) = (tempfile::tempdir().unwrap(), cluster(), Script::of(20));
    // Once for the batch of all, once for the first record alone.
    cluster.request_errors(RDKafkaApiKey::Produce, &[Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; 2]);
    let sinks = start(settings(&cluster, &[]), &script, dir.path());
    script.wait_acknowledged(20);
    assert_eq!(values(&cluster.bootstrap_servers()), events(20)[1..]);
    eventually("counted", || (stats(&sinks).delivered, stats(&sinks).rejected) == (19, 1));
    let dead = std::fs::read_to_string(dir.path().join("dead/kafka.jsonl")).unwrap();
    assert!(dead.contains(r#""reason":"too_large","code":10"#) && dead.contains("s-1-1"), "{dead}");
}

#[test]
fn an_event_that_is_too_large_is_dead_lettered_and_the_others_arrive() {
    let (dir, cluster, script) = (tempfile::tempdir().unwrap(), cluster(), Script::of(2));
    script.push(vec![b'x'; 4096]);
    script.push(event(4));
    let sinks = start(settings(&cluster, &[("message.max.bytes", "2000")]), &script, dir.path());
    script.wait_acknowledged(4);
    assert_eq!(values(&cluster.bootstrap_servers()), [event(1), event(2), event(4)]);
    eventually("counted", || (stats(&sinks).delivered, stats(&sinks).rejected) == (3, 1));
    assert_eq!(stats(&sinks).last_error, Some(Trouble::TooLarge));
}

#[test]
fn missing_permission_is_waited_out() {
    let (dir, cluster, script) = (tempfile::tempdir().unwrap(), cluster(), Script::of(10));
    cluster.request_errors(RDKafkaApiKey::Produce, &[Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 2]);
    let sinks = start(settings(&cluster, &[]), &script, dir.path());
    script.wait_acknowledged(10);
    let arrived = values(&cluster.bootstrap_servers());
    assert!(events(10).iter().all(|event| arrived.contains(event)));
    assert_eq!((stats(&sinks).last_error, stats(&sinks).rejected), (Some(Trouble::Authorization), 0));
}

#[test]
fn a_missing_topic_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let (cluster, script) = (MockCluster::new(1).unwrap(), Script::of(10));
    let sinks = start(settings(&cluster, &[]), &script, dir.path());
    eventually("noticed", || stats(&sinks).last_error == Some(Trouble::Topic));
    assert_eq!(script.state().acknowledged, 0);
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    script.wait_acknowledged(10);
    assert_eq!(values(&cluster.bootstrap_servers()), events(10));
}

#[test]
fn a_slow_broker_does_not_grow_the_window() {
    let count = WINDOW_RECORDS as u64 * 3 / 2;
    let (dir, cluster, script) = (tempfile::tempdir().unwrap(), cluster(), Script::of(1));
    let sinks = start(settings(&cluster, &[]), &script, dir.path());
    // Slow only from here on: the handshakes are not what is tested.
    script.wait_acknowledged(1);
    cluster.broker_round_trip_time(-1, Duration::from_secs(1)).unwrap();
    for number in 2..=count {
        script.push(event(number));
    }
    let mut most = 0;
    eventually("all arrive", || {
        let state = script.state();
        most = most.max(state.read - state.acknowledged);
        state.acknowledged == count
    });
    assert_eq!(most, WINDOW_RECORDS as u64, "the window is used, and not exceeded");
    assert_eq!(stats(&sinks).delivered, count);
}

#[test]
fn structured_messages_hold_the_event_as_it_is() {
    let (dir, cluster, script) = (tempfile::tempdir().unwrap(), cluster(), Script::of(1));
    let _sinks = start(settings(&cluster, &[]), &script, dir.path());
    script.wait_acknowledged(1);
    let message = read(&cluster.bootstrap_servers()).remove(0);
    assert_eq!((message.key, message.value), (b"org_1".to_vec(), event(1)));
    let content_type = ("content-type".to_owned(), "application/cloudevents+json; charset=UTF-8".to_owned());
    assert_eq!(message.headers, [content_type]);
}

#[test]
fn binary_messages_hold_data_and_have_attributes_as_headers() {
    let (dir, cluster, script) = (tempfile::tempdir().unwrap(), cluster(), Script::of(1));
    let _sinks = start(Kafka { format: KafkaFormat::Binary, ..settings(&cluster, &[]) }, &script, dir.path());
    script.wait_acknowledged(1);
    let message = read(&cluster.bootstrap_servers()).remove(0);
    assert_eq!((message.key, message.value), (b"org_1".to_vec(), br#"{"n":1}"#.to_vec()));
    let expected =
        [("content-type", "application/json"), ("ce_id", "s-1-1"), ("ce_specversion", "1.0"), ("ce_type", "t")];
    assert_eq!(message.headers, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
}

#[test]
fn harmful_settings_are_refused_at_the_start() {
    let (dir, cluster) = (tempfile::tempdir().unwrap(), cluster());
    let config = events_config(dir.path(), Some(settings(&cluster, &[("acks", "0")])), None);
    let error = Plan::all(&config).unwrap_err();
    assert!(matches!(&error, SinkError::Kafka(_)), "{error}");
    assert!(error.to_string().contains("leave it out, or set it to all"), "{error}");
}

#[test]
fn a_check_names_what_is_wrong_and_how_to_mend_it() {
    let cluster = MockCluster::new(1).unwrap();
    let settings = settings(&cluster, &[]);
    let findings = check(&settings, Duration::from_secs(2));
    assert_eq!(findings.iter().map(|f| f.level).collect::<Vec<_>>(), [Level::Good, Level::Failed]);
    let remedy = findings[1].remedy.as_deref().unwrap();
    assert!(remedy.contains("kafka-topics.sh") && remedy.contains("--create --topic usage.v1"), "{remedy}");

    cluster.create_topic(TOPIC, 1, 1).unwrap();
    let findings = check(&settings, Duration::from_secs(2));
    // The mock cannot describe topics, which is what a user without that permission sees.
    assert_eq!(findings.iter().map(|f| f.level).collect::<Vec<_>>(), [Level::Good, Level::Warning, Level::Warning]);
    assert!(findings[2].what.contains("min.insync.replicas"));

    cluster.broker_down(-1).unwrap();
    let findings = check(&settings, Duration::from_secs(1));
    assert_eq!(findings.iter().map(|f| f.level).collect::<Vec<_>>(), [Level::Failed]);
    assert!(findings[0].remedy.is_some());
}
