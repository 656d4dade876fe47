//! Money as integers: billionths of a US dollar.

use serde::{Deserialize, Serialize};

/// An amount in nano-USD (10⁻⁹ USD). One token of a model at 0.001 USD per million tokens is exactly 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct NanoUsd(pub i64);

impl NanoUsd {
    /// From dollars, rounded to the nearest nano-dollar; `None` when it is not a finite amount that fits.
    pub fn from_usd(usd: f64) -> Option<Self> {
        let nano = (usd * 1e9).round();
        (nano.is_finite() && nano.abs() < 9e18).then_some(Self(nano as i64))
    }

    /// As dollars, for display only.
    pub fn as_usd(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// As dollars with all nine decimals, exact: for people, and for programs that read what people do.
    pub fn dollars(self) -> String {
        let (sign, nano) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        format!("{sign}{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000)
    }

    /// The sum, held at the ends of the range rather than wrapped.
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}
