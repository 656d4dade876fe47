//! Wall time as a label. Durations never come from it: the wall clock may jump.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds since 1970-01-01T00:00:00Z; written as RFC 3339 with milliseconds in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The time now.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(since.as_millis() as u64)
    }

    /// From milliseconds since 1970.
    pub fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub fn as_millis(self) -> u64 {
        self.0
    }

    /// Reads RFC 3339 in UTC (`2027-01-01T00:00:00Z`).
    pub fn parse(text: &str) -> Option<Self> {
        let time = humantime::parse_rfc3339(text).ok()?;
        let since = time.duration_since(UNIX_EPOCH).ok()?;
        Some(Self(since.as_millis() as u64))
    }
}

/// Days from 0000-03-01, where a year that begins in March is counted from, to 1970-01-01.
const DAYS_BEFORE_1970: u64 = 719_468;
/// The length of the Gregorian calendar's cycle of 400 years.
const DAYS_IN_CYCLE: u64 = 146_097;

/// Year, month and day of a day since 1970, in the proleptic Gregorian calendar. Counted from March, leap days come
/// last in their years, so that the months' lengths follow one line.
fn date(day: u64) -> [u64; 3] {
    let day = day + DAYS_BEFORE_1970;
    let (cycle, day) = (day / DAYS_IN_CYCLE, day % DAYS_IN_CYCLE);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (next_year, calendar_month) = if month < 10 { (0, month + 3) } else { (1, month - 9) };
    [cycle * 400 + year + next_year, calendar_month, day - (153 * month + 2) / 5 + 1]
}

impl Timestamp {
    /// RFC 3339 with milliseconds, in UTC. Written here because events are many, and formatting one by `fmt` costs as
    /// much as the rest of its envelope.
    fn text(self) -> [u8; 24] {
        // Year 9999 is the last that RFC 3339 can say.
        let millis = self.0.min(253_402_300_799_999);
        let [year, month, day] = date(millis / 86_400_000);
        let (hour, minute, second) = (millis / 3_600_000 % 24, millis / 60_000 % 60, millis / 1_000 % 60);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let numbers = [
            (year, 0, 4),
            (month, 5, 2),
            (day, 8, 2),
            (hour, 11, 2),
            (minute, 14, 2),
            (second, 17, 2),
            (millis, 20, 3),
        ];
        for (mut number, at, digits) in numbers {
            for digit in text.iter_mut().skip(at).take(digits).rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        text
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not an RFC 3339 time in UTC"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::{prop_assert_eq, proptest};

    use super::Timestamp;

    proptest! {
        #[test]
        fn every_time_is_written_as_others_write_it(millis in 0_u64..253_402_300_800_000) {
            let theirs = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(millis)).to_string();
            prop_assert_eq!(Timestamp::from_millis(millis).to_string(), theirs);
        }
    }

    #[test]
    fn every_day_of_a_cycle_is_written_as_others_write_it() {
        for day in 0..150_000 {
            let millis = day * 86_400_000 + 86_399_999;
            let theirs = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(millis)).to_string();
            assert_eq!(Timestamp::from_millis(millis).to_string(), theirs);
        }
    }

    #[test]
    fn a_time_survives_its_text() {
        let time = Timestamp::parse("2026-11-21T10:00:00.250Z").unwrap();
        assert_eq!(time.to_string(), "2026-11-21T10:00:00.250Z");
        assert_eq!(time.as_millis(), 1_795_255_200_250);
        assert_eq!(Timestamp::parse("yesterday"), None);
        assert_eq!(Timestamp::from_millis(u64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }
}
