//! From measured values to the table: medians over rounds, held against the floor and the targets.
//!
//! What is compared is compared within a round (the same minute on the same machine), and the median is taken of that:
//! absolute figures move from run to run, ratios hardly.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::peer::Name;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    /// CPU µs per whole request.
    CpuWhole,
    /// CPU µs per chunk of paced streams.
    CpuPaced,
    /// CPU µs per chunk flat out.
    CpuFlat,
    /// Latency in µs.
    RateP50,
    /// Latency in µs.
    RateP99,
    /// Time to the first token in µs.
    TokenP50,
    /// Time to the first token in µs.
    TokenP99,
    /// MiB after the first answer.
    ResidentIdle,
    /// MiB under paced streams.
    ResidentStreams,
    /// ms from start to first answer.
    Start,
    /// Stripped, in MB.
    Binary,
}

/// How a figure is shown and held against its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    /// Divided by the floor's.
    Ratio,
    /// Shown without the direct call's share; less the floor's.
    Added,
    /// As it is.
    Absolute,
}

struct Row {
    figure: Figure,
    title: &'static str,
    compare: Compare,
    must: Option<f64>,
    goal: Option<f64>,
}

const fn row(figure: Figure, title: &'static str, compare: Compare, target: Option<(f64, f64)>) -> Row {
    let (must, goal) = match target {
        Some((must, goal)) => (Some(must), Some(goal)),
        None => (None, None),
    };
    Row { figure, title, compare, must, goal }
}

const ROWS: [Row; 11] = [
    row(Figure::CpuWhole, "CPU per whole request, µs", Compare::Ratio, Some((1.45, 1.25))),
    row(Figure::CpuPaced, "CPU per SSE chunk, paced streams, µs", Compare::Ratio, Some((1.15, 1.05))),
    row(Figure::CpuFlat, "CPU per SSE chunk, flat out, µs", Compare::Ratio, Some((1.30, 1.15))),
    row(Figure::RateP50, "added latency at 500 requests/s, p50, µs", Compare::Added, Some((60.0, 30.0))),
    row(Figure::RateP99, "added latency at 500 requests/s, p99, µs", Compare::Added, Some((200.0, 100.0))),
    row(Figure::TokenP50, "added time to first token, 64 streams, p50, µs", Compare::Added, Some((60.0, 25.0))),
    row(Figure::TokenP99, "added time to first token, 64 streams, p99, µs", Compare::Added, None),
    row(Figure::ResidentIdle, "resident memory, idle, MiB", Compare::Absolute, Some((20.0, 12.0))),
    row(Figure::ResidentStreams, "resident memory under paced streams, MiB", Compare::Absolute, Some((80.0, 60.0))),
    row(Figure::Start, "start to first answer, ms", Compare::Absolute, Some((100.0, 40.0))),
    row(Figure::Binary, "binary, stripped, MB", Compare::Absolute, Some((25.0, 15.0))),
];
const PEERS: [Name; 3] = [Name::Floor, Name::Tollgate, Name::Kafka];

/// All values of a run; one per figure, peer and round.
#[derive(Debug, Default)]
pub(crate) struct Samples(BTreeMap<(Figure, Name), Vec<f64>>);

impl Samples {
    /// Adds the next round's value.
    pub(crate) fn add(&mut self, figure: Figure, peer: Name, value: f64) {
        self.0.entry((figure, peer)).or_default().push(value);
    }

    /// The table, in Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from(
            "| figure (median) | direct | floor | tollgate | tollgate + kafka | tollgate to floor | + kafka to floor | must | goal | met: tollgate / + kafka |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|---|\n",
        );
        for row in &ROWS {
            self.line(row, &mut text);
        }
        text
    }

    fn line(&self, row: &Row, text: &mut String) {
        let direct = median(self.of(row.figure, Name::Direct).to_vec());
        let _ = write!(text, "| {} | {} |", row.title, shown(direct));
        for peer in PEERS {
            let _ = write!(text, " {} |", shown(self.own(row, peer)));
        }
        let compared = [self.compared(row, Name::Tollgate), self.compared(row, Name::Kafka)];
        for value in compared {
            let _ = write!(text, " {} |", row.written(value));
        }
        let [tollgate, kafka] = compared.map(|value| row.verdict(value));
        let (must, goal) = (row.target(row.must), row.target(row.goal));
        let _ = writeln!(text, " {must} | {goal} | {tollgate} / {kafka} |");
    }

    /// A peer's own figure: with [`Compare::Added`] without what the direct call takes.
    fn own(&self, row: &Row, peer: Name) -> Option<f64> {
        match row.compare {
            Compare::Added => self.paired(row.figure, (peer, Name::Direct), |own, direct| own - direct),
            Compare::Ratio | Compare::Absolute => median(self.of(row.figure, peer).to_vec()),
        }
    }

    /// What is held against the target.
    fn compared(&self, row: &Row, peer: Name) -> Option<f64> {
        match row.compare {
            Compare::Ratio => self.paired(row.figure, (peer, Name::Floor), |own, floor| own / floor),
            Compare::Added => self.paired(row.figure, (peer, Name::Floor), |own, floor| own - floor),
            Compare::Absolute => median(self.of(row.figure, peer).to_vec()),
        }
    }

    fn paired(&self, figure: Figure, (peer, base): (Name, Name), join: fn(f64, f64) -> f64) -> Option<f64> {
        let pairs = self.of(figure, peer).iter().zip(self.of(figure, base));
        median(pairs.map(|(own, base)| join(*own, *base)).collect())
    }

    fn of(&self, figure: Figure, peer: Name) -> &[f64] {
        self.0.get(&(figure, peer)).map_or(&[], Vec::as_slice)
    }
}

impl Row {
    fn written(&self, value: Option<f64>) -> String {
        match (value, self.compare) {
            (Some(value), Compare::Ratio) => format!("×{value:.2}"),
            (Some(value), Compare::Added) => format!("{value:+.0}"),
            (None, _) | (_, Compare::Absolute) => "–".to_owned(),
        }
    }

    fn target(&self, value: Option<f64>) -> String {
        match (value, self.compare) {
            (Some(value), Compare::Ratio) => format!("×{value:.2}"),
            (Some(value), Compare::Added) => format!("{value:+.0}"),
            (Some(value), Compare::Absolute) => format!("{value:.0}"),
            (None, _) => "–".to_owned(),
        }
    }

    fn verdict(&self, value: Option<f64>) -> &'static str {
        let (Some(value), Some(must), Some(goal)) = (value, self.must, self.goal) else { return "–" };
        match value {
            _ if value <= goal => "goal",
            _ if value <= must => "must",
            _ => "**missed**",
        }
    }
}

fn shown(value: Option<f64>) -> String {
    match value {
        Some(value) if value.abs() < 100.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.0}"),
        None => "–".to_owned(),
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (lower, upper) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some(f64::midpoint(*lower, *upper))
}
