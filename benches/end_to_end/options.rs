//! The command line, and what follows from it.
//!
//! `cargo bench` passes `--bench`, `cargo test --benches` does not: without it, a self-check of the benchmark itself runs,
//! which takes seconds and needs no Tollgate. Its figures mean nothing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::format::Format;
use crate::machine;
use crate::peer::Name;
use crate::process::cores;
use crate::scenario::{Plan, Scenario};

/// Measures Tollgate against no proxy and a bare one.
#[derive(Debug, Parser)]
#[command(name = "end_to_end")]
#[expect(clippy::struct_excessive_bools, reason = "they are switches of a command line")]
pub(crate) struct Options {
    /// Measure; without it only the benchmark itself is checked.
    #[arg(long)]
    bench: bool,
    /// Check the benchmark itself, even with --bench.
    #[arg(long)]
    test: bool,
    /// One round of two seconds with 200 streams: shows that it works, not how fast it is.
    #[arg(long)]
    quick: bool,
    /// Rounds; by default 5.
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds that each scenario measures in a round; by default 6.
    #[arg(long)]
    seconds: Option<u64>,
    /// Paced streams at once; by default 1000.
    #[arg(long)]
    streams: Option<u32>,
    /// Put all peers through paced streams at once, of which each has its part: less noise, more trouble with caches.
    #[arg(long)]
    together: bool,
    /// Who takes part; by default all.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<Name>,
    /// What is measured; by default everything.
    #[arg(long, value_delimiter = ',')]
    scenarios: Vec<Scenario>,
    /// The wire format of the streams; whole answers are OpenAI's.
    #[arg(long, default_value = "openai")]
    dialect: Format,
    /// Count instructions under valgrind rather than take times: some minutes, whatever else the machine does.
    #[arg(long)]
    pub(crate) instructions: bool,
    /// Deliver to this broker rather than to a mock: HOST:PORT.
    #[arg(long, env = "TOLLGATE_BENCH_KAFKA")]
    pub(crate) kafka: Option<String>,
    /// Measure this program rather than the one just built.
    #[arg(long, env = "TOLLGATE_BENCH_BINARY")]
    binary: Option<PathBuf>,
    /// Also write the report to this file.
    #[arg(long)]
    pub(crate) write: Option<PathBuf>,
    /// Only say what machine this is.
    #[arg(long)]
    pub(crate) machine: bool,
    #[arg(long, hide = true)]
    pub(crate) role: Option<Role>,
    #[arg(long, hide = true)]
    pub(crate) listen: Option<SocketAddr>,
    #[arg(long, hide = true)]
    pub(crate) upstream: Option<SocketAddr>,
}

/// What a child of this program does.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Role {
    /// The bare proxy.
    Floor,
    /// The mock upstream.
    Upstream,
    /// The mock broker.
    Kafka,
}

impl Options {
    /// How long and how much.
    pub(crate) fn plan(&self) -> Plan {
        let millis = Duration::from_millis;
        let (format, pause, token_pause) = (self.dialect, millis(100), millis(10));
        let plan = Plan {
            rounds: 5,
            window: millis(6_000),
            streams: 1_000,
            pause,
            token_pause,
            format,
            together: self.together,
        };
        let plan = match () {
            () if self.is_self_check() => {
                Plan { rounds: 1, window: millis(100), streams: 10, pause: millis(1), token_pause: millis(1), ..plan }
            }
            () if self.quick => Plan { rounds: 1, window: millis(2_000), streams: 200, pause: millis(25), ..plan },
            () => plan,
        };
        Plan {
            rounds: self.rounds.unwrap_or(plan.rounds),
            window: self.seconds.map_or(plan.window, Duration::from_secs),
            streams: self.streams.unwrap_or(plan.streams),
            ..plan
        }
    }

    /// Who takes part.
    pub(crate) fn peers(&self) -> Vec<Name> {
        let all = [Name::Direct, Name::Floor, Name::Tollgate, Name::Kafka];
        let all = &all[..if cfg!(feature = "kafka") { 4 } else { 3 }];
        match self.peers.as_slice() {
            [] if self.is_self_check() => vec![Name::Direct, Name::Floor],
            [] => all.to_vec(),
            some => some.to_vec(),
        }
    }

    /// What is measured.
    pub(crate) fn scenarios(&self) -> &[Scenario] {
        if self.scenarios.is_empty() { Scenario::value_variants() } else { &self.scenarios }
    }

    /// The program under measurement.
    pub(crate) fn binary(&self) -> &Path {
        self.binary.as_deref().unwrap_or(Path::new(env!("CARGO_BIN_EXE_tollgate")))
    }

    /// What stands above the table.
    pub(crate) fn preface(&self) -> String {
        let Plan { rounds, window, streams, pause, format, together, .. } = self.plan();
        let amount = format!(
            "- {rounds} round(s) of {window:?} per scenario and peer; {streams} paced streams{}, a chunk each {pause:?}; \
             streams in the format of {}\n",
            if together { " shared by all peers at once" } else { "" },
            format.name()
        );
        let placed = if cores() < 2 {
            "- one core: nothing is pinned, and latencies say little\n"
        } else {
            "- proxy on core 0; load, mock upstream and mock broker on core 1\n"
        };
        let mut text = machine::description() + &amount + placed;
        if self.is_self_check() || self.quick || cfg!(debug_assertions) {
            text += "- **a check that it works, not a measurement**\n";
        }
        text
    }

    fn is_self_check(&self) -> bool {
        self.test || !self.bench
    }
}
