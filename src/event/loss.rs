//! The loss event, version 1: says that events are missing, and which, as far as is known.
//!
//! Delivered like a usage event, by the same sinks and in the same order; it stands for no request and counts as no
//! usage. Within version 1 fields are only ever added.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Previous;
use crate::types::Timestamp;

/// CloudEvents `type` of every loss event.
pub const LOSS_TYPE: &str = "dev.tollgate.loss.v1";

/// The envelope: CloudEvents 1.0, structured mode.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LossEvent {
    /// Always `1.0`.
    pub specversion: Cow<'static, str>,
    /// The same however often the loss is reported.
    pub id: String,
    /// `/tollgate/spool/<spool>`.
    pub source: String,
    /// Always [`LOSS_TYPE`].
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// The spool. Also the key of the Kafka message.
    pub subject: String,
    /// When the loss was found.
    #[cfg_attr(test, schemars(with = "String"))]
    pub time: Timestamp,
    /// Always `application/json`.
    pub datacontenttype: Cow<'static, str>,
    /// What is missing.
    pub data: LossData,
}

/// What is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LossData {
    /// The spool's id.
    pub spool: String,
    /// The epoch that the missing numbers are of.
    pub epoch: u64,
    /// Why.
    pub reason: LossReason,
    /// The first missing number; absent when it is not known that any is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// The last missing number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// Where in the log the damage is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<Damage>,
    /// Where the epoch's number 1 is missing: where the numbers before it end, which its event would have said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
}

/// Why numbers are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LossReason {
    /// The log was damaged. The damaged bytes, or the file that cannot be read, are kept in the spool's directory.
    Damaged,
    /// The number was given out, and nothing was recorded under it: no room, or the process died first.
    #[default]
    Unrecorded,
}

/// A damaged stretch of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Damage {
    /// The segment's number within the epoch.
    pub segment: u64,
    /// Where the stretch begins.
    pub offset: u64,
    /// How long it is; 0 where it is the rest of a file that cannot be read.
    pub bytes: u64,
}

impl LossEvent {
    /// Says what `data` says, found now.
    pub fn new(data: LossData) -> Self {
        let place = match (data.damage, data.first) {
            (Some(damage), _) => format!("damage-{}-{}", damage.segment, damage.offset),
            (None, first) => format!("loss-{}", first.unwrap_or(0)),
        };
        Self {
            specversion: "1.0".into(),
            id: format!("{}-{}-{place}", data.spool, data.epoch),
            source: format!("/tollgate/spool/{}", data.spool),
            kind: LOSS_TYPE.into(),
            subject: data.spool.clone(),
            time: Timestamp::now(),
            datacontenttype: "application/json".into(),
            data,
        }
    }

    /// As one line of JSON.
    pub fn encode(&self) -> Vec<u8> {
        // Nothing in it can fail to be written.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
