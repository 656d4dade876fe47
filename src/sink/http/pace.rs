//! How many requests may be under way, and when none may.
//!
//! After a failure two, so that a receiver that comes back is not met by a crowd, and one event that fails again and
//! again does not hold up those behind it; with each answer one more. A receiver that asks to be left alone is, for a
//! while: what it says is taken at its word up to a bound, since a slip of it must not end delivery.

use std::time::{Duration, Instant};

use http::HeaderValue;

use crate::types::Timestamp;

/// After a failure.
const FEWEST: usize = 2;
/// No receiver is left alone for longer.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

#[derive(Debug)]
pub(super) struct Pace {
    most: usize,
    now: usize,
    until: Option<Instant>,
}

impl Pace {
    /// At most so many.
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { most, now: most, until: None }
    }

    /// How many may be under way now.
    pub(super) fn room(&self) -> usize {
        if self.until.is_some_and(|until| until > Instant::now()) { 0 } else { self.now }
    }

    /// A request was answered for good.
    pub(super) fn worked(&mut self) {
        self.now = (self.now + 1).min(self.most);
    }

    /// A request must be made again.
    pub(super) fn failed(&mut self) {
        self.now = FEWEST.min(self.most);
    }

    /// The receiver said how long it wants to be left alone.
    pub(super) fn asked_to_wait(&mut self, wait: Option<Duration>) {
        let until = wait.map(|wait| Instant::now() + wait.min(LONGEST_WAIT));
        self.until = self.until.max(until);
    }
}

/// A `Retry-After`: seconds, or a date in the one form that is still written.
pub(super) fn read_wait(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = read_date(text)?.as_millis();
    Some(Duration::from_millis(until.saturating_sub(Timestamp::now().as_millis())))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn read_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split(' ').skip(1);
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    (words.next()? == "GMT").then(|| Timestamp::parse(&format!("{year}-{month:02}-{day}T{time}Z")))?
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::{LONGEST_WAIT, Pace, read_date, read_wait};
    use crate::types::Timestamp;

    #[test]
    fn after_a_failure_few_go_at_once_and_then_one_more_with_each_answer() {
        let mut pace = Pace::new(4);
        assert_eq!(pace.room(), 4);
        pace.failed();
        assert_eq!(pace.room(), 2);
        for room in [3, 4, 4] {
            pace.worked();
            assert_eq!(pace.room(), room);
        }
        let mut alone = Pace::new(1);
        alone.failed();
        assert_eq!(alone.room(), 1);
    }

    #[test]
    fn a_receiver_is_left_alone_as_long_as_it_asks_within_bounds() {
        let mut pace = Pace::new(4);
        pace.asked_to_wait(Some(Duration::from_millis(30)));
        pace.asked_to_wait(Some(Duration::ZERO));
        pace.asked_to_wait(None);
        assert_eq!(pace.room(), 0, "the longest counts");
        std::thread::sleep(Duration::from_millis(35));
        assert_eq!(pace.room(), 4);
        pace.asked_to_wait(Some(Duration::from_secs(u64::MAX)));
        assert!(pace.until.unwrap() <= std::time::Instant::now() + LONGEST_WAIT);
    }

    #[test]
    fn a_wait_is_read_in_seconds_and_as_a_date() {
        let read = |text: &str| read_wait(&HeaderValue::from_str(text).unwrap());
        assert_eq!(read("120"), Some(Duration::from_mins(2)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO), "it is over");
        assert_eq!(read_date("Sun, 06 Nov 1994 08:49:37 GMT"), Timestamp::parse("1994-11-06T08:49:37Z"));
        for wrong in ["", "soon", "-1", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Foo 1994 08:49:37 GMT"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
