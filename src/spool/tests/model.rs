//! The spool against a plain model of it: a map from numbers to what became of them.
//!
//! Random lives of requests, sinks, restarts and kills on a recording disk. Whatever happens, each number that was given
//! out comes to the sink as the event that the model has, always the same, or is named by one loss event; and the counts
//! balance after every step. `TOLLGATE_MODEL_CASES` sets how many lives.

use std::collections::BTreeMap;
use std::mem::forget;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::test_runner::Config;

use super::history::{Id, SEGMENT, id_of, open_with};
use crate::config::{SyncMode, WhenFull};
use crate::event::{LossEvent, Outcome, UsageData, UsageEvent};
use crate::spool::disk::recorded::Recorder;
use crate::spool::{Position, Reader, Spool, Ticket};

/// A step of a life. Indices pick one of the open tickets, sizes are bytes of an event.
#[derive(Clone, Debug)]
enum Step {
    /// With an event that lacks its number.
    Begin,
    Settle,
    /// With bytes of this size.
    BeginRaw(usize),
    SettleRaw(usize),
    Progress(usize, usize),
    /// With these numbers.
    Further(usize, u64),
    Seal(usize, usize),
    Drop(usize),
    Read(usize),
    Acknowledge(usize),
    Rewind,
    Prepare,
    Sync,
    Restart,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let (at, bytes) = (0..8_usize, prop_oneof![20..300_usize, 3000..8000_usize]);
    prop_oneof![
        3 => Just(Step::Begin),
        1 => Just(Step::Settle),
        5 => bytes.clone().prop_map(Step::BeginRaw),
        2 => bytes.clone().prop_map(Step::SettleRaw),
        2 => (at.clone(), bytes.clone()).prop_map(|(at, bytes)| Step::Progress(at, bytes)),
        3 => (at.clone(), 0..10_000_u64).prop_map(|(at, numbers)| Step::Further(at, numbers)),
        6 => (at.clone(), bytes).prop_map(|(at, bytes)| Step::Seal(at, bytes)),
        1 => at.prop_map(Step::Drop),
        3 => (1..20_usize).prop_map(Step::Read),
        3 => (0..20_usize).prop_map(Step::Acknowledge),
        1 => Just(Step::Rewind),
        1 => Just(Step::Prepare),
        1 => Just(Step::Sync),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
    ]
}

/// What a number must come to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// There was no room to record anything.
    Lost,
    /// This is its event if nothing follows.
    Open(Vec<u8>),
    Done(Vec<u8>),
}

struct Life {
    recorder: Arc<Recorder>,
    settings: (u64, WhenFull, SyncMode),
    spool: Spool,
    reader: Reader,
    tickets: Vec<(Id, Ticket)>,
    model: BTreeMap<Id, State>,
    /// What the sink was given, by id.
    seen: BTreeMap<Id, Vec<u8>>,
    losses: BTreeMap<String, LossEvent>,
    read: Vec<Position>,
}

impl Life {
    fn begin(settings: (u64, WhenFull, SyncMode)) -> Self {
        let recorder = Recorder::new(SEGMENT);
        let spool = open_with(&recorder, settings).unwrap();
        let reader = spool.reader("kafka");
        let (tickets, model, seen) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { recorder, settings, spool, reader, tickets, model, seen, losses: BTreeMap::new(), read: Vec::new() }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Begin => self.encoded(Spool::begin),
            Step::Settle => self.settle(),
            Step::BeginRaw(bytes) => {
                let event = text("intent", self.next(), bytes);
                if let Ok(ticket) = self.spool.begin_raw("org", &event) {
                    self.give(ticket, event);
                }
            }
            Step::SettleRaw(bytes) => {
                let event = text("final", self.next(), bytes);
                let before = self.spool.stats().dropped;
                let settled = self.spool.settle_with("org", event.len(), |_| event.clone());
                if let Ok((sequence, _)) = settled {
                    self.settled((sequence.epoch, sequence.number), before, event);
                }
            }
            Step::Progress(at, bytes) => self.progress(at, bytes),
            Step::Further(at, numbers) => self.further(at, numbers),
            Step::Seal(at, bytes) => {
                let Some((id, ticket)) = self.take(at) else { return };
                let event = text("final", id, bytes);
                if !is_dropped(&ticket) {
                    self.model.insert(id, State::Done(event.clone()));
                }
                drop(ticket.seal("org", &event));
            }
            Step::Drop(at) => drop(self.take(at).map(|(id, _)| self.end(id))),
            Step::Read(most) => self.read(most),
            Step::Acknowledge(at) => self.acknowledge(at),
            Step::Rewind => {
                self.reader.rewind();
                self.read.clear();
            }
            Step::Prepare => {
                let shared = &self.spool.0.shared;
                shared.make_segment(|log| log.room().is_short());
                crate::spool::loss::tell_when_due(shared);
            }
            Step::Sync => drop(self.spool.0.shared.group.as_ref().map(|group| group.round(&self.spool.0.shared))),
            Step::Restart => {
                self.spool.close();
                self.end_all(drop);
            }
            Step::Kill => self.end_all(forget),
        }
    }

    /// The process ends with its open requests, and another one starts.
    fn end_all(&mut self, end: fn(Ticket)) {
        for (id, ticket) in std::mem::take(&mut self.tickets) {
            end(ticket);
            self.end(id);
        }
        self.start();
    }

    fn progress(&mut self, at: usize, bytes: usize) {
        self.with(at, |life, id, ticket| {
            let event = super::estimate(&format!("progress {}-{}", id.0, id.1), bytes);
            let skipped = life.spool.stats().progress_skipped;
            let recorded = ticket.progress("org", &event);
            let open = matches!(life.model[&id], State::Open(_));
            assert_eq!(recorded, open && life.spool.stats().progress_skipped == skipped);
            if recorded {
                life.model.insert(id, State::Open(event));
            }
        });
    }

    fn further(&mut self, at: usize, numbers: u64) {
        self.with(at, |life, id, ticket| {
            let numbers = super::numbers(numbers);
            let recorded = ticket.progress_further(&numbers);
            if let (State::Open(event), true) = (&life.model[&id], recorded) {
                // Only an estimate takes them.
                life.model.insert(id, State::Open(numbers.apply(event).unwrap_or(event.clone())));
            }
        });
    }

    /// Gives out a number with its INTENT in one step.
    fn encoded(
        &mut self,
        begin: fn(&Spool, &str, &crate::event::Unnumbered<'_>) -> Result<Ticket, crate::spool::SpoolFull>,
    ) {
        let mut event = usage(&self.spool);
        let mut buffer = Vec::new();
        let line = event.encode_unnumbered(&mut buffer).unwrap();
        let Ok(ticket) = begin(&self.spool, "org", &line) else { return };
        let sequence = ticket.sequence();
        let mut written = Vec::new();
        line.write(sequence.number, sequence.previous.as_ref(), &mut written);
        self.give(ticket, written);
    }

    /// The number that will be given out next.
    fn next(&self) -> Id {
        (self.spool.epoch(), self.spool.0.shared.log().numbering.next())
    }

    fn acknowledge(&mut self, at: usize) {
        let Some(position) = self.read.get(at.min(self.read.len().saturating_sub(1))).copied() else { return };
        self.reader.acknowledge(position);
        self.reader.flush();
        self.read.retain(|later| *later > position);
    }

    fn settle(&mut self) {
        let mut event = usage(&self.spool);
        let mut buffer = Vec::new();
        let line = event.encode_unnumbered(&mut buffer).unwrap();
        let before = self.spool.stats().dropped;
        let Ok((sequence, commit)) = self.spool.settle("org", &line) else { return };
        drop(commit);
        let mut written = Vec::new();
        line.write(sequence.number, sequence.previous.as_ref(), &mut written);
        self.settled((sequence.epoch, sequence.number), before, written);
    }

    /// The number was given out for this event, when so many had been dropped.
    fn settled(&mut self, id: Id, dropped: u64, event: Vec<u8>) {
        let state = if self.spool.stats().dropped == dropped { State::Done(event) } else { State::Lost };
        assert_eq!(self.model.insert(id, state), None, "{id:?} is given out once");
    }

    fn give(&mut self, ticket: Ticket, event: Vec<u8>) {
        let sequence = ticket.sequence();
        let id = (sequence.epoch, sequence.number);
        let state = if is_dropped(&ticket) { State::Lost } else { State::Open(event) };
        assert_eq!(self.model.insert(id, state), None, "{id:?} is given out once");
        self.tickets.push((id, ticket));
    }

    fn take(&mut self, at: usize) -> Option<(Id, Ticket)> {
        (!self.tickets.is_empty()).then(|| self.tickets.remove(at % self.tickets.len()))
    }

    fn with(&mut self, at: usize, act: impl FnOnce(&mut Self, Id, &mut Ticket)) {
        let Some((id, mut ticket)) = self.take(at) else { return };
        act(self, id, &mut ticket);
        self.tickets.push((id, ticket));
    }

    /// A request ends without an event of its own.
    fn end(&mut self, id: Id) {
        if let Some(State::Open(event)) = self.model.get(&id).cloned() {
            self.model.insert(id, State::Done(event));
        }
    }

    /// The process is no more, and another one starts.
    fn start(&mut self) {
        self.recorder.break_locks();
        let spool = open_with(&self.recorder, self.settings).expect("a start never fails");
        let reader = spool.reader("kafka");
        forget(std::mem::replace(&mut self.reader, reader));
        forget(std::mem::replace(&mut self.spool, spool));
        self.read.clear();
    }

    fn read(&mut self, most: usize) {
        for _ in 0..most {
            let Some(record) = self.reader.next(Duration::ZERO) else { return };
            assert!(self.read.last().is_none_or(|last| *last < record.position), "in order");
            self.read.push(record.position);
            if super::is_loss(&record.event) {
                let loss: LossEvent = serde_json::from_slice(&record.event).unwrap();
                self.losses.insert(loss.id.clone(), loss);
                continue;
            }
            let id = id_of(&record.event).unwrap_or_else(|| {
                let event: UsageEvent = serde_json::from_slice(&record.event).unwrap();
                (event.data.sequence.epoch, event.data.sequence.number)
            });
            let before = self.seen.insert(id, record.event.clone());
            assert!(before.is_none_or(|before| before == record.event), "{id:?} comes as something else");
        }
    }

    fn check_balance(&self) {
        let stats = self.spool.stats();
        let taken = stats.inherited + stats.committed + stats.recovered + stats.losses;
        assert_eq!(taken, stats.delivered + stats.pending + stats.spoiled, "{stats:?}");
        assert_eq!(stats.given_out, stats.committed + stats.dropped + stats.open, "{stats:?}");
        assert_eq!(stats.damaged, 0);
    }

    /// All that is open ends with a kill, and all is read.
    fn finish(&mut self) {
        self.step(&Step::Kill);
        self.read(usize::MAX);
        for (id, state) in &self.model {
            let (epoch, number) = *id;
            let names = |loss: &&LossEvent| {
                loss.data.epoch == epoch && loss.data.first <= Some(number) && Some(number) <= loss.data.last
            };
            let told = self.losses.values().filter(names).count();
            match state {
                State::Done(event) => assert_eq!((self.seen.get(id), told), (Some(event), 0), "{id:?}"),
                _ => assert_eq!((self.seen.get(id), told), (None, 1), "{id:?} has no record"),
            }
        }
        assert!(self.seen.keys().all(|id| self.model.contains_key(id)), "nothing is invented");
    }
}

fn text(kind: &str, (epoch, number): Id, bytes: usize) -> Vec<u8> {
    format!("{:bytes$}", format!("{kind} {epoch}-{number} ")).into_bytes()
}

fn is_dropped(ticket: &Ticket) -> bool {
    format!("{ticket:?}").contains("Unrecorded")
}

fn usage(spool: &Spool) -> UsageEvent {
    UsageEvent {
        specversion: "1.0".into(),
        id: String::new(),
        source: "/tollgate/model".into(),
        kind: crate::event::TYPE.into(),
        subject: "org".into(),
        time: crate::types::Timestamp::now(),
        datacontenttype: "application/json".into(),
        data: UsageData { sequence: spool.place(), outcome: Outcome::Rejected, ..UsageData::default() },
    }
}

proptest! {
    #![proptest_config(Config { cases: super::setting("TOLLGATE_MODEL_CASES", 120) as u32, ..Config::default() })]
    #[test]
    fn a_spool_is_what_its_model_is(
        steps in proptest::collection::vec(step(), 1..150),
        small in any::<bool>(),
        drops in any::<bool>(),
        disk in any::<bool>(),
    ) {
        let when_full = if drops { WhenFull::Drop } else { WhenFull::Reject };
        let sync = if disk { SyncMode::Disk } else { SyncMode::Process };
        let mut life = Life::begin((if small { 5 } else { 64 }, when_full, sync));
        for step in &steps {
            life.step(step);
            life.check_balance();
        }
        life.finish();
    }
}
