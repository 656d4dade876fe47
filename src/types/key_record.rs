//! What is known of a key: the same record from a keys file, the store or the remote guard.

use serde::{Deserialize, Serialize};

use super::written_record::WrittenRecord;
use super::{Budget, Digest, GroupId, KeyId, Limits, OrgId, Pattern, Timestamp};

/// One key record. It holds digests only, never a plain key or secret.
///
/// As JSON it is a record of a keys file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "WrittenRecord", try_from = "WrittenRecord")]
pub struct KeyRecord {
    /// Its name in events, logs and lists.
    pub id: KeyId,
    /// SHA-256 of the key.
    pub key: Digest,
    /// SHA-256 of the secret that the `SecretKey` header must carry, when there is one.
    pub secret: Option<Digest>,
    /// Organizations the caller may name; the first is the default.
    pub organizations: Vec<OrgId>,
    /// Organizations that its user belongs to: the caller may name one, and none of them is the default.
    pub memberships: Vec<OrgId>,
    /// The group it belongs to.
    pub group: Option<GroupId>,
    /// Models it may use; empty means all.
    pub models: Vec<Pattern>,
    /// Its own limits; where absent the configured defaults hold.
    pub limits: Limits,
    /// What it may spend.
    pub budget: Option<Budget>,
    /// From this time on it is refused.
    pub expires: Option<Timestamp>,
    /// A disabled key is refused.
    pub enabled: bool,
}

impl KeyRecord {
    /// A record with this id and key that may do everything.
    pub fn new(id: KeyId, key: Digest) -> Self {
        Self {
            id,
            key,
            secret: None,
            organizations: Vec::new(),
            memberships: Vec::new(),
            group: None,
            models: Vec::new(),
            limits: Limits::default(),
            budget: None,
            expires: None,
            enabled: true,
        }
    }

    /// The organization of this name, if the caller may name it.
    pub fn organization(&self, named: &[u8]) -> Option<&OrgId> {
        self.organizations.iter().chain(&self.memberships).find(|own| own.as_str().as_bytes() == named)
    }

    /// Whether the key may use this model.
    pub fn allows_model(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| pattern.matches(model))
    }
}
