//! What the HTTP sink promises, shown on a receiver that does what a script says.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::conformance::{Subject, events_config, stats, suite};
use super::receiver::{Answer, Got, Listening};
use super::script::{DEADLINE, Script, event, events, eventually};
use crate::config::{LogUsage, Organizations, Receiver, ReceiverFormat};
use crate::sink::{Ending, Plan, Sinks, Trouble};
use crate::types::Secret;

fn receiver(at: &Listening, format: ReceiverFormat) -> Receiver {
    Receiver {
        name: "test".into(),
        url: format!("http://{}/in", at.address).parse().unwrap(),
        format,
        headers: vec![(http::header::AUTHORIZATION, Secret::new("Bearer hush"))],
        timeout: Duration::from_millis(500),
        in_flight: 4,
    }
}

fn plan(receiver: &Receiver, dir: &Path) -> Plan {
    let mut config = events_config(dir, None, None);
    config.http = vec![receiver.clone()];
    Plan::all(&config).unwrap().remove(0)
}

fn start(receiver: &Receiver, script: &Script, dir: &Path) -> Sinks {
    let config = events_config(dir, None, None);
    Sinks::start(vec![(plan(receiver, dir), script.clone())], &config.spool).unwrap()
}

fn dead_lines(dir: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(dir.join("dead/http-test.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How often each event came, whole or in a list.
fn counted(got: &[Got]) -> BTreeMap<Vec<u8>, usize> {
    let mut counted = BTreeMap::new();
    for event in got.iter().flat_map(Got::events) {
        *counted.entry(event).or_default() += 1;
    }
    counted
}

fn conforms(format: &ReceiverFormat) {
    suite(|dir| {
        let listening = Listening::always(Answer::status(202));
        // One at a time, or they may overtake each other.
        let receiver = Receiver { in_flight: 1, ..receiver(&listening, format.clone()) };
        assert_eq!(&*plan(&receiver, dir).name(), "http-test");
        let listening = Arc::new(listening);
        let counting = Arc::clone(&listening);
        Subject {
            make: plan(&receiver, dir).maker(Arc::default()),
            count: Box::new(move || counting.got().iter().flat_map(Got::events).count() as u64),
            read: Box::new(move || listening.got().iter().flat_map(Got::events).collect()),
        }
    });
}

#[test]
fn structured_events_conform() {
    conforms(&ReceiverFormat::Structured);
}

#[test]
fn batches_conform() {
    conforms(&ReceiverFormat::Batch(7));
}

#[test]
fn what_time_can_mend_is_tried_again_until_it_is_taken_and_nothing_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    // Every kind of failure in turn; every third request is taken.
    let listening = Listening::start(|number, _| match number % 12 {
        0 => Answer::status(503),
        1 => Answer::Reset,
        3 => Answer::status(429),
        4 => Answer::TakenAndReset,
        6 => Answer::After(Duration::from_millis(700)),
        7 => Answer::status(401),
        9 => Answer::status(302).with("location", "http://127.0.0.1:1/"),
        10 => Answer::status(404),
        _ => Answer::status(200),
    });
    let script = Script::of(12);
    let sinks = start(&receiver(&listening, ReceiverFormat::Structured), &script, dir.path());
    script.wait_acknowledged(12);
    let got = counted(&listening.got());
    assert_eq!(got.keys().cloned().collect::<std::collections::BTreeSet<_>>(), events(12).into_iter().collect());
    assert_eq!((stats(&sinks).delivered, stats(&sinks).rejected), (12, 0));
    assert!(stats(&sinks).retries >= 12, "{:?}", stats(&sinks));
    assert!(dead_lines(dir.path()).is_empty());
    assert_eq!(sinks.stop(DEADLINE)[0].1, Ending::Drained);
}

#[test]
fn a_receiver_is_left_alone_as_long_as_it_asks() {
    let dir = tempfile::tempdir().unwrap();
    let listening = Listening::start(|number, _| match number {
        0 => Answer::status(429).with("retry-after", "1"),
        _ => Answer::status(200),
    });
    let script = Script::of(1);
    let sinks = start(&receiver(&listening, ReceiverFormat::Structured), &script, dir.path());
    eventually("limited", || stats(&sinks).last_error == Some(Trouble::Limited));
    let limited = Instant::now();
    script.wait_acknowledged(1);
    assert!(limited.elapsed() > Duration::from_millis(900), "{:?}", limited.elapsed());
    assert_eq!(listening.got().len(), 2, "nothing was asked meanwhile");
    assert_eq!(stats(&sinks).connected, Some(true));
}

#[test]
fn one_event_that_fails_for_ever_holds_the_mark_and_not_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let listening = Listening::start(|_, got| {
        let poison = got.body == event(1) && !got.is_healed;
        Answer::status(if poison { 500 } else { 200 })
    });
    let script = Script::of(30);
    let _sinks = start(&receiver(&listening, ReceiverFormat::Structured), &script, dir.path());
    eventually("the others are there", || counted(&listening.got()).len() == 29);
    assert_eq!(script.state().acknowledged, 0);
    listening.heal();
    script.wait_acknowledged(30);
}

#[test]
fn a_refused_event_is_put_aside_with_its_status_and_the_others_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let listening = Listening::start(|_, got| Answer::status(if got.body == event(2) { 422 } else { 200 }));
    let script = Script::of(3);
    let sinks = start(&receiver(&listening, ReceiverFormat::Structured), &script, dir.path());
    script.wait_acknowledged(3);
    let dead = dead_lines(dir.path());
    assert_eq!(dead.len(), 1);
    assert_eq!((&dead[0]["reason"], &dead[0]["code"]), (&"invalid".into(), &422.into()));
    assert_eq!(dead[0]["event"], serde_json::from_slice::<serde_json::Value>(&event(2)).unwrap());
    assert_eq!((stats(&sinks).delivered, stats(&sinks).rejected), (2, 1));
    let got = listening.got();
    let first = got.iter().find(|got| got.body == event(1)).unwrap();
    assert_eq!(first.line, "POST /in HTTP/1.1");
    let header = |name: &str| first.headers.get(name).map_or("", String::as_str);
    assert_eq!(header("content-type"), "application/cloudevents+json; charset=UTF-8");
    assert_eq!((header("authorization"), header("idempotency-key")), ("Bearer hush", "s-1-1"));
}

#[test]
fn of_a_refused_batch_only_the_event_at_fault_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let listening = Listening::start(|_, got| {
        let at_fault = got.events().contains(&event(25));
        Answer::status(if at_fault { 400 } else { 200 })
    });
    let script = Script::of(100);
    let sinks = start(&receiver(&listening, ReceiverFormat::Batch(40)), &script, dir.path());
    script.wait_acknowledged(100);
    assert_eq!((stats(&sinks).delivered, stats(&sinks).rejected), (99, 1));
    assert_eq!(dead_lines(dir.path())[0]["event"]["id"], "s-1-25");
    let got = listening.got();
    assert!(got.iter().all(|got| got.events().len() <= 40));
    assert!(got.iter().any(|got| got.events().len() > 1), "events go together");
    assert_eq!(counted(&got).len(), 100);
    assert_eq!(got[0].headers["content-type"], "application/cloudevents-batch+json; charset=UTF-8");
}

#[test]
fn a_receiver_that_hangs_costs_few_events_and_stopping_does_not_wait_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let listening = Listening::always(Answer::After(Duration::from_mins(1)));
    let script = Script::of(1000);
    let receiver = Receiver { timeout: Duration::from_mins(1), ..receiver(&listening, ReceiverFormat::Structured) };
    let sinks = start(&receiver, &script, dir.path());
    eventually("as many as may be are under way", || listening.got().len() == 4);
    assert!(script.state().read <= 5, "{} were read", script.state().read);
    let stopping = Instant::now();
    assert_eq!(sinks.stop(Duration::from_millis(50))[0].1, Ending::Deadline);
    assert!(stopping.elapsed() < Duration::from_secs(2), "{:?}", stopping.elapsed());
    assert_eq!(script.state().acknowledged, 0);
}

#[test]
fn connections_are_kept_and_a_receiver_that_closes_them_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let listening = Listening::always(Answer::status(204));
    let script = Script::of(0);
    let sinks = start(&receiver(&listening, ReceiverFormat::Structured), &script, dir.path());
    for number in 1..=20 {
        script.push(event(number));
        script.wait_acknowledged(number);
    }
    assert_eq!(listening.connections(), 1);
    listening.hang_up();
    // Closed while nobody looks: the next event goes out on another connection.
    script.push(event(21));
    script.wait_acknowledged(21);
    assert_eq!((stats(&sinks).delivered, stats(&sinks).retries), (21, 0));
}

fn log_usage(at: &Listening) -> Receiver {
    let keys = [("k1".to_owned(), Secret::new("sk-one"))].into();
    let (secret, others) = (Secret::new("hush"), None);
    let format = ReceiverFormat::LogUsage(LogUsage { secret, keys, others, organizations: Organizations::OfEvents });
    Receiver { headers: Vec::new(), in_flight: 1, ..receiver(at, format) }
}

fn usage(id: &str, data: &str) -> Vec<u8> {
    format!(r#"{{"specversion":"1.0","id":"{id}","type":"dev.tollgate.usage.v1","data":{data}}}"#).into_bytes()
}

#[test]
fn a_guard_is_told_usage_in_numbers_only_and_nothing_that_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let listening = Listening::always(Answer::status(200));
    let script = Script::of(0);
    let cost = r#""cost":{"currency":"USD","total_nano":61000,"input_nano":9000,"output_nano":52000,"price":"x"}"#;
    script.push(usage(
        "a-1-1",
        &format!(
            r#"{{"key_id":"k1","org_id":"org","model_requested":"m","model_served":"m-2","stream":true,"outcome":"ok",
            "usage":{{"input_tokens":12,"output_tokens":34}},{cost},"request":{{"max_tokens":64,"temperature":0.7}}}}"#
        ),
    ));
    // Not known: neither a price nor a parameter.
    let unknown = r#"{"key_id":"k1","model_served":"m-2","outcome":"interrupted","usage":{"input_tokens":3}}"#;
    script.push(usage("a-1-2", unknown));
    // No usage: refused, of unknown usage, reported by another, a loss.
    let counts = r#""usage":{"input_tokens":1,"output_tokens":1}"#;
    script.push(usage("a-1-3", &format!(r#"{{"key_id":"k1","model_requested":"m","outcome":"rejected",{counts}}}"#)));
    script.push(usage("a-1-4", r#"{"key_id":"k1","model_requested":"m","outcome":"upstream_error","usage":{}}"#));
    script.push(usage(
        "a-1-5",
        &format!(r#"{{"key_id":"k1","model_requested":"m","outcome":"ok",{counts},"flags":["usage_reported"]}}"#),
    ));
    script.push(br#"{"specversion":"1.0","id":"l","type":"dev.tollgate.loss.v1","data":{"spool":"a"}}"#.to_vec());
    // For whom nobody can report; without a model; no event at all.
    script.push(usage("a-1-6", &format!(r#"{{"key_id":"k2","model_requested":"m","outcome":"ok",{counts}}}"#)));
    script.push(usage("a-1-7", &format!(r#"{{"key_id":"k1","outcome":"ok",{counts}}}"#)));
    script.push(b"{}".to_vec());
    let sinks = start(&log_usage(&listening), &script, dir.path());
    script.wait_acknowledged(9);
    let stats = stats(&sinks);
    assert_eq!((stats.delivered, stats.skipped, stats.rejected), (2, 4, 3));
    let reasons: Vec<_> = dead_lines(dir.path()).iter().map(|line| line["reason"].to_string()).collect();
    assert_eq!(reasons, ["\"authentication\"", "\"invalid\"", "\"invalid\""]);
    let mut got = listening.got();
    // Both may be under way at once.
    got.sort_by_key(|got| got.headers.get("idempotency-key").cloned());
    let bodies: Vec<_> = got.iter().map(|got| String::from_utf8(got.body.clone()).unwrap()).collect();
    let expected = [
        r#"{"model":"m","temperature":0.7,"top_p":0.0,"stream":true,"input_cost":9e-6,"output_cost":0.000052,"total_cost":0.000061,"input_tokens":12,"output_tokens":34,"max_tokens":64}"#,
        r#"{"model":"m-2","temperature":0.0,"top_p":0.0,"stream":false,"input_cost":0.0,"output_cost":0.0,"total_cost":0.0,"input_tokens":3,"output_tokens":0,"max_tokens":0}"#,
    ];
    assert_eq!(bodies, expected);
    let header = |name: &str| got[0].headers.get(name).map_or("", String::as_str);
    assert_eq!((header("secretkey"), header("authorization")), ("hush", "sk-one"));
    assert_eq!((header("swarms-organization"), header("idempotency-key")), ("org", "a-1-1"));
    assert!(!got[1].headers.contains_key("swarms-organization"));
}

#[test]
fn neither_the_sink_nor_its_settings_show_a_secret() {
    let listening = Listening::always(Answer::status(200));
    for receiver in [log_usage(&listening), receiver(&listening, ReceiverFormat::Binary)] {
        let dir = tempfile::tempdir().unwrap();
        let sink = crate::sink::http::HttpSink::open(&receiver, &Arc::default()).unwrap();
        let shown = format!("{receiver:?} {sink:?} {:?}", plan(&receiver, dir.path()));
        assert!(!shown.contains("hush") && !shown.contains("sk-one"), "{shown}");
    }
}

#[test]
fn a_receiver_whose_certificate_is_not_trusted_is_told_nothing_and_waited_for() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = stream;
            let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            assert!(tls.complete_io(&mut stream).is_err(), "the certificate was trusted");
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let listening = Listening::always(Answer::status(200));
    let url = format!("https://localhost:{port}/").parse().unwrap();
    let receiver = Receiver { url, ..receiver(&listening, ReceiverFormat::Structured) };
    let script = Script::of(1);
    let sinks = start(&receiver, &script, dir.path());
    eventually("not trusted", || stats(&sinks).last_error == Some(Trouble::Authentication));
    assert_eq!((stats(&sinks).connected, script.state().acknowledged), (Some(false), 0));
}
