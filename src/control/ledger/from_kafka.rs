//! The ledger's reader of the topic: one thread that reads, applies, and reads on.
//!
//! A batch that the database does not take is offered until it does; meanwhile nothing more is read, and the group may
//! give the partitions to another member, which begins where the database says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tracing::{info, warn};

use super::entry::{self, Entry, Envelope};
use super::{BATCH, BATCH_WAIT, Books, Counters, FORGET};
use crate::config::{Database, Kafka};
use crate::control::store::Store;
use crate::control::store::ledger::{Batch, DeadLetter};
use crate::sink::kafka::{Group, Received};
use crate::types::Timestamp;

/// The consumer group of every control plane.
const GROUP: &str = "tollgate-ledger";
/// How long an idle reader waits for a record before it looks after its orders.
const IDLE: Duration = Duration::from_millis(100);
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(3)];

/// The running reader. Dropping it stops it.
#[derive(Debug)]
pub struct Reader {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Work {
    database: Database,
    kafka: Kafka,
    counters: Arc<Counters>,
    stop: Arc<AtomicBool>,
}

impl Reader {
    /// Starts it. Waits neither for the database nor for a broker.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(database: &Database, kafka: &Kafka, counters: &Arc<Counters>) -> std::io::Result<Self> {
        let stop: Arc<AtomicBool> = Arc::default();
        let (database, kafka) = (database.clone(), kafka.clone());
        let work = Work { database, kafka, counters: Arc::clone(counters), stop: Arc::clone(&stop) };
        let thread = std::thread::Builder::new().name("ledger".to_owned()).spawn(move || work.run())?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Stops it after the batch that it is at. Blocks for up to a few seconds.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Work {
    fn run(&self) {
        let mut pause = PAUSES[0];
        while !self.stopped() {
            match self.session() {
                Ok(()) => pause = PAUSES[0],
                Err(error) => {
                    warn!(%error, "the ledger cannot read usage events and tries again");
                    self.pause(pause);
                    pause = (pause * 2).min(PAUSES[1]);
                }
            }
        }
    }

    fn session(&self) -> Result<(), Box<dyn std::error::Error>> {
        let books = Arc::new(Books::open(&self.database)?);
        let source = format!("kafka/{}", self.kafka.topic);
        let start = self.positions(&books, &source);
        let group = Group::join(&self.kafka, GROUP, (start, self.counters.lag.clone()))?;
        info!(topic = self.kafka.topic, group = GROUP, "the ledger reads usage events");
        let mut forgotten = Instant::now();
        // Per partition, the offset that should come next.
        let mut expected = BTreeMap::new();
        while !self.stopped() {
            let batch = self.collect(&group, &source, &mut expected);
            if !batch.is_empty() && !self.apply(&books, &batch) {
                break;
            }
            if forgotten.elapsed() > FORGET {
                forgotten = Instant::now();
                if let Err(error) = books.runtime.block_on(books.store.forget_applied(Timestamp::now())) {
                    warn!(%error, "old event ids could not be forgotten");
                }
            }
        }
        drop(group);
        books.runtime.block_on(books.store.close());
        Ok(())
    }

    /// Asks the database until it answers: to begin at a wrong place would be worse than to wait.
    fn positions(&self, books: &Arc<Books>, source: &str) -> crate::sink::kafka::Start {
        let (books, source, stop) = (Arc::clone(books), source.to_owned(), Arc::clone(&self.stop));
        Box::new(move || {
            loop {
                match books.runtime.block_on(Store::positions(&books.store, &source)) {
                    Ok(positions) => return positions,
                    Err(_) if stop.load(Ordering::Relaxed) => return BTreeMap::new(),
                    Err(error) => {
                        warn!(%error, "the ledger's positions cannot be read");
                        std::thread::sleep(PAUSES[0]);
                    }
                }
            }
        })
    }

    fn collect(&self, group: &Group, source: &str, expected: &mut BTreeMap<i32, i64>) -> Batch {
        let mut batch = Batch { source: source.to_owned(), ..Batch::default() };
        let mut until: Option<Instant> = None;
        while batch.len() < BATCH && !self.stopped() {
            let left = until.map_or(IDLE, |until| until.saturating_duration_since(Instant::now()));
            let got = group.next(left, |record| self.take(&record, &mut batch, expected));
            match until {
                None if got => until = Some(Instant::now() + BATCH_WAIT),
                None => break,
                Some(until) if Instant::now() >= until => break,
                Some(_) => {}
            }
        }
        batch
    }

    fn take(&self, record: &Received<'_>, batch: &mut Batch, expected: &mut BTreeMap<i32, i64>) {
        let (part, position) = (record.partition, record.offset);
        if let Some(missing) = expected.insert(part, position + 1).map(|expected| position - expected)
            && missing > 0
        {
            self.counters.skipped(missing.unsigned_abs());
            warn!(part, missing, "records of the topic are gone before they were read");
        }
        batch.positions.insert(part, position + 1);
        match read(record) {
            Ok(Entry::Usage(charge)) => batch.charges.push(charge),
            Ok(Entry::Loss(loss)) => batch.losses.push(loss),
            Err(reason) => {
                batch.dead.push(DeadLetter { part, position, reason, record: entry::kept(record.value) });
            }
        }
    }

    /// Whether it is applied; otherwise it is time to stop.
    fn apply(&self, books: &Books, batch: &Batch) -> bool {
        let mut pause = PAUSES[0];
        loop {
            match books.runtime.block_on(books.store.apply(batch)) {
                Ok(applied) => {
                    self.counters.applied(applied, batch.dead.len());
                    return true;
                }
                Err(error) => {
                    self.counters.failed();
                    warn!(%error, events = batch.len(), "the ledger's database did not take a batch; it is offered again");
                }
            }
            if self.stopped() {
                return false;
            }
            self.pause(pause);
            pause = (pause * 2).min(PAUSES[1]);
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while !self.stopped() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// An event in either form of the CloudEvents binding.
fn read(record: &Received<'_>) -> Result<Entry, &'static str> {
    let attribute = |name: &str| record.headers.iter().find(|(found, _)| *found == name).map(|(_, value)| *value);
    let now = Timestamp::now();
    match (attribute("ce_id"), attribute("ce_type"), attribute("ce_time")) {
        (Some(id), Some(kind), Some(time)) => {
            let data: &RawValue = serde_json::from_slice(record.value).map_err(|_| "not_an_event")?;
            entry::read_envelope(&Envelope { id: id.into(), kind: kind.into(), time: time.into(), data }, now)
        }
        _ => entry::read(record.value, now),
    }
}
