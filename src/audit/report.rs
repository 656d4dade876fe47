//! What an audit found, for people and for machines.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::types::NanoUsd;

/// Ranges that a report lists; what is beyond is counted.
const MOST_RANGES: usize = 1000;
/// Ranges that are shown to people.
const SHOWN_RANGES: usize = 20;

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether nothing is missing and no two events share an id.
    pub sound: bool,
    /// Different events.
    pub events: u64,
    /// Numbers without an event.
    pub missing: u64,
    /// Numbers that the process itself reported as lost.
    pub lost: u64,
    /// Events beyond the first under their id.
    pub duplicates: u64,
    /// Of these, the ones that differ from the first.
    pub different: u64,
    /// Requests that have not ended; of a spool only.
    pub open: u64,
    /// What is not a usage event.
    pub unreadable: u64,
    /// Damaged stretches; of a spool only.
    pub damaged: u64,
    /// By spool and epoch.
    pub epochs: Vec<EpochReport>,
}

/// What was found of one life of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EpochReport {
    /// The spool's id.
    pub spool: String,
    /// Counts the starts on this spool.
    pub epoch: u64,
    /// The smallest number found.
    pub first: Option<u64>,
    /// The greatest number found.
    pub last: Option<u64>,
    /// How the process ended, where the epoch after it or the spool says so: then no event can be missing at the end
    /// without being named. Absent of the newest epoch.
    pub end: Option<End>,
    /// Different events.
    pub events: u64,
    /// Numbers without an event.
    pub missing: Ranges,
    /// Numbers that the process itself reported as lost.
    pub lost: Ranges,
    /// Requests that have not ended; of a spool only.
    pub open: Ranges,
    /// Events that came more than once.
    pub duplicates: Copies,
    /// How the requests ended.
    pub outcomes: BTreeMap<String, u64>,
    /// Sum over the events that say it.
    pub input_tokens: u64,
    /// Sum over the events that say it.
    pub output_tokens: u64,
    /// Sum in nano-USD over the events that say it.
    pub cost_nano: i64,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// In order.
    Clean,
    /// Killed, or not known.
    Cut,
}

/// Numbers as ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ranges {
    /// How many numbers.
    pub count: u64,
    /// The first thousand ranges, both ends included.
    pub ranges: Vec<(u64, u64)>,
    /// Further ranges.
    pub unlisted: u64,
}

/// Events that came more than once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Copies {
    /// How many events have copies.
    pub events: u64,
    /// Copies that equal the first to the last byte.
    pub identical: u64,
    /// Copies that don't.
    pub different: u64,
    /// Copies that came too long after the first to be compared.
    pub not_compared: u64,
}

impl Report {
    /// Sums over the epochs.
    pub(super) fn sum(&mut self) {
        for epoch in &self.epochs {
            self.events += epoch.events;
            self.missing += epoch.missing.count;
            self.lost += epoch.lost.count;
            self.open += epoch.open.count;
            self.duplicates += epoch.duplicates.all();
            self.different += epoch.duplicates.different;
        }
        self.sound = self.missing + self.lost + self.different + self.damaged == 0;
    }

    /// All of it in one line, while more is to come.
    pub fn progress(&self) -> String {
        format!(
            "{} events, {} epochs, {} missing so far, {} duplicates",
            self.events,
            self.epochs.len(),
            self.missing + self.lost,
            self.duplicates
        )
    }

    fn verdict(&self) -> String {
        let faults = [
            (self.missing, "missing"),
            (self.lost, "reported lost by the process"),
            (self.different, "unlike the first under their id"),
            (self.damaged, "damaged stretches"),
        ];
        let faults: Vec<_> = faults.iter().filter(|fault| fault.0 > 0).map(|(n, what)| format!("{n} {what}")).collect();
        if faults.is_empty() { "nothing is missing".to_owned() } else { format!("NOT SOUND: {}", faults.join(", ")) }
    }
}

impl Copies {
    fn all(self) -> u64 {
        self.identical + self.different + self.not_compared
    }
}

impl Ranges {
    pub(super) fn of(mut ranges: Vec<(u64, u64)>) -> Self {
        let count = ranges.iter().fold(0_u64, |sum, (first, last)| sum.saturating_add(last - first).saturating_add(1));
        let unlisted = ranges.len().saturating_sub(MOST_RANGES) as u64;
        ranges.truncate(MOST_RANGES);
        Self { count, ranges, unlisted }
    }
}

impl Display for Ranges {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.count)?;
        for (at, (first, last)) in self.ranges.iter().take(SHOWN_RANGES).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            if first == last { write!(f, "{comma}{first}")? } else { write!(f, "{comma}{first}-{last}")? }
        }
        let more = self.ranges.len().saturating_sub(SHOWN_RANGES) as u64 + self.unlisted;
        if more > 0 { write!(f, " and {more} more ranges") } else { Ok(()) }
    }
}

impl Display for EpochReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let range = match (self.first, self.last) {
            (Some(first), Some(last)) => format!("{first}-{last}"),
            _ => "no numbers".to_owned(),
        };
        let outcomes: Vec<_> = self.outcomes.iter().map(|(outcome, count)| format!("{outcome} {count}")).collect();
        writeln!(
            f,
            "  epoch {}: {range}, {} events; {}; tokens {} in, {} out; ${:.6}{}",
            self.epoch,
            self.events,
            if outcomes.is_empty() { "no outcomes".to_owned() } else { outcomes.join(", ") },
            self.input_tokens,
            self.output_tokens,
            NanoUsd(self.cost_nano).as_usd(),
            match self.end {
                Some(End::Clean) => "; ended in order",
                Some(End::Cut) => "; was cut short",
                None => "",
            }
        )?;
        for (name, numbers) in [("missing", &self.missing), ("lost", &self.lost), ("open", &self.open)] {
            if numbers.count > 0 {
                writeln!(f, "    {name} {numbers}")?;
            }
        }
        let copies = self.duplicates;
        if copies.events > 0 {
            let (all, events) = (copies.all(), copies.events);
            writeln!(
                f,
                "    duplicates: {all} of {events} events; {} identical, {} different, {} not compared",
                copies.identical, copies.different, copies.not_compared
            )?;
        }
        Ok(())
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut spool = None;
        for epoch in &self.epochs {
            if spool.replace(&epoch.spool) != Some(&epoch.spool) {
                writeln!(f, "spool {}", epoch.spool)?;
            }
            write!(f, "{epoch}")?;
        }
        if self.unreadable > 0 {
            writeln!(f, "{} entries are not usage events", self.unreadable)?;
        }
        let (events, epochs, duplicates, open) = (self.events, self.epochs.len(), self.duplicates, self.open);
        write!(f, "{}: {events} events of {epochs} epochs, {duplicates} duplicates", self.verdict())?;
        if open > 0 { write!(f, ", {open} open") } else { Ok(()) }
    }
}
