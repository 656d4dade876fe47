//! Tollgate under load, side by side with no proxy and with a bare hyper proxy, in one run: see `benches/README.md`.
//!
//! Read `scenario` for what is measured, `floor` for the yardstick, `report` for how it is judged. This file runs the
//! rounds: in each, every peer is started anew and put through every scenario in turn with the others.

mod floor;
mod format;
#[path = "../frame.rs"]
mod frame;
mod instructions;
mod kafka;
mod load;
mod machine;
mod options;
mod payload;
mod peer;
mod process;
mod report;
mod scenario;
mod sidecar;
mod upstream;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Parser;
use rustix::process::{Signal, set_parent_process_death_signal};

use kafka::Broker;
use options::{Options, Role};
use peer::{Name, Peer, Surroundings};
use process::{Core, Process};
use report::{Figure, Samples};
use scenario::Scenario;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    if let Some(role) = options.role {
        return play(role, options);
    }
    if options.machine {
        print!("{}", machine::description());
        return Ok(());
    }
    let report = measure(options)?;
    println!("{report}");
    if let Some(path) = &options.write {
        std::fs::write(path, &report).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// What this program does as a child of itself.
fn play(role: Role, options: &Options) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let listen = options.listen.context("--listen is missing");
    match role {
        Role::Floor => floor::run(listen?, options.upstream.context("--upstream is missing")?),
        Role::Upstream => upstream::run(listen?),
        Role::Kafka => kafka::run(),
    }
}

fn measure(options: &Options) -> Result<String> {
    let plan = options.plan();
    process::raise_open_files(u64::from(plan.streams) * 2 + 1_000)?;
    process::pin(Core::Load)?;
    let directory = tempfile::tempdir()?;
    let (upstream, _upstream) = start_upstream(directory.path())?;
    let peers = options.peers();
    let broker = peers.contains(&Name::Kafka).then(|| Broker::start(options.kafka.as_deref(), directory.path()));
    let broker = broker.transpose()?;
    if options.instructions {
        let topic = broker.as_ref().map(|broker| &broker.topic);
        let (binary, directory) = (options.binary(), directory.path());
        let around = Surroundings { upstream, binary, topic, directory, counted: true };
        return Ok(options.preface() + "\n" + &instructions::measure(&peers, options.plan().format, &around)?);
    }
    let mut samples = Samples::default();
    if peers.iter().any(|peer| *peer >= Name::Tollgate) {
        let size = machine::stripped_megabytes(options.binary(), directory.path())?;
        samples.add(Figure::Binary, Name::Tollgate, size);
    }
    let topic = broker.as_ref().map(|broker| &broker.topic);
    for number in 0..plan.rounds {
        let binary = options.binary();
        let start = |name: Name| {
            let directory = directory.path().join(format!("{number}-{name:?}"));
            std::fs::create_dir(&directory)?;
            Peer::start(name, &Surroundings { upstream, binary, topic, directory: &directory, counted: false })
                .with_context(|| format!("{name} does not start"))
        };
        let mut turn = peers.clone();
        turn.rotate_left(number % peers.len());
        let running = turn.iter().map(|name| start(*name)).collect::<Result<Vec<_>>>()?;
        eprintln!("round {} of {}", number + 1, plan.rounds);
        round(options, running, &mut samples)?;
    }
    Ok(options.preface() + "\n" + &samples.table())
}

/// Every scenario by every peer, one after the other, so that what is compared is close in time.
fn round(options: &Options, mut peers: Vec<Peer>, samples: &mut Samples) -> Result<()> {
    for peer in &mut peers {
        let (name, start) = (peer.name, peer.start_time());
        if name != Name::Direct {
            peer.rest().with_context(|| format!("{name} after its start"))?;
            samples.add(Figure::Start, name, start.as_secs_f64() * 1e3);
            samples.add(Figure::ResidentIdle, name, peer.process()?.resident()?);
        }
    }
    let plan = options.plan();
    for scenario in options.scenarios() {
        let mut suited: Vec<_> =
            peers.iter_mut().filter(|peer| peer.name != Name::Direct || scenario.suits_direct()).collect();
        if *scenario == Scenario::Paced && plan.together {
            let values = scenario::paced_together(&mut suited, &plan).context("paced streams of all peers at once")?;
            suited.iter().zip(values).for_each(|(peer, values)| note(peer.name, &values, samples));
            continue;
        }
        for peer in suited {
            let values = scenario.run(peer, &plan);
            let failed = || format!("{} failed under {scenario:?}\n{}", peer.name, peer.last_words());
            note(peer.name, &values.with_context(failed)?, samples);
        }
    }
    for mut peer in peers.into_iter().filter(|peer| peer.name != Name::Direct) {
        let name = peer.name;
        peer.rest().and_then(|()| peer.end()).with_context(|| format!("{name} failed in the end"))?;
    }
    Ok(())
}

fn note(name: Name, values: &[scenario::Value], samples: &mut Samples) {
    for (figure, value) in values {
        eprintln!("  {name:<16} {figure:?} {value:.1}");
        samples.add(*figure, name, *value);
    }
}

fn start_upstream(directory: &Path) -> Result<(SocketAddr, Process)> {
    let address = process::free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--role", "upstream", "--listen", &address.to_string()]);
    let mut process = Process::start(&mut command, Core::Load, &directory.join("upstream.err"))?;
    process.accepts(address).context("the mock upstream")?;
    Ok((address, process))
}
