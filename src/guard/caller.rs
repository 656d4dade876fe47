//! Who calls, what the call wants, and why it was refused: the words between the guard's two steps.

use std::fmt;
use std::sync::Arc;

use crate::reject::Reject;
use crate::types::{GroupId, KeyId, KeyRecord, Limits, OrgId};

/// A caller that the guard knows. Only the guard makes one.
#[derive(Clone)]
pub struct Caller {
    /// The key record's id; `None` in mode `open`.
    pub key: Option<KeyId>,
    /// The organization that pays: the named one, or the record's first.
    pub organization: Option<OrgId>,
    /// The key's group.
    pub group: Option<GroupId>,
    record: Option<Arc<KeyRecord>>,
}

/// What a request wants, as far as it is known before it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants<'a> {
    /// The model it names.
    pub model: Option<&'a str>,
    /// An estimate of its input in tokens.
    pub input_tokens: u64,
    /// The most output tokens that it asks for.
    pub max_output_tokens: Option<u64>,
}

/// A refusal, and who was refused.
#[derive(Debug)]
pub struct Refused {
    /// What the client is told.
    pub reject: Reject,
    /// Known: the refusal leaves an event. Unknown: it leaves a counter only.
    pub caller: Option<Caller>,
}

impl Caller {
    pub(super) fn anonymous(organization: Option<OrgId>) -> Self {
        Self { key: None, organization, group: None, record: None }
    }

    pub(super) fn with_key(record: Arc<KeyRecord>, organization: Option<OrgId>) -> Self {
        Self { key: Some(record.id.clone()), organization, group: record.group.clone(), record: Some(record) }
    }

    pub(super) fn is_anonymous(&self) -> bool {
        self.record.is_none()
    }

    /// Whether the key may use some models only, so that a request must say which it asks.
    pub fn is_bound_to_models(&self) -> bool {
        self.record.as_ref().is_some_and(|record| !record.models.is_empty())
    }

    pub(super) fn may_use(&self, model: Option<&str>) -> bool {
        match (&self.record, model) {
            (Some(record), Some(model)) => record.allows_model(model),
            _ => true,
        }
    }

    pub(super) fn key_limits(&self, defaults: Limits) -> Limits {
        self.record.as_ref().map_or(defaults, |record| record.limits.or(defaults))
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("key", &self.key)
            .field("organization", &self.organization)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl From<Reject> for Refused {
    fn from(reject: Reject) -> Self {
        Self { reject, caller: None }
    }
}
