//! Instructions in user space, counted by valgrind's callgrind: for each whole request, and for each chunk of a stream.
//!
//! Unlike time they hardly move from run to run, whatever else the machine does. One connection asks for one thing after
//! the other, flat out. Two runs that differ in nothing but the number of requests give the price of one; what a stream
//! costs beyond a whole request is spread over its writes. Before the first stream that counts comes another, with time
//! to learn what its upstream does with connections. All threads count: what a sidecar puts off counts too.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::format::Format;
use crate::load::{Connection, Prepared};
use crate::payload::{Ask, WRITES};
use crate::peer::{Name, Peer, Surroundings};

const FEW: u32 = 20;
const MANY: u32 = 120;
const PUT_OFF: Duration = Duration::from_secs(1);

/// What is taken off and what is left, for one peer.
struct Count {
    whole: f64,
    chunk: f64,
}

/// Measures these peers; a table in Markdown.
pub(crate) fn measure(peers: &[Name], format: Format, around: &Surroundings<'_>) -> Result<String> {
    let mut text = String::from(
        "| instructions in user space | per whole request | per chunk | above the floor, per chunk |\n|---|--:|--:|--:|\n",
    );
    let mut floor = None;
    for peer in peers.iter().filter(|peer| **peer != Name::Direct) {
        let count = count(*peer, format, around).with_context(|| format!("{peer} under callgrind"))?;
        if *peer == Name::Floor {
            floor = Some(count.chunk);
        }
        let above = floor.map_or_else(|| "–".to_owned(), |floor| format!("{:+.0}", count.chunk - floor));
        let _ = writeln!(text, "| {peer} | {:.0} | {:.0} | {above} |", count.whole, count.chunk);
    }
    Ok(text)
}

fn count(peer: Name, format: Format, around: &Surroundings<'_>) -> Result<Count> {
    let run = |wholes, streams| collected(peer, (format, wholes, streams), around);
    let few = run(FEW, FEW)?;
    let difference = f64::from(MANY - FEW);
    let whole = (run(MANY, FEW)? - few) / difference;
    let stream = (run(FEW, MANY)? - few) / difference;
    Ok(Count { whole, chunk: (stream - whole) / WRITES as f64 })
}

/// All instructions of one run, from the start of the process to its end.
fn collected(name: Name, (format, wholes, streams): (Format, u32, u32), around: &Surroundings<'_>) -> Result<f64> {
    let directory = around.directory.join(format!("{name:?}-{wholes}-{streams}"));
    std::fs::create_dir(&directory)?;
    let peer = Peer::start(name, &Surroundings { directory: &directory, counted: true, ..*around })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = Connection::open(peer.address, &peer.tally).await?;
        for (ask, times) in [(Ask::Whole, wholes), (Ask::Stream(format, Duration::ZERO), streams)] {
            let prepared = Prepared::new(ask)?;
            connection.ask(&prepared, || ()).await?;
            tokio::time::sleep(PUT_OFF + PUT_OFF / 2).await;
            for _ in 0..times {
                connection.ask(&prepared, || ()).await?;
            }
        }
        anyhow::Ok(())
    })?;
    // Under valgrind nothing looks at rest; what was put off is done within this.
    std::thread::sleep(PUT_OFF);
    let errors = peer.end_and_tell()?;
    let Some((_, rest)) = errors.split_once("Collected : ") else { bail!("callgrind did not say:\n{errors}") };
    rest.split_whitespace().next().and_then(|count| count.parse().ok()).context("no number")
}

/// What runs a program under callgrind, its own file going where nobody looks.
pub(crate) fn wrapper(directory: &Path) -> [String; 3] {
    let out = directory.join("callgrind.out");
    ["valgrind".to_owned(), "--tool=callgrind".to_owned(), format!("--callgrind-out-file={}", out.display())]
}
