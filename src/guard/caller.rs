//! Who calls, what the call wants, and why it was refused: the words between the guard's two steps.

use std::fmt;
use std::sync::Arc;

use super::lookup::Age;
use super::source::{Granted, Question};
use crate::reject::Reject;
use crate::types::{GroupId, KeyId, Limits, OrgId};

/// A caller that the guard knows. Only the guard makes one.
#[derive(Clone)]
pub struct Caller {
    /// The key record's id; `None` in mode `open`.
    pub key: Option<KeyId>,
    /// The organization that pays: the named one, or the record's first.
    pub organization: Option<OrgId>,
    pub(super) granted: Option<Arc<Granted>>,
    /// What admission must know besides, for the few for which it is anything.
    pub(super) pending: Option<Box<Pending>>,
}

/// What is still to be asked, and how old what was said is.
#[derive(Clone)]
pub(super) struct Pending {
    pub(super) question: Question<'static>,
    pub(super) age: Age,
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
        Self { key: None, organization, granted: None, pending: None }
    }

    pub(super) fn with_key(granted: &Arc<Granted>, organization: Option<OrgId>) -> Self {
        let key = Some(granted.record.id.clone());
        Self { key, organization, granted: Some(Arc::clone(granted)), pending: None }
    }

    pub(super) fn is_anonymous(&self) -> bool {
        self.granted.is_none()
    }

    /// Whether the key may use some models only, so that a request must say which it asks.
    pub fn is_bound_to_models(&self) -> bool {
        self.granted.as_ref().is_some_and(|granted| granted.by_model || !granted.record.models.is_empty())
    }

    pub(super) fn is_decided_by_model(&self) -> bool {
        self.granted.as_ref().is_some_and(|granted| granted.by_model)
    }

    /// The key's group.
    pub fn group(&self) -> Option<&GroupId> {
        self.granted.as_ref()?.record.group.as_ref()
    }

    /// Whether the authority could be asked in time.
    pub(super) fn age(&self) -> Age {
        self.pending.as_ref().map_or(Age::Fresh, |pending| pending.age)
    }

    pub(super) fn granted(&self) -> Option<&Arc<Granted>> {
        self.granted.as_ref()
    }

    pub(super) fn may_use(&self, model: Option<&str>) -> bool {
        match (&self.granted, model) {
            (Some(granted), Some(model)) => granted.record.allows_model(model),
            _ => true,
        }
    }

    pub(super) fn key_limits(&self, defaults: Limits) -> Limits {
        self.granted.as_ref().map_or(defaults, |granted| granted.record.limits.or(defaults))
    }

    pub(super) fn organization_limits(&self, defaults: Limits) -> Limits {
        self.granted.as_ref().map_or(defaults, |granted| granted.organization_limits.or(defaults))
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("key", &self.key)
            .field("organization", &self.organization)
            .field("group", &self.group())
            .finish_non_exhaustive()
    }
}

impl From<Reject> for Refused {
    fn from(reject: Reject) -> Self {
        Self { reject, caller: None }
    }
}
