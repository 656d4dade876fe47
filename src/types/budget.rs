//! Money a key may spend in a period.

use super::{NanoUsd, Timestamp};

const DAY_MS: u64 = 86_400_000;

/// When a budget begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

impl Period {
    /// Every period, shortest first.
    pub const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::Total];

    /// As written in keys files and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// Reads what [`Period::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.as_str() == text)
    }

    /// When the period that holds this moment began; 1970 for the one that never ends.
    pub fn start(self, at: Timestamp) -> Timestamp {
        let day = at.as_millis() / DAY_MS;
        let first = match self {
            Self::Day => day,
            // 1970-01-01 was a Thursday, so the Monday before it is day -3.
            Self::Week => day.saturating_sub((day + 3) % 7),
            Self::Month => day - (day_of_month(day) - 1),
            Self::Total => 0,
        };
        Timestamp::from_millis(first * DAY_MS)
    }

    /// When the period that holds this moment ends; `None` for the one that never does.
    pub fn end(self, at: Timestamp) -> Option<Timestamp> {
        let start = self.start(at).as_millis();
        let next = match self {
            Self::Day => start + DAY_MS,
            // The first week of 1970 began before it.
            Self::Week if start == 0 => 4 * DAY_MS,
            Self::Week => start + 7 * DAY_MS,
            // No month is longer than 31 days, and none is shorter than 28.
            Self::Month => self.start(Timestamp::from_millis(start + 31 * DAY_MS)).as_millis(),
            Self::Total => return None,
        };
        Some(Timestamp::from_millis(next))
    }
}

/// The day of the month, from 1, of a day counted from 1970-01-01: Hinnant's civil calendar, whose year begins in March.
fn day_of_month(day: u64) -> u64 {
    let day_of_era = (day + 719_468) % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    day_of_year - (153 * month + 2) / 5 + 1
}

#[cfg(test)]
mod tests {
    use super::Period;
    use crate::types::Timestamp;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn a_period_begins_and_ends_by_the_calendar() {
        let cases = [
            (Period::Day, "2026-11-21T10:00:00Z", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"),
            (Period::Week, "2026-11-21T10:00:00Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
            (Period::Week, "2026-11-16T00:00:00Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
            (Period::Month, "2026-11-21T10:00:00Z", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
            (Period::Month, "2026-12-31T23:59:59.999Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            (Period::Month, "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            (Period::Month, "2027-02-28T12:00:00Z", "2027-02-01T00:00:00Z", "2027-03-01T00:00:00Z"),
            (Period::Week, "1970-01-02T00:00:00Z", "1970-01-01T00:00:00Z", "1970-01-05T00:00:00Z"),
        ];
        for (period, now, start, end) in cases {
            assert_eq!(period.start(at(now)), at(start), "{period:?} {now}");
            assert_eq!(period.end(at(now)), Some(at(end)), "{period:?} {now}");
        }
        assert_eq!(Period::Total.end(at("2026-11-21T10:00:00Z")), None);
    }

    #[test]
    fn every_month_of_a_century_begins_on_its_first_day() {
        let (mut start, mut months) = (at("2000-01-01T00:00:00Z"), 0);
        while start < at("2100-01-01T00:00:00Z") {
            assert!(start.to_string().contains("-01T00:00:00"), "{start}");
            start = Period::Month.end(start).unwrap();
            months += 1;
        }
        assert_eq!(months, 1200);
    }
}
