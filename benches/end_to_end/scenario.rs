//! The scenarios: what one peer is put through, and the figures that come out of it.
//!
//! CPU per request and flat out is taken from rest to rest, so that work put off is counted. CPU of paced streams is
//! taken from the middle of a steady state, in which streams begin and end all the time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::format::Format;
use crate::load::{Connection, Prepared};
use crate::payload::{Ask, WRITES};
use crate::peer::Peer;
use crate::report::Figure;

/// Connections that ask without pause.
const BUSY: u32 = 32;
/// Requests in a second at the fixed rates, for latency and for CPU, and the connections that share them.
const CALM: u32 = 500;
const STEADY: u32 = 5_000;
const RATE_CONNECTIONS: u32 = 64;
/// Streams while the time to the first token is taken.
const TOKEN_STREAMS: u32 = 64;
/// From the last stream's begin to the steady state.
const SETTLE: Duration = Duration::from_millis(300);
/// What connections may take to open before load begins.
const LEAD: Duration = Duration::from_millis(100);

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Each is taken in every round by every peer.
    pub(crate) rounds: usize,
    /// How long each scenario measures.
    pub(crate) window: Duration,
    /// Paced streams at once.
    pub(crate) streams: u32,
    /// Between two chunks of a paced stream.
    pub(crate) pause: Duration,
    /// The same while the time to the first token is taken.
    pub(crate) token_pause: Duration,
    /// Of the streams.
    pub(crate) format: Format,
    /// All peers have their paced streams at once.
    pub(crate) together: bool,
}

/// What a peer is put through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Many slow streams: CPU per chunk, memory.
    Paced,
    /// Streams as fast as they go: CPU per chunk.
    Flat,
    /// Whole requests as fast as they go: CPU per request.
    Whole,
    /// Whole requests at a fixed rate that leaves every peer time: CPU per request.
    Steady,
    /// Whole requests at a low fixed rate: latency.
    Rate,
    /// Streams: time to the first token.
    Token,
}

/// One measured value.
pub(crate) type Value = (Figure, f64);

impl Scenario {
    /// Whether it says anything about a peer without a process of its own.
    pub(crate) fn suits_direct(self) -> bool {
        matches!(self, Self::Rate | Self::Token)
    }

    /// Puts the peer through it.
    pub(crate) fn run(self, peer: &mut Peer, plan: &Plan) -> Result<Vec<Value>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        match self {
            Self::Paced => Ok(runtime.block_on(paced(&mut [peer], plan))?.into_iter().flatten().collect()),
            Self::Flat => {
                let cpu = cpu_per_answer(peer, |peer| {
                    runtime.block_on(closed_loop(peer, Ask::Stream(plan.format, Duration::ZERO), plan.window))
                })?;
                Ok(vec![(Figure::CpuFlat, cpu / WRITES as f64)])
            }
            Self::Whole => {
                let cpu = cpu_per_answer(peer, |peer| runtime.block_on(closed_loop(peer, Ask::Whole, plan.window)))?;
                Ok(vec![(Figure::CpuWhole, cpu)])
            }
            Self::Steady => {
                let run = |peer: &Peer| runtime.block_on(fixed_rate(peer, plan.window, STEADY)).map(drop);
                Ok(vec![(Figure::CpuSteady, cpu_per_answer(peer, run)?)])
            }
            Self::Rate => {
                let seen = runtime.block_on(fixed_rate(peer, plan.window, CALM))?;
                Ok(percentiles(&seen, Figure::RateP50, Figure::RateP99))
            }
            Self::Token => {
                let seen = runtime.block_on(first_token(peer, plan))?;
                Ok(percentiles(&seen, Figure::TokenP50, Figure::TokenP99))
            }
        }
    }
}

/// CPU µs per answer of what the peer is put through here, from rest to rest.
fn cpu_per_answer(peer: &mut Peer, run: impl FnOnce(&Peer) -> Result<()>) -> Result<f64> {
    let (answers, cpu) = (peer.tally.answers(), peer.process()?.cpu()?);
    run(peer)?;
    peer.rest()?;
    let used = peer.process()?.cpu()?.since(&cpu);
    Ok(micros(used) / (peer.tally.answers() - answers) as f64)
}

/// Every connection asks without pause.
async fn closed_loop(peer: &Peer, ask: Ask, window: Duration) -> Result<()> {
    let mut tasks = JoinSet::new();
    let deadline = Instant::now() + window;
    for _ in 0..BUSY {
        let (address, tally, prepared) = (peer.address, Arc::clone(&peer.tally), Prepared::new(ask)?);
        tasks.spawn(async move {
            let mut connection = Connection::open(address, &tally).await?;
            while Instant::now() < deadline {
                connection.ask(&prepared, || ()).await?;
            }
            anyhow::Ok(())
        });
    }
    finish(&mut tasks).await?;
    Ok(())
}

/// Puts peers through paced streams at once, of which each has its part: what disturbs one disturbs the others as much.
pub(crate) fn paced_together(peers: &mut [&mut Peer], plan: &Plan) -> Result<Vec<Vec<Value>>> {
    let streams = plan.streams / peers.len() as u32;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(paced(peers, &Plan { streams, ..*plan }))
}

/// Streams begin one after the other over the length of a stream, so that from then on as many begin as end.
async fn paced(peers: &mut [&mut Peer], plan: &Plan) -> Result<Vec<Vec<Value>>> {
    let ask = Ask::Stream(plan.format, plan.pause);
    let ramp = plan.pause * WRITES as u32;
    let start = Instant::now() + LEAD;
    let (from, to) = (start + ramp + SETTLE, start + ramp + SETTLE + plan.window);
    let mut tasks = JoinSet::new();
    for number in 0..plan.streams {
        for peer in peers.iter() {
            let (address, tally, prepared) = (peer.address, Arc::clone(&peer.tally), Prepared::new(ask)?);
            let begin = start + ramp * number / plan.streams;
            tasks.spawn(async move {
                sleep_until(begin).await;
                let mut connection = Connection::open(address, &tally).await?;
                while Instant::now() < to {
                    connection.ask(&prepared, || ()).await?;
                }
                anyhow::Ok(())
            });
        }
    }
    let values = tokio::select! {
        values = watch(peers, from, plan) => values?,
        early = failure(&mut tasks) => return Err(early),
    };
    finish(&mut tasks).await?;
    peers.iter_mut().try_for_each(|peer| peer.rest())?;
    Ok(values)
}

/// Reads CPU and memory of each peer under paced streams.
async fn watch(peers: &mut [&mut Peer], from: Instant, plan: &Plan) -> Result<Vec<Vec<Value>>> {
    let Plan { window, format, pause, .. } = *plan;
    let used = |peer: &mut Peer| anyhow::Ok((peer.tally.bytes(), peer.process()?.cpu()?));
    sleep_until(from).await;
    let before = peers.iter_mut().map(|peer| used(peer)).collect::<Result<Vec<_>>>()?;
    sleep(window / 2).await;
    let resident = peers.iter_mut().map(|peer| peer.process()?.resident()).collect::<Result<Vec<_>>>()?;
    sleep_until(from + window).await;
    let after = peers.iter_mut().map(|peer| used(peer)).collect::<Result<Vec<_>>>()?;
    let stream_bytes = Ask::Stream(format, pause).answer_bytes() as f64;
    let values = before.iter().zip(&after).zip(&resident).map(|((before, after), resident)| {
        let chunks = (after.0 - before.0) as f64 / stream_bytes * WRITES as f64;
        vec![(Figure::CpuPaced, micros(after.1.since(&before.1)) / chunks), (Figure::ResidentStreams, *resident)]
    });
    Ok(values.collect())
}

/// Requests are due at fixed times. One that is late because the answer before it was late counts from when it was due,
/// so that a stall is seen by every request that it held up; one that the load's own timer woke late counts from then.
async fn fixed_rate(peer: &Peer, window: Duration, rate: u32) -> Result<Histogram<u64>> {
    let mut tasks = JoinSet::new();
    let start = Instant::now() + LEAD;
    let step = Duration::from_secs(1) * RATE_CONNECTIONS / rate;
    for number in 0..RATE_CONNECTIONS {
        let (address, tally, prepared) = (peer.address, Arc::clone(&peer.tally), Prepared::new(Ask::Whole)?);
        tasks.spawn(async move {
            let mut connection = Connection::open(address, &tally).await?;
            let mut seen = histogram()?;
            let mut due = start + step * number / RATE_CONNECTIONS;
            connection.ask(&prepared, || ()).await?;
            while due < start + window {
                let held_up = Instant::now() >= due;
                sleep_until(due).await;
                let began = if held_up { due } else { Instant::now() };
                connection.ask(&prepared, || ()).await?;
                seen.record(began.elapsed().as_nanos() as u64)?;
                due += step;
            }
            anyhow::Ok(seen)
        });
    }
    sum(finish(&mut tasks).await?)
}

/// Time from a request to the first frame of its stream's body.
async fn first_token(peer: &Peer, plan: &Plan) -> Result<Histogram<u64>> {
    let mut tasks = JoinSet::new();
    let start = Instant::now() + LEAD;
    let (ramp, end) = (plan.token_pause * WRITES as u32, start + plan.window);
    for number in 0..TOKEN_STREAMS {
        let (address, tally) = (peer.address, Arc::clone(&peer.tally));
        let (warm, prepared) = (Prepared::new(Ask::Whole)?, Prepared::new(Ask::Stream(plan.format, plan.token_pause))?);
        tasks.spawn(async move {
            let mut connection = Connection::open(address, &tally).await?;
            let mut seen = histogram()?;
            connection.ask(&warm, || ()).await?;
            sleep_until(start + ramp * number / TOKEN_STREAMS).await;
            while Instant::now() < end {
                let (began, mut first) = (Instant::now(), None);
                connection.ask(&prepared, || first = first.or_else(|| Some(began.elapsed()))).await?;
                seen.record(first.context("a stream without a frame")?.as_nanos() as u64)?;
            }
            anyhow::Ok(seen)
        });
    }
    sum(finish(&mut tasks).await?)
}

/// What all tasks came to, or the first failure.
async fn finish<T: 'static>(tasks: &mut JoinSet<Result<T>>) -> Result<Vec<T>> {
    let mut done = Vec::with_capacity(tasks.len());
    while let Some(ended) = tasks.join_next().await {
        done.push(ended??);
    }
    Ok(done)
}

/// Resolves with the first failure only.
async fn failure(tasks: &mut JoinSet<Result<()>>) -> anyhow::Error {
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            Err(panic) => return panic.into(),
        }
    }
    std::future::pending().await
}

/// Nanoseconds, up to a minute, three digits.
fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000_000, 3)?)
}

fn sum(parts: Vec<Histogram<u64>>) -> Result<Histogram<u64>> {
    let mut whole = histogram()?;
    for part in parts {
        whole.add(part)?;
    }
    Ok(whole)
}

fn percentiles(seen: &Histogram<u64>, p50: Figure, p99: Figure) -> Vec<Value> {
    let at = |quantile| seen.value_at_quantile(quantile) as f64 / 1_000.0;
    vec![(p50, at(0.50)), (p99, at(0.99))]
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
