//! Who is measured: how each is started, and how it proves that it did its work.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::instructions;
use crate::kafka::Topic;
use crate::load::Tally;
use crate::payload::{Ask, KEY};
use crate::process::{Core, Process, free_address};
use crate::sidecar::{self, SinkChoice};

const LONGEST_START: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_micros(200);
const LONGEST_DELIVERY: Duration = Duration::from_mins(2);
const DELIVERY_LOOK: Duration = Duration::from_millis(500);
const LONGEST_ANSWER: Duration = Duration::from_secs(5);

/// One column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Name {
    /// No proxy: the load calls the upstream.
    Direct,
    /// The bare hyper proxy.
    Floor,
    /// Tollgate with keys, limits, metering, spool and the file sink.
    Tollgate,
    /// The same with Kafka in place of the file.
    Kafka,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Direct => "direct",
            Self::Floor => "floor",
            Self::Tollgate => "tollgate",
            Self::Kafka => "tollgate + kafka",
        })
    }
}

/// What peers need around them.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    /// The mock upstream.
    pub(crate) upstream: SocketAddr,
    /// The program under measurement.
    pub(crate) binary: &'a Path,
    /// Where the Kafka peer delivers, when it takes part.
    pub(crate) topic: Option<&'a Topic>,
    /// A directory for this start alone.
    pub(crate) directory: &'a Path,
    /// Whether instructions are counted.
    pub(crate) counted: bool,
}

impl Surroundings<'_> {
    /// What starts a program, under valgrind where instructions are counted.
    pub(crate) fn command(&self, program: &Path) -> Command {
        if !self.counted {
            return Command::new(program);
        }
        let [valgrind, options @ ..] = instructions::wrapper(self.directory);
        let mut command = Command::new(valgrind);
        command.args(options).arg(program);
        command
    }
}

/// One running peer.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Which.
    pub(crate) name: Name,
    /// Where to call it.
    pub(crate) address: SocketAddr,
    /// What it has answered.
    pub(crate) tally: Arc<Tally>,
    process: Option<Process>,
    evidence: Evidence,
    start: Duration,
}

/// Where the events of a peer can be counted.
#[derive(Debug)]
enum Evidence {
    None,
    File(std::path::PathBuf),
    Topic { topic: Topic, before: u64 },
}

impl Peer {
    /// Starts it and waits until it answers.
    pub(crate) fn start(name: Name, around: &Surroundings<'_>) -> Result<Self> {
        let address = if name == Name::Direct { around.upstream } else { free_address()? };
        let (process, evidence) = match name {
            Name::Direct => (None, Evidence::None),
            Name::Floor => (Some(start_floor(address, around)?), Evidence::None),
            Name::Tollgate => {
                let events = around.directory.join("usage.jsonl");
                let sink = SinkChoice::File(&events);
                (Some(sidecar::start(around, address, &sink)?), Evidence::File(events))
            }
            Name::Kafka => {
                let topic = around.topic.context("no broker was started")?;
                let evidence = Evidence::Topic { topic: topic.clone(), before: topic.messages()? };
                (Some(sidecar::start(around, address, &SinkChoice::Kafka(topic))?), evidence)
            }
        };
        let mut peer = Self { name, address, tally: Arc::default(), process, evidence, start: Duration::ZERO };
        peer.start = peer.first_answer()?;
        Ok(peer)
    }

    /// From the start of the process to its first answer.
    pub(crate) fn start_time(&self) -> Duration {
        self.start
    }

    /// Its process, which direct has not.
    pub(crate) fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("it has no process to measure")
    }

    /// The end of what its process said on standard error.
    pub(crate) fn last_words(&self) -> String {
        self.process.as_ref().map(Process::last_words).unwrap_or_default()
    }

    /// Waits until it does nothing any more and every answer has its event where events go: what was put off is then
    /// done, and its cost counted.
    ///
    /// # Errors
    /// When there are fewer events than answers and no more come: whoever records less is not faster.
    pub(crate) fn rest(&mut self) -> Result<()> {
        let start = Instant::now();
        self.process()?.rest()?;
        while self.missing()? > 0 {
            let (answers, missing) = (self.tally.answers(), self.missing()?);
            ensure!(start.elapsed() < LONGEST_DELIVERY, "of {answers} answers {missing} have left no event");
            sleep(DELIVERY_LOOK);
            self.process()?.rest()?;
        }
        Ok(())
    }

    /// Asks it to end; what it said on standard error.
    pub(crate) fn end_and_tell(mut self) -> Result<String> {
        let errors = self.process()?.errors();
        self.end()?;
        Ok(std::fs::read_to_string(errors)?)
    }

    /// Asks it to end.
    pub(crate) fn end(self) -> Result<()> {
        self.process.map_or(Ok(()), Process::end)
    }

    /// Answers without an event.
    fn missing(&self) -> Result<u64> {
        let events = match &self.evidence {
            Evidence::None => return Ok(0),
            Evidence::File(path) => lines(path)?,
            Evidence::Topic { topic, before } => topic.messages()?.saturating_sub(*before),
        };
        Ok(self.tally.answers().saturating_sub(events))
    }

    /// Asks again and again until it is answered.
    fn first_answer(&mut self) -> Result<Duration> {
        let started = self.process.as_ref().map_or_else(Instant::now, Process::started);
        let request = probe();
        while !answers(self.address, &request) {
            ensure!(started.elapsed() < LONGEST_START, "no answer within {LONGEST_START:?}\n{}", self.last_words());
            if let Some(process) = &mut self.process {
                process.check_alive()?;
            }
            sleep(LOOK);
        }
        self.tally.add_answer();
        Ok(started.elapsed())
    }
}

fn start_floor(address: SocketAddr, around: &Surroundings<'_>) -> Result<Process> {
    let mut command = around.command(&std::env::current_exe()?);
    command.args(["--role", "floor", "--listen", &address.to_string(), "--upstream", &around.upstream.to_string()]);
    Process::start(&mut command, Core::Proxy, &around.directory.join("floor.err"))
}

/// Whether a whole request is answered here.
fn answers(address: SocketAddr, request: &[u8]) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let mut status = [0; 12];
    let asked = stream
        .set_read_timeout(Some(LONGEST_ANSWER))
        .and_then(|()| stream.write_all(request))
        .and_then(|()| stream.read_exact(&mut status));
    asked.is_ok() && &status == b"HTTP/1.1 200"
}

fn probe() -> Vec<u8> {
    let body = Ask::Whole.body();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: api.example.com\r\nauthorization: Bearer {KEY}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

fn lines(path: &Path) -> Result<u64> {
    let mut file = std::fs::File::open(path).with_context(|| format!("no events in {}", path.display()))?;
    let (mut part, mut lines) = (vec![0; 1 << 20], 0);
    loop {
        match file.read(&mut part)? {
            0 => return Ok(lines),
            read => lines += memchr::memchr_iter(b'\n', part.get(..read).unwrap_or_default()).count() as u64,
        }
    }
}
