//! A scripted feed and a scripted sink.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::sink::worker::MakeSink;
use crate::sink::{Feed, Offer, Offered, Record, Restart, Settled, Sink, Ticket};

/// Long enough for a slow machine; tests end as soon as the fact is there.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// How many records the destination holds, asked at each acknowledgement.
type Probe = Box<dyn FnMut() -> u64 + Send>;

/// The spool as a test sees it. Positions are 1, 2, 3, ….
#[derive(Clone)]
pub(super) struct Script(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
pub(super) struct State {
    records: Vec<Record<u64>>,
    pub(super) read: u64,
    pub(super) acknowledged: u64,
    pub(super) flushed: u64,
    pub(super) rewinds: u64,
    pub(super) violations: Vec<String>,
    probe: Option<Probe>,
}

/// The event with this number.
pub(super) fn event(number: u64) -> Vec<u8> {
    format!(r#"{{"specversion":"1.0","id":"s-1-{number}","type":"t","data":{{"n":{number}}}}}"#).into_bytes()
}

pub(super) fn events(count: u64) -> Vec<Vec<u8>> {
    (1..=count).map(event).collect()
}

impl Script {
    pub(super) fn of(count: u64) -> Self {
        let script = Self(Arc::default());
        for event in events(count) {
            script.push(event);
        }
        script
    }

    pub(super) fn push(&self, event: Vec<u8>) {
        let mut state = self.state();
        let position = state.records.len() as u64 + 1;
        state.records.push(Record { position, key: b"org_1".to_vec(), event });
        self.0.1.notify_all();
    }

    /// From now on each acknowledgement is held against what the destination has.
    pub(super) fn probe(&self, probe: impl FnMut() -> u64 + Send + 'static) {
        self.state().probe = Some(Box::new(probe));
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    pub(super) fn wait_acknowledged(&self, position: u64) {
        let (state, timeout) =
            self.0.1.wait_timeout_while(self.state(), DEADLINE, |state| state.acknowledged < position).unwrap();
        assert!(!timeout.timed_out(), "only {} of {position} acknowledged", state.acknowledged);
    }

    pub(super) fn assert_kept_its_promises(&self) {
        assert_eq!(self.state().violations, Vec::<String>::new());
    }
}

impl Feed for Script {
    type Position = u64;

    fn next(&mut self, wait: Duration) -> Option<Record<u64>> {
        let (mut state, _) =
            self.0.1.wait_timeout_while(self.state(), wait, |state| state.records.len() as u64 <= state.read).unwrap();
        let record = state.records.get(state.read as usize).cloned()?;
        state.read += 1;
        Some(record)
    }

    fn acknowledge(&mut self, position: u64) {
        let mut state = self.state();
        if position <= state.acknowledged || position > state.read {
            let violation = format!("acknowledged {position} after {}, read {}", state.acknowledged, state.read);
            state.violations.push(violation);
        }
        if let Some(there) = state.probe.as_mut().map(|probe| probe()).filter(|there| *there < position) {
            state.violations.push(format!("acknowledged {position} with {there} at the destination"));
        }
        state.acknowledged = position;
        self.0.1.notify_all();
    }

    fn rewind(&mut self) {
        let mut state = self.state();
        state.read = state.acknowledged;
        state.rewinds += 1;
    }

    fn flush(&mut self) {
        let mut state = self.state();
        state.flushed = state.acknowledged;
    }
}

/// Waits for a fact that nobody signals.
pub(super) fn eventually(what: &str, mut fact: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !fact() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A record that the scripted sink has taken.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) ticket: Ticket,
    pub(super) event: Vec<u8>,
}

/// What the scripted sink does with what it holds.
pub(super) trait Act: FnMut(&mut Vec<Held>, &mut Vec<Settled>) -> Result<(), Restart> + Send + 'static {}
impl<T: FnMut(&mut Vec<Held>, &mut Vec<Settled>) -> Result<(), Restart> + Send + 'static> Act for T {}

struct FakeSink<A> {
    act: Arc<Mutex<A>>,
    held: Vec<Held>,
}

/// Makes sinks that share one script and take everything.
pub(super) fn fake(act: impl Act) -> MakeSink {
    let act = Arc::new(Mutex::new(act));
    Box::new(move || Ok(Box::new(FakeSink { act: Arc::clone(&act), held: Vec::new() })))
}

impl<A: Act> Sink for FakeSink<A> {
    fn offer(&mut self, offered: Offered<'_>) -> Offer {
        self.held.push(Held { ticket: offered.ticket, event: offered.event.to_vec() });
        Offer::Taken
    }

    fn settle(&mut self, wait: Duration, settled: &mut Vec<Settled>) -> Result<(), Restart> {
        // A test panics in here on purpose, and the script must outlive that.
        let mut act = self.act.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let result = (*act)(&mut self.held, settled);
        if settled.is_empty() {
            std::thread::sleep(wait.min(Duration::from_millis(1)));
        }
        result
    }
}
