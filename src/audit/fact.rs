//! What an audit reads of an event: its place, its outcome, what it counts; of a loss event what is lost. Nothing else is
//! looked at, so that events of later versions can be audited too.

use std::borrow::Cow;

use serde::Deserialize;

/// These bytes are not a usage event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a usage event")]
pub struct NotAnEvent;

/// `data` of an event.
#[derive(Debug, Deserialize)]
pub(super) struct Fact<'a> {
    #[serde(borrow)]
    pub(super) sequence: Place<'a>,
    #[serde(borrow)]
    pub(super) outcome: Cow<'a, str>,
    #[serde(default)]
    pub(super) usage: Tokens,
    #[serde(default)]
    pub(super) cost: Option<Money>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Place<'a> {
    #[serde(borrow)]
    pub(super) spool: Cow<'a, str>,
    pub(super) epoch: u64,
    pub(super) number: u64,
    #[serde(default)]
    pub(super) previous: Option<Before>,
}

/// What an epoch's first event says of the last epoch before it that gave out numbers.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Before {
    pub(super) epoch: u64,
    pub(super) number: u64,
    #[serde(default)]
    pub(super) clean: bool,
}

/// `data` of a loss event.
#[derive(Debug, Deserialize)]
pub(super) struct Loss<'a> {
    #[serde(borrow)]
    pub(super) spool: Cow<'a, str>,
    pub(super) epoch: u64,
    /// Tells it from other things with an epoch.
    #[serde(borrow, rename = "reason")]
    _reason: Cow<'a, str>,
    #[serde(default)]
    pub(super) first: Option<u64>,
    #[serde(default)]
    pub(super) last: Option<u64>,
    #[serde(default)]
    pub(super) previous: Option<Before>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Tokens {
    pub(super) input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Money {
    pub(super) total_nano: i64,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

impl<'a> Fact<'a> {
    /// Reads an event as a line or a structured message has it, or the `data` alone that a binary message carries.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, NotAnEvent> {
        read(bytes)
    }
}

impl<'a> Loss<'a> {
    /// The same of a loss event.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, NotAnEvent> {
        read(bytes)
    }
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, NotAnEvent> {
    serde_json::from_slice::<Envelope<T>>(bytes)
        .map(|envelope| envelope.data)
        .or_else(|_| serde_json::from_slice(bytes))
        .map_err(|_| NotAnEvent)
}
