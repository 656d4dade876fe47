//! Money a key may spend in a period.

use super::NanoUsd;

/// When a budget begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// At midnight UTC.
    Day,
    /// On Monday, midnight UTC.
    Week,
    /// On the first of the month, midnight UTC.
    Month,
    /// Never.
    Total,
}

/// A budget of a key record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// When it begins anew.
    pub period: Period,
    /// How much may be spent in one period.
    pub amount: NanoUsd,
}
