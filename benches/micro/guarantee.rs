//! What the guarantee costs a request under `sync: process`: with it, and without.
//!
//! With it: a number, the event encoded and written as INTENT, encoded and written again as FINAL, read back from the
//! file and acknowledged by a reader on a thread of its own, and what the spool's other threads do for all that: making,
//! mapping, syncing marks, deleting. Without it: the event encoded once and handed to the same thread through a channel,
//! as a sidecar would that may lose it. The difference is the price.
//!
//! What is measured is the CPU time of the whole process, kernel included, at 5,000 requests/s in small bursts. So the
//! sleeps between them are in both, and segments are made at their pace. `at the first token` is another thing: the
//! time that a stream's first token waits for its PROGRESS.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode};
use rustix::time::{ClockId, clock_gettime};
use tollgate::config::{self, SyncMode, WhenFull};
use tollgate::event::UsageEvent;
use tollgate::spool::{Spool, Ticket};

/// In every sample, a second: what a sample costs as a whole is then little for each.
const REQUESTS: u64 = 5_000;
const BURST: u64 = 10;
const PAUSE: Duration = Duration::from_millis(2);
/// As long as a reader of the spool sleeps when it has found nothing.
const DOZE: Duration = Duration::from_millis(2);
const IDLE: Duration = Duration::from_millis(200);
const INTENT: &str = include_str!("../../tests/fixtures/events/v1_interrupted.json");
const FINAL: &str = include_str!("../../tests/fixtures/events/v1_complete.json");

/// The event as it is before and after the call, and the buffer that it is encoded into.
struct Call {
    begun: UsageEvent,
    ended: UsageEvent,
    line: Vec<u8>,
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("guarantee");
    // The least times: each sample takes its second whatever they are.
    group.sampling_mode(SamplingMode::Flat).sample_size(15);
    group.measurement_time(Duration::from_millis(1)).warm_up_time(Duration::from_millis(1));
    let mut call = Call::new();

    let (queue, inbox) = sync_channel(10_000);
    let receiver = thread::spawn(move || receive(&inbox));
    group.bench_function("CPU without", |bencher| {
        bencher.iter_custom(|asked| {
            let request = || assert!(queue.send(call.final_line().to_vec()).is_ok(), "somebody receives");
            share(paced(request), asked)
        });
    });
    drop(queue);
    assert!(receiver.join().is_ok(), "the receiver ends");

    let log = Log::open();
    group.bench_function("CPU with", |bencher| {
        bencher.iter_custom(|asked| share(paced(|| log.record(&mut call, |_, _| ())), asked));
    });
    group.bench_function("CPU with, of a stream", |bencher| {
        bencher.iter_custom(|asked| share(paced(|| log.record(&mut call, progress)), asked));
    });
    group.bench_function("time at the first token", |bencher| {
        bencher.iter_custom(|asked| {
            let mut spent = Duration::ZERO;
            paced(|| log.record(&mut call, |call, ticket| spent += timed(|| progress(call, ticket))));
            share(spent, asked)
        });
    });
    group.finish();
    log.close();
}

/// Of what all requests of a sample took, the part of as many as were asked for.
fn share(spent: Duration, asked: u64) -> Duration {
    spent.mul_f64(asked as f64 / REQUESTS as f64)
}

fn timed(step: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    step();
    begun.elapsed()
}

/// The CPU time of a sample's requests at their pace, from rest to rest.
fn paced(mut request: impl FnMut()) -> Duration {
    let (begun, start) = (Instant::now(), cpu());
    for number in 0..REQUESTS {
        if number % BURST == 0 {
            let due = begun + PAUSE * (number / BURST) as u32;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        request();
    }
    // Until the last ones are read.
    thread::sleep(DOZE * 5);
    cpu().saturating_sub(start)
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Takes what comes as a reader of the spool does: under load not woken by each.
fn receive(inbox: &Receiver<Vec<u8>>) {
    loop {
        while let Ok(line) = inbox.try_recv() {
            black_box(line);
        }
        thread::sleep(DOZE);
        match inbox.recv_timeout(IDLE) {
            Ok(line) => drop(black_box(line)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn progress(call: &mut Call, ticket: &mut Ticket) {
    ticket.progress("org_acme", call.final_line());
}

impl Call {
    fn new() -> Self {
        let event = |text: &str| match serde_json::from_str(text) {
            Ok(event) => event,
            Err(error) => panic!("a golden event cannot be read: {error}"),
        };
        Self { begun: event(INTENT), ended: event(FINAL), line: Vec::with_capacity(tollgate::event::MAX_BYTES) }
    }

    fn begin(&mut self, spool: &Spool) -> Ticket {
        self.line.clear();
        let Ok(line) = black_box(&mut self.begun).encode_unnumbered(&mut self.line) else {
            panic!("a golden event can be encoded")
        };
        let Ok(ticket) = spool.begin("org_acme", &line) else { panic!("the spool is full") };
        ticket
    }

    fn final_line(&mut self) -> &[u8] {
        encode(&mut self.ended, &mut self.line)
    }
}

fn encode<'a>(event: &mut UsageEvent, line: &'a mut Vec<u8>) -> &'a [u8] {
    line.clear();
    assert!(black_box(event).encode_into(line).is_ok(), "a golden event can be encoded");
    line
}

/// A spool, and a thread that reads from it.
struct Log {
    spool: Spool,
    stop: Arc<AtomicBool>,
    reading: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Log {
    fn open() -> Self {
        let Ok(directory) = tempfile::tempdir() else { panic!("no directory for the spool") };
        let settings = config::Spool {
            dir: directory.path().join("spool"),
            max_bytes: 256 << 20,
            when_full: WhenFull::Reject,
            sync: SyncMode::Process,
        };
        let Ok(spool) = Spool::open(&settings) else { panic!("the spool does not open") };
        let (mut reader, stop) = (spool.reader("bench"), Arc::new(AtomicBool::new(false)));
        let told = Arc::clone(&stop);
        let reading = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                while let Some(record) = reader.next(IDLE) {
                    reader.acknowledge(black_box(record).position);
                }
            }
        });
        Self { spool, stop, reading, _directory: directory }
    }

    fn record(&self, call: &mut Call, meanwhile: impl FnOnce(&mut Call, &mut Ticket)) {
        let mut ticket = call.begin(&self.spool);
        black_box(ticket.sequence());
        meanwhile(call, &mut ticket);
        assert!(ticket.seal("org_acme", call.final_line()).is_ready(), "the kernel has it");
    }

    fn close(self) {
        self.stop.store(true, Ordering::Relaxed);
        assert!(self.reading.join().is_ok(), "the reader ends");
        self.spool.close();
    }
}
