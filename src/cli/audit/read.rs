//! Feeds an audit from each of the places where events are kept.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, stdin};
use std::path::Path;

use anyhow::{Context, Result};

use super::follow::{self, Pace};
use crate::audit::{Audit, End, Report};
use crate::config::Kafka;
use crate::spool::{Seen, survey};

/// Far longer than any event: a longer line is none.
const LONGEST_LINE: u64 = 1 << 20;

/// Reads lines; `-` is standard input.
pub(super) fn file(path: &Path, mut audit: Audit, pace: &mut Pace) -> Result<Report> {
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(stdin())
    } else {
        Box::new(File::open(path).with_context(|| format!("{} cannot be read", path.display()))?)
    };
    let mut lines = BufReader::with_capacity(1 << 16, source);
    let mut line = Vec::new();
    loop {
        let read = (&mut lines).take(LONGEST_LINE - line.len() as u64).read_until(b'\n', &mut line)?;
        let whole = line.last() == Some(&b'\n') || line.len() as u64 >= LONGEST_LINE;
        if whole {
            take(&mut audit, &line);
            line.clear();
        } else if read == 0 && !pace.goes_on() {
            take(&mut audit, &line);
            return Ok(audit.report());
        } else if read == 0 {
            follow::rest();
        }
        if pace.is_stopped() {
            return Ok(audit.report());
        }
        pace.tell(&audit);
    }
}

fn take(audit: &mut Audit, line: &[u8]) {
    let line = line.trim_ascii();
    if !line.is_empty() {
        // What is no event is counted by the audit.
        let _ = audit.event(line);
    }
}

/// Reads a spool whole; when watching, again and again, since what was delivered is deleted.
pub(super) fn spool(dir: &Path, pace: &mut Pace) -> Result<Report> {
    loop {
        let mut tried = spool_once(dir);
        // A busy process deleted something in the middle of it.
        while tried.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::Interrupted) && !pace.is_stopped() {
            tried = spool_once(dir);
        }
        let report = tried.with_context(|| format!("the spool in {} cannot be read", dir.display()))?;
        if !pace.goes_on() {
            return Ok(report);
        }
        if pace.is_due() {
            pace.say(&report);
        }
        follow::rest();
    }
}

fn spool_once(dir: &Path) -> std::io::Result<Report> {
    let mut audit = Audit::default();
    // From here on every number must be in the log: what the oldest segment says, or the first INTENT that is no copy.
    let mut floors: BTreeMap<(String, u64), Option<u64>> = BTreeMap::new();
    let surveyed = survey(dir, |spool, seen| match seen {
        Seen::WholeEpoch { epoch } => drop(floors.insert((spool.to_owned(), epoch), Some(1))),
        Seen::Intent { epoch, number, carried } => {
            let floor = floors.entry((spool.to_owned(), epoch)).or_default();
            if !carried {
                *floor = Some(floor.map_or(number, |known| known.min(number)));
            }
            audit.intent((spool, epoch), number);
        }
        Seen::Event { event } => {
            let _ = audit.event(event);
        }
        Seen::Lost { epoch, first, last } => audit.lost((spool, epoch), (first, last)),
        Seen::From { epoch, number } => {
            floors.entry((spool.to_owned(), epoch)).or_default().get_or_insert(number + 1);
        }
        Seen::End { epoch, number, clean } => {
            audit.end((spool, epoch), number, if clean { End::Clean } else { End::Cut });
        }
    })?;
    audit.damage(surveyed.damaged);
    for (spool, epoch) in audit.ids() {
        let floor = floors.get(&(spool.clone(), epoch)).copied().flatten();
        audit.expect_from((&spool, epoch), floor);
    }
    Ok(audit.report())
}

/// Reads a topic from its beginning to where its end was at the start; when watching, on and on.
#[cfg(feature = "kafka")]
pub(super) fn topic(kafka: &Kafka, mut audit: Audit, pace: &mut Pace) -> Result<Report> {
    let mut topic = crate::sink::kafka::Topic::open(kafka)?;
    while !pace.is_stopped() && (!topic.is_read() || pace.goes_on()) {
        topic.next(std::time::Duration::from_millis(200), |value| {
            let _ = audit.event(value);
        })?;
        pace.tell(&audit);
    }
    Ok(audit.report())
}

#[cfg(not(feature = "kafka"))]
pub(super) fn topic(_: &Kafka, _: Audit, _: &mut Pace) -> Result<Report> {
    anyhow::bail!("this build has no Kafka; build with the feature `kafka`, or audit a file or a spool")
}
