//! A Kafka that comes and goes: librdkafka's mock cluster in a process of its own, so that it outlives whoever is killed.
//!
//! That process is this test binary again, running the one test below. Each mock partition keeps at most 5 MiB, so
//! whoever counts must read all the time.

use std::io::{BufRead, stdin};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rdkafka::mocking::MockCluster;

use super::victim::TOPIC;

/// Tells the process what it is.
const ROLE: &str = "TOLLGATE_TEST_MOCK_KAFKA";
const READY: &str = "mock cluster at ";
const PARTITIONS: i32 = 8;

/// The process.
pub(super) struct Cluster {
    child: Child,
    pub(super) bootstrap: String,
}

impl Cluster {
    /// Starts it, flapping.
    pub(super) fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["soak::cluster::the_mock_cluster_lives_in_a_process_of_its_own", "--exact", "--nocapture"]);
        // It ends when its standard input does, so it cannot outlive this process.
        let command = command.env(ROLE, "1").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains(READY) {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "the mock cluster did not start");
        }
        thread::spawn(move || said.lines().map_while(Result::ok).for_each(drop));
        let bootstrap = line.rsplit(' ').next().unwrap().trim().to_owned();
        Self { child, bootstrap }
    }

    /// From now on the brokers stay up.
    pub(super) fn calm(&self) {
        use std::io::Write;
        self.child.stdin.as_ref().unwrap().write_all(b"calm\n").unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_mock_cluster_lives_in_a_process_of_its_own() {
    if std::env::var_os(ROLE).is_some() {
        return live();
    }
    let cluster = Cluster::start();
    assert_ne!(cluster.child.id(), std::process::id());
    assert!(cluster.bootstrap.starts_with("127.0.0.1:"), "{}", cluster.bootstrap);
}

/// The life of the process: flaps until it is told to be calm, ends with its standard input.
fn live() {
    let cluster = MockCluster::new(2).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, 2).unwrap();
    let (orders, inbox) = channel();
    thread::spawn(move || stdin().lines().map_while(Result::ok).try_for_each(|line| orders.send(line)));
    println!("{READY}{}", cluster.bootstrap_servers());
    loop {
        let up = Duration::from_millis(fastrand::u64(1000..5000));
        let down = Duration::from_millis(fastrand::u64(1000..4000));
        if told(&inbox, up) {
            break;
        }
        for broker in [1, 2] {
            cluster.broker_down(broker).unwrap();
        }
        let calm = told(&inbox, down);
        for broker in [1, 2] {
            cluster.broker_up(broker).unwrap();
        }
        if calm {
            break;
        }
    }
    while inbox.recv().is_ok() {}
}

/// Waits; whether there was an order, or nobody gives any more.
fn told(inbox: &Receiver<String>, wait: Duration) -> bool {
    !matches!(inbox.recv_timeout(wait), Err(RecvTimeoutError::Timeout))
}
