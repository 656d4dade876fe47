//! Who calls, what each key lives on, and what is changed of that while it calls.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use tollgate::control::store::{By, Payer, Store};
use tollgate::types::{KeyId, NanoUsd, Period};

use super::driver::Load;
use crate::peers::{off_runtime, tollgate as program};

/// What a key lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    /// Nothing limits it.
    Free,
    /// As [`Means::Free`], and in the middle it is disabled.
    Disabled,
    /// A budget, and payments in the middle: how many sixteenths of a share the budget is. The rest is paid.
    Budget(Period, i64),
    /// No budget: payments alone.
    Balance,
    /// A budget that is never used up.
    Ample,
}

/// The keys, `key-0` and so on.
pub(super) const KEYS: [Means; 9] = [
    Means::Free,
    Means::Ample,
    Means::Budget(Period::Total, 16),
    Means::Budget(Period::Month, 16),
    Means::Budget(Period::Total, 12),
    Means::Budget(Period::Total, 8),
    Means::Balance,
    Means::Disabled,
    Means::Free,
];

/// Payments in the middle, of a sixteenth each: half of them by the command line, half by two that share the store.
pub(super) const PAYMENTS: i64 = 8;
const LANES: i64 = 2;

impl Means {
    /// Its budget for a load of so many calls, in nano-USD.
    pub(super) fn budget(self, calls: usize) -> Option<i64> {
        match self {
            Self::Budget(_, parts) => Some(sixteenth(calls) * parts),
            Self::Ample => Some(sixteenth(calls) * 16_000),
            Self::Free | Self::Disabled | Self::Balance => None,
        }
    }

    /// The period of its budget.
    pub(super) fn period(self) -> Period {
        if let Self::Budget(period, _) = self { period } else { Period::Total }
    }

    /// What is paid for it before the load, and each time in the middle.
    pub(super) fn payments(self, calls: usize) -> (i64, i64) {
        match self {
            Self::Balance => (sixteenth(calls) * 8, sixteenth(calls)),
            Self::Budget(_, 8) => (0, sixteenth(calls)),
            _ => (0, 0),
        }
    }

    /// All that it may spend, if that is to be used up.
    pub(super) fn allowance(self, calls: usize) -> Option<i64> {
        let (before, each) = self.payments(calls);
        let paid = before + PAYMENTS * each;
        match self {
            Self::Budget(..) => self.budget(calls).map(|budget| budget + paid),
            Self::Balance => Some(paid),
            Self::Free | Self::Disabled | Self::Ample => None,
        }
    }
}

/// A share is what a third of an equal part of the load costs, or a little less.
fn sixteenth(calls: usize) -> i64 {
    calls as i64 * 2_000
}

fn usd(nano: i64) -> String {
    format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000)
}

pub(super) fn id(key: usize) -> String {
    format!("key-{key}")
}

/// Fills a new store, through the command line: organizations, keys, budgets, balances, models and their prices.
pub(super) async fn fill(database: &str, calls: usize) {
    let folder = tempfile::tempdir().unwrap();
    let (file, mut text) = (folder.path().join("keys.yaml"), String::new());
    for (key, means) in KEYS.into_iter().enumerate() {
        let period = means.period().as_str();
        let budget = means
            .budget(calls)
            .map_or(String::new(), |nano| format!(", budget: {{ period: {period}, usd: {} }}", usd(nano)));
        writeln!(text, "- {{ id: {}, key: sk-fleet-{key}, organizations: [org-{}]{budget} }}", id(key), key % 2)
            .unwrap();
    }
    std::fs::write(&file, text).unwrap();
    tollgate(database, &["keys", "import", path(&file)]).await;
    for model in ["soak-whole", "soak-chunked", "soak-sse"] {
        tollgate(database, &["models", "add", model]).await;
        tollgate(database, &["models", "price", model, "--input", "30", "--output", "150"]).await;
    }
    for (key, means) in KEYS.into_iter().enumerate() {
        let (before, _) = means.payments(calls);
        if before > 0 {
            tollgate(database, &["keys", "recharge", &id(key), &usd(before)]).await;
        }
    }
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

/// In the middle of the load: disables one key, and pays for others, in several lanes at once.
pub(super) async fn change(database: &str, load: &Load, calls: usize) {
    while load.completed() < calls / 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let paid: Vec<_> = KEYS.into_iter().enumerate().filter(|(_, means)| means.payments(calls).1 > 0).collect();
    let lane = async || {
        for _ in 0..PAYMENTS / 2 / LANES {
            for (key, means) in &paid {
                tollgate(database, &["keys", "recharge", &id(*key), &usd(means.payments(calls).1)]).await;
            }
        }
    };
    let shared = async || {
        let store = super::open(database).await;
        for _ in 0..PAYMENTS / 2 / LANES {
            for (key, means) in &paid {
                pay(&store, *key, means.payments(calls).1).await;
            }
        }
    };
    let disable = async {
        for key in (0..KEYS.len()).filter(|key| KEYS[*key] == Means::Disabled) {
            load.disabling();
            tollgate(database, &["keys", "disable", &id(key)]).await;
            load.disabled();
        }
    };
    tokio::join!(disable, lane(), lane(), shared(), shared());
}

async fn pay(store: &Store, key: usize, nano: i64) {
    let payer = Payer::Key(KeyId::new(id(key)));
    store.pay(&By::new("test"), &payer, (NanoUsd(nano), "more")).await.unwrap();
}

/// Runs the program's own command line on the database.
async fn tollgate(database: &str, arguments: &[&str]) {
    let mut command = program();
    command.args(arguments).args(["--database", database]);
    let output = off_runtime(move || command.output().unwrap()).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
