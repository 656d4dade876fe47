//! What an authority tells a sidecar about a key: everything that it needs to decide by itself for a while.

use serde::{Deserialize, Serialize};

use super::{KeyId, KeyRecord, Limits, NanoUsd, OrgId, Timestamp};

/// An answer of the authority. Within version 1 fields are only ever added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The key's record, as in a keys file.
    pub record: KeyRecord,
    /// The organization that pays for the call that was asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrgId>,
    /// What all callers of that organization may use together.
    #[serde(default)]
    pub organization_limits: Limits,
    /// What may be spent before the authority must be asked again; absent where nothing limits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Slice>,
    /// How long this may be used without asking again, in milliseconds.
    pub ttl_ms: u64,
    /// The authority's revision when this was true. A revocation with a greater one ends it.
    pub revision: u64,
}

/// A part of a budget, on loan to one sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// How much may be spent of it, in nano-USD, beyond what is `used`.
    pub nano_usd: NanoUsd,
    /// What its holder has used of the budget in this period, as far as the authority was told.
    #[serde(default)]
    pub used: NanoUsd,
    /// When that period began.
    #[serde(default)]
    pub since: Timestamp,
    /// When it ends unless renewed.
    pub expires: Timestamp,
}

/// What one holder has used of a budget since its period began. It tells this whenever it asks, so that nothing is lent
/// twice, however late the usage events come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// How much, in nano-USD.
    pub nano_usd: NanoUsd,
    /// When the period began.
    pub since: Timestamp,
    /// What calls in flight may add to it.
    #[serde(default)]
    pub held: NanoUsd,
}

/// A slice that its holder gives back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// Whose budget it is of.
    pub key_id: KeyId,
    /// What was used of it.
    pub used: Used,
}
