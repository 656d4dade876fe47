//! From a record to what it adds to the ledger, or why it may not.
//!
//! Reads only what the ledger needs, so that an event with newer fields is no trouble. What cannot be counted rightly is
//! never counted in part: it is put aside with its reason. Texts are cut and numbers held in bounds here, so that no
//! record can be one that the database refuses.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::control::store::ledger::{Charge, Loss, Totals, remembered_since};
use crate::event::{LOSS_TYPE, TYPE};
use crate::types::{NanoUsd, Timestamp};

/// Ids, names and reasons are cut here; those of ours are shorter.
const LONGEST: usize = 256;
/// More tokens or nano-USD than this in one call are a mistake, and sums of them could not be kept.
const MOST_TOKENS: u64 = 1_000_000_000_000;
const MOST_NANO: i64 = 1_000_000_000_000_000;
/// How much of a record is kept when it is put aside.
#[cfg(feature = "kafka")]
const KEPT: usize = 2048;

/// What a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Usage.
    Usage(Charge),
    /// The news that usage is missing.
    Loss(Loss),
}

/// An event's attributes and data, wherever they stood.
#[derive(Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) time: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) data: &'a RawValue,
}

#[derive(Deserialize)]
struct UsageFacts {
    key_id: Option<String>,
    org_id: Option<String>,
    model_requested: Option<String>,
    model_served: Option<String>,
    outcome: String,
    #[serde(default)]
    usage: Tokens,
    cost: Option<CostFacts>,
}

#[derive(Default, Deserialize)]
struct Tokens {
    #[serde(rename = "input_tokens")]
    input: Option<u64>,
    #[serde(rename = "output_tokens")]
    output: Option<u64>,
    #[serde(rename = "cache_read_tokens")]
    cache_read: Option<u64>,
    #[serde(rename = "cache_write_tokens")]
    cache_write: Option<u64>,
    #[serde(rename = "reasoning_tokens")]
    reasoning: Option<u64>,
}

#[derive(Deserialize)]
struct CostFacts {
    total_nano: i64,
}

#[derive(Deserialize)]
struct LossFacts {
    spool: String,
    epoch: u64,
    reason: String,
    first: Option<u64>,
    last: Option<u64>,
}

/// Reads an event in structured form.
pub(super) fn read(record: &[u8], now: Timestamp) -> Result<Entry, &'static str> {
    read_envelope(&serde_json::from_slice(record).map_err(|_| "not_an_event")?, now)
}

/// Reads an event whose attributes were apart.
pub(super) fn read_envelope(event: &Envelope<'_>, now: Timestamp) -> Result<Entry, &'static str> {
    let at = Timestamp::parse(&event.time).ok_or("no_time")?;
    if event.id.is_empty() || event.id.len() > LONGEST || event.id.contains('\0') {
        return Err("bad_id");
    }
    if at < remembered_since(now) {
        return Err("too_old");
    }
    match &*event.kind {
        TYPE => usage(event, at).map(Entry::Usage),
        LOSS_TYPE => loss(event, at).map(Entry::Loss),
        _ => Err("other_type"),
    }
}

/// What is kept of a record that is put aside.
#[cfg(feature = "kafka")]
pub(super) fn kept(record: &[u8]) -> String {
    let start = record.get(..KEPT).unwrap_or(record);
    String::from_utf8_lossy(start).replace('\0', "\u{fffd}")
}

fn usage(event: &Envelope<'_>, at: Timestamp) -> Result<Charge, &'static str> {
    let facts: UsageFacts = serde_json::from_str(event.data.get()).map_err(|_| "not_usage")?;
    let tokens = |count: Option<u64>| match count.unwrap_or(0) {
        count if count <= MOST_TOKENS => Ok(count as i64),
        _ => Err("out_of_range"),
    };
    let cost = facts.cost.as_ref().map_or(0, |cost| cost.total_nano);
    if !(0..=MOST_NANO).contains(&cost) {
        return Err("out_of_range");
    }
    let rejected = facts.outcome == "rejected";
    let failed = facts.outcome == "upstream_error";
    let used = facts.usage.input.max(facts.usage.output).is_some_and(|tokens| tokens > 0);
    let totals = Totals {
        requests: i64::from(!rejected),
        errors: i64::from(failed),
        rejected: i64::from(rejected),
        unpriced: i64::from(used && !rejected && facts.cost.is_none()),
        input_tokens: tokens(facts.usage.input)?,
        output_tokens: tokens(facts.usage.output)?,
        cache_read_tokens: tokens(facts.usage.cache_read)?,
        cache_write_tokens: tokens(facts.usage.cache_write)?,
        reasoning_tokens: tokens(facts.usage.reasoning)?,
        cost: NanoUsd(cost),
    };
    // A model that answered nothing is a name that any caller may make up: it gets no row of its own.
    let model = if rejected || failed { facts.model_served } else { facts.model_requested.or(facts.model_served) };
    Ok(Charge {
        id: event.id.clone().into_owned(),
        at,
        key: name(facts.key_id),
        organization: name(facts.org_id),
        model: name(model),
        totals,
    })
}

fn loss(event: &Envelope<'_>, at: Timestamp) -> Result<Loss, &'static str> {
    let facts: LossFacts = serde_json::from_str(event.data.get()).map_err(|_| "not_a_loss")?;
    let number = |number: Option<u64>| number.map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    Ok(Loss {
        id: event.id.clone().into_owned(),
        at,
        spool: name(Some(facts.spool)),
        epoch: i64::try_from(facts.epoch).unwrap_or(i64::MAX),
        reason: name(Some(facts.reason)),
        numbers: (number(facts.first), number(facts.last)),
    })
}

/// A name as the database takes it.
fn name(text: Option<String>) -> String {
    let mut text = text.unwrap_or_default();
    if text.contains('\0') {
        text = text.replace('\0', "\u{fffd}");
    }
    text.truncate(text.floor_char_boundary(LONGEST));
    text
}

#[cfg(test)]
mod tests {
    use super::{Entry, LONGEST, Totals, read};
    use crate::types::{NanoUsd, Timestamp};

    fn event(id: &str, time: &str, data: &str) -> Vec<u8> {
        format!(r#"{{"specversion":"1.0","id":"{id}","type":"dev.tollgate.usage.v1","time":"{time}","data":{data}}}"#)
            .into_bytes()
    }

    fn now() -> Timestamp {
        Timestamp::parse("2026-11-21T10:00:00Z").unwrap()
    }

    const TIME: &str = "2026-11-21T09:00:00.000Z";

    #[test]
    fn a_priced_answer_is_counted_and_a_refusal_is_counted_apart() {
        let data = r#"{"key_id":"k","org_id":"o","model_requested":"m","outcome":"ok","newer":1,
            "usage":{"input_tokens":7,"output_tokens":3,"reasoning_tokens":2},"cost":{"currency":"USD","total_nano":61}}"#;
        let Ok(Entry::Usage(charge)) = read(&event("a-1-1", TIME, data), now()) else { panic!() };
        assert_eq!((charge.key.as_str(), charge.organization.as_str(), charge.model.as_str()), ("k", "o", "m"));
        let counts = Totals {
            requests: 1,
            input_tokens: 7,
            output_tokens: 3,
            reasoning_tokens: 2,
            cost: NanoUsd(61),
            ..Totals::default()
        };
        assert_eq!(charge.totals, counts);
        let refused = r#"{"key_id":"k","model_requested":"made-up","outcome":"rejected","usage":{}}"#;
        let Ok(Entry::Usage(charge)) = read(&event("a-1-2", TIME, refused), now()) else { panic!() };
        assert_eq!((charge.model.as_str(), charge.totals.requests, charge.totals.rejected), ("", 0, 1));
    }

    #[test]
    fn what_cannot_be_counted_rightly_is_put_aside_with_its_reason() {
        let ok = r#"{"outcome":"ok","usage":{}}"#;
        let cases = [
            (b"not json".to_vec(), "not_an_event"),
            (b"[]".to_vec(), "not_an_event"),
            (event("", TIME, ok), "bad_id"),
            (event(&"x".repeat(LONGEST + 1), TIME, ok), "bad_id"),
            (event(r"a\u0000b", TIME, ok), "bad_id"),
            (event("a", "yesterday", ok), "no_time"),
            (event("a", "2026-01-01T00:00:00Z", ok), "too_old"),
            (event("a", TIME, "{}"), "not_usage"),
            (event("a", TIME, r#"{"outcome":"ok","cost":{"total_nano":-1}}"#), "out_of_range"),
            (event("a", TIME, r#"{"outcome":"ok","usage":{"input_tokens":18446744073709551615}}"#), "out_of_range"),
        ];
        for (record, reason) in cases {
            assert_eq!(read(&record, now()), Err(reason), "{}", String::from_utf8_lossy(&record));
        }
        let other = br#"{"id":"a","type":"com.example.x","time":"2026-11-21T09:00:00Z","data":{}}"#;
        assert_eq!(read(other, now()), Err("other_type"));
    }

    #[test]
    fn names_are_what_a_database_takes() {
        let data = format!(r#"{{"outcome":"ok","model_requested":"a\u0000{}"}}"#, "é".repeat(300));
        let Ok(Entry::Usage(charge)) = read(&event("a", TIME, &data), now()) else { panic!() };
        assert!(charge.model.len() <= LONGEST && !charge.model.contains('\0'));
    }
}
