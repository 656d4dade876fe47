//! What a sidecar says to the store about one key or organization, and what it is told: numbers, without how they travel.
//!
//! The script that answers stands in `exchange.lua`; both sides of the contract are here and there.

use std::sync::Arc;

/// The script that the store runs.
pub(super) const SCRIPT: &str = include_str!("exchange.lua");
/// Levels of requests count in sixths: what one request per minute gains in one step.
pub(super) const SIXTHS: i64 = 6;
/// Levels of tokens count in these: what one token per minute gains in a millisecond.
pub(super) const TOKEN: i64 = 60_000;
/// A larger number of tokens counts as this: the store's arithmetic is exact up to here.
pub(super) const MOST_TOKENS: u64 = 100_000_000_000;
/// Numbers before the verdicts in an answer.
const FIXED: usize = 7;

/// One of the three limits in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) limit: Option<u64>,
    /// Given back, or owed when below zero; of slots: how many are held.
    pub(super) back: i64,
    /// How many may be lent ahead.
    pub(super) more: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) key: Arc<str>,
    pub(super) requests: Terms,
    pub(super) tokens: Terms,
    pub(super) slots: Terms,
    /// The tokens that each waiting request needs.
    pub(super) needs: Vec<u64>,
}

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Granted,
    Concurrency,
    Tokens,
    Requests,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// In sixths of a request.
    pub(super) requests_level: i64,
    /// How far the current step of the requests' limit is.
    pub(super) into_step_ms: u64,
    /// In sixty-thousandths of a token.
    pub(super) tokens_level: i64,
    pub(super) requests_more: u64,
    pub(super) tokens_more: u64,
    pub(super) slots_more: u64,
    pub(super) verdicts: Vec<Verdict>,
}

impl Ask {
    /// The script's numbers after the holder and its lease.
    pub(super) fn numbers(&self) -> impl Iterator<Item = i64> {
        let terms = [self.requests, self.tokens, self.slots].into_iter().flat_map(|terms| {
            let limit = terms.limit.map_or(-1, |limit| limit.min(MOST_TOKENS) as i64);
            let most = MOST_TOKENS as i64;
            [limit, terms.back.clamp(-most, most), terms.more.min(MOST_TOKENS) as i64]
        });
        // One more than the most never fits.
        terms.chain(self.needs.iter().map(|need| (*need).min(MOST_TOKENS + 1) as i64))
    }
}

impl Told {
    /// Reads an answer to a message with this many needs.
    pub(super) fn read(numbers: &[i64], needs: usize) -> Option<Self> {
        let (fixed, verdicts) = numbers.split_first_chunk::<FIXED>()?;
        let [requests_level, into_step, tokens_level, _in_flight, requests_more, tokens_more, slots_more] = *fixed;
        let told = Self {
            requests_level,
            into_step_ms: into_step.max(0) as u64,
            tokens_level,
            requests_more: requests_more.max(0) as u64,
            tokens_more: tokens_more.max(0) as u64,
            slots_more: slots_more.max(0) as u64,
            verdicts: verdicts.iter().map(|code| Verdict::read(*code)).collect::<Option<_>>()?,
        };
        (told.verdicts.len() == needs).then_some(told)
    }
}

impl Verdict {
    fn read(code: i64) -> Option<Self> {
        match code {
            0 => Some(Self::Granted),
            1 => Some(Self::Concurrency),
            2 => Some(Self::Tokens),
            3 => Some(Self::Requests),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Ask, MOST_TOKENS, Terms, Told, Verdict};
    use std::sync::Arc;

    #[test]
    fn a_message_is_numbers_and_no_limit_is_minus_one() {
        let ask = Ask {
            key: Arc::from("k"),
            requests: Terms { limit: Some(60), back: 2, more: 0 },
            tokens: Terms { limit: Some(u64::MAX), back: i64::MIN, more: u64::MAX },
            slots: Terms { limit: None, back: 3, more: 1 },
            needs: vec![7, u64::MAX],
        };
        let most = MOST_TOKENS as i64;
        let numbers: Vec<i64> = ask.numbers().collect();
        assert_eq!(numbers, [60, 2, 0, most, -most, most, -1, 3, 1, 7, most + 1]);
    }

    #[test]
    fn an_answer_of_another_shape_is_none() {
        let told = Told::read(&[359, 9_999, -60_000, 4, 1, 2, 3, 0, 2], 2).unwrap();
        assert_eq!(told.verdicts, [Verdict::Granted, Verdict::Tokens]);
        assert_eq!((told.requests_level, told.into_step_ms, told.tokens_level), (359, 9_999, -60_000));
        for (wrong, needs) in [(&[0, 0, 0, 0, 0, 0, 0][..], 1), (&[0, 0, 0, 0, 0, 0, 0, 4], 1), (&[0; 6], 0), (&[], 0)]
        {
            assert_eq!(Told::read(wrong, needs), None);
        }
    }
}
