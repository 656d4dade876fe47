//! Compares what clients saw with what the sinks have.
//!
//! Lost: an answer that a client read to its end, and that has no event of that outcome; also an answer whose head came
//! and that has no event at all. Invented: an event of a request that nobody sent, or a second event of one that was.
//! Missing: a number of an epoch without an event before one with it. A number of which nothing was ever written (the
//! process died first) is the epoch's end and no gap: numbers are given out and first written under one lock.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde::Deserialize;
use tollgate::audit::{Audit, EpochReport};
use tollgate::spool::{Seen, survey};

use super::driver::Log;
use super::victim::{self, Place, audit};

/// After the last kill everything is delivered within this time.
const DRAINED_WITHIN: Duration = Duration::from_mins(2);

#[derive(Deserialize)]
struct Event {
    id: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    request_id: String,
    session_id: Option<String>,
    outcome: String,
}

/// What one sink has.
#[derive(Default)]
struct Sink {
    audit: Audit,
    /// By id: request, session, outcome.
    events: HashMap<String, (String, Option<String>, String)>,
    copies: u64,
    torn: u64,
}

impl Sink {
    fn take(&mut self, bytes: &[u8]) {
        let Ok(event) = serde_json::from_slice::<Event>(bytes) else {
            self.torn += 1;
            return;
        };
        self.audit.event(bytes).expect("an event");
        let data = event.data;
        let known = self.events.insert(event.id, (data.request_id, data.session_id, data.outcome));
        self.copies += u64::from(known.is_some());
    }

    fn ids(&self) -> HashSet<&str> {
        self.events.keys().map(String::as_str).collect()
    }

    /// Everything that is wrong with it.
    fn faults(&self, log: &Log) -> Vec<String> {
        let mut faults = Vec::new();
        let mut by_session = HashMap::new();
        for (id, (request, session, outcome)) in &self.events {
            match session.as_ref().filter(|session| log.contains_key(*session)) {
                None => faults.push(format!("invented: {id} of session {session:?}")),
                Some(session) => {
                    if let Some((other, ..)) = by_session.insert(session.as_str(), (id, request, outcome)) {
                        faults.push(format!("invented: {id} and {other} of one request, session {session}"));
                    }
                }
            }
        }
        for (session, fate) in log {
            let Some(request_id) = &fate.request_id else { continue };
            let found = by_session.get(session.as_str()).filter(|(_, request, _)| *request == request_id);
            let outcome = found.map(|(_, _, outcome)| outcome.as_str());
            if outcome.is_none() || fate.completed.is_some_and(|expected| outcome != Some(expected)) {
                faults.push(format!("lost: {request_id} of session {session}, {fate:?}, has outcome {outcome:?}"));
            }
        }
        // What the epochs say of themselves is worth reading only where something is wrong.
        let wrong = |epoch: &&EpochReport| epoch.missing.count + epoch.duplicates.different > 0;
        let report = self.audit.report();
        faults.extend(report.epochs.iter().filter(wrong).map(ToString::to_string));
        assert_eq!(report.sound, report.epochs.iter().find(wrong).is_none(), "{report}");
        faults
    }
}

/// Reads both sinks while they are written.
pub(super) struct Oracle {
    kafka: Arc<Mutex<Sink>>,
    stop: Arc<AtomicBool>,
    reading: JoinHandle<()>,
    file: PathBuf,
}

/// What a run showed.
pub(super) struct Figures {
    kills: usize,
    completed: usize,
    sent: usize,
    kafka: (usize, u64),
    file: (usize, u64, u64),
    drained: Duration,
}

impl Oracle {
    /// Reads the topic all the time, for a mock partition keeps little.
    pub(super) fn watch(brokers: &str, topic: &str, file: PathBuf) -> Self {
        let (kafka, stop) = (Arc::<Mutex<Sink>>::default(), Arc::<AtomicBool>::default());
        let consumer = consumer(brokers, topic);
        let (sink, stopped) = (Arc::clone(&kafka), Arc::clone(&stop));
        let reading = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // Brokers come and go: an error is no answer.
                if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
                    sink.lock().unwrap().take(message.payload().unwrap_or_default());
                }
            }
        });
        Self { kafka, stop, reading, file }
    }

    /// Lets Tollgate deliver what is left, in a last life without load, then judges.
    pub(super) async fn judge(self, place: &Place, log: Log, kills: usize) -> Figures {
        let started = Instant::now();
        let victim = victim::start(place).await;
        let mut file = Sink::default();
        let mut read = 0;
        loop {
            read = take_lines(&self.file, read, &mut file);
            let spool = in_spool(&place.spool());
            {
                let kafka = self.kafka.lock().unwrap();
                let (in_kafka, in_file) = (kafka.ids(), file.ids());
                if in_kafka == in_file && spool.iter().all(|id| in_file.contains(id.as_str())) {
                    break;
                }
                assert!(
                    started.elapsed() < DRAINED_WITHIN,
                    "not drained: {} in Kafka, {} in the file, {} in the spool; only in the file: {:?}; only in Kafka: {:?}\n{}",
                    in_kafka.len(),
                    in_file.len(),
                    spool.len(),
                    in_file.difference(&in_kafka).take(10).collect::<Vec<_>>(),
                    in_kafka.difference(&in_file).take(10).collect::<Vec<_>>(),
                    victim.process.last_lines()
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let drained = started.elapsed();
        victim.end().await;
        take_lines(&self.file, read, &mut file);
        self.stop.store(true, Ordering::Relaxed);
        self.reading.join().unwrap();
        let kafka = self.kafka.lock().unwrap();
        for (name, sink) in [("Kafka", &*kafka), ("the file", &file)] {
            let faults = sink.faults(&log);
            assert!(
                faults.is_empty(),
                "{} faults of {name}:\n{}",
                faults.len(),
                faults[..faults.len().min(20)].join("\n")
            );
        }
        audit(&["--file", self.file.to_str().unwrap()]);
        audit(&["--spool", place.spool().to_str().unwrap()]);
        let completed = log.values().filter(|fate| fate.completed.is_some()).count();
        assert!(completed > kills, "hardly any load: {completed} answers");
        Figures {
            kills,
            completed,
            sent: log.len(),
            kafka: (kafka.events.len(), kafka.copies),
            file: (file.events.len(), file.copies, file.torn),
            drained,
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, completed, sent, kafka, file, drained } = self;
        write!(
            f,
            "{kills} kills, {sent} requests, {completed} answers completed, 0 lost, 0 invented; Kafka: {} events, {} \
             duplicates before and 0 after deduplication; file: {} events, {} duplicates, {} torn lines; drained in {drained:.1?}",
            kafka.0, kafka.1, file.0, file.1, file.2
        )
    }
}

fn consumer(brokers: &str, topic: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "oracle").set("enable.auto.commit", "false");
    config.set("reconnect.backoff.max.ms", "300").set("auto.offset.reset", "earliest");
    config.set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
    let consumer: BaseConsumer = config.create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(30)).unwrap();
    let mut partitions = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        partitions.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    assert!(partitions.count() > 0, "{topic} has no partitions");
    consumer.assign(&partitions).unwrap();
    consumer
}

/// Takes the whole lines after an offset; the offset after them.
fn take_lines(path: &Path, from: u64, sink: &mut Sink) -> u64 {
    let Ok(mut file) = File::open(path) else { return from };
    file.seek(SeekFrom::Start(from)).unwrap();
    let mut lines = BufReader::new(file);
    let (mut at, mut line) = (from, Vec::new());
    while lines.read_until(b'\n', &mut line).unwrap() > 0 && line.ends_with(b"\n") {
        at += line.len() as u64;
        if line.len() > 1 {
            sink.take(&line);
        }
        line.clear();
    }
    at
}

fn in_spool(dir: &Path) -> HashSet<String> {
    loop {
        let mut ids = HashSet::new();
        let found = survey(dir, |_, seen| {
            if let Seen::Event { event } = seen {
                ids.insert(serde_json::from_slice::<Event>(event).unwrap().id);
            }
        });
        match found {
            // Something was delivered and deleted in the middle of it.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            found => return found.map(|_| ids).unwrap(),
        }
    }
}
