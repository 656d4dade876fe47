//! A key record as it is written: the fields of a keys file, as JSON or YAML.

use serde::{Deserialize, Serialize};

use super::{Budget, Digest, GroupId, KeyId, KeyRecord, Limits, NanoUsd, OrgId, Pattern, Period, Timestamp};

/// See the module. What is empty or as it would be anyway is left out.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenRecord {
    id: KeyId,
    key: WrittenDigest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<WrittenDigest>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    organizations: Vec<OrgId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    memberships: Vec<OrgId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<GroupId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    models: Vec<String>,
    #[serde(default, skip_serializing_if = "is_unset")]
    limits: Limits,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    budget: Option<WrittenBudget>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    enabled: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDigest {
    sha256: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenBudget {
    period: String,
    usd: f64,
}

/// A record that cannot be: what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A digest is not 64 hex digits.
    #[error("a sha256 is not 64 hex digits")]
    Digest,
    /// The budget's period or amount is none.
    #[error("the budget is not a period (day, week, month, total) and an amount of dollars, 0 or more")]
    Budget,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_yes(value: &bool) -> bool {
    *value
}

fn is_unset(limits: &Limits) -> bool {
    *limits == Limits::default()
}

impl From<KeyRecord> for WrittenRecord {
    fn from(record: KeyRecord) -> Self {
        let digest = |digest: Digest| WrittenDigest { sha256: digest.to_hex() };
        let budget =
            |budget: Budget| WrittenBudget { period: budget.period.as_str().to_owned(), usd: budget.amount.as_usd() };
        Self {
            id: record.id,
            key: digest(record.key),
            secret: record.secret.map(digest),
            organizations: record.organizations,
            memberships: record.memberships,
            group: record.group,
            models: record.models.into_iter().map(|pattern| pattern.as_str().to_owned()).collect(),
            limits: record.limits,
            budget: record.budget.map(budget),
            expires: record.expires,
            enabled: record.enabled,
        }
    }
}

impl TryFrom<WrittenRecord> for KeyRecord {
    type Error = RecordError;

    fn try_from(written: WrittenRecord) -> Result<Self, RecordError> {
        let digest = |written: WrittenDigest| Digest::from_hex(&written.sha256).ok_or(RecordError::Digest);
        let budget = |written: WrittenBudget| {
            let amount = NanoUsd::from_usd(written.usd).filter(|amount| amount.0 >= 0);
            let period = Period::parse(&written.period);
            period.zip(amount).map(|(period, amount)| Budget { period, amount }).ok_or(RecordError::Budget)
        };
        Ok(Self {
            secret: written.secret.map(digest).transpose()?,
            organizations: written.organizations,
            memberships: written.memberships,
            group: written.group,
            models: written.models.into_iter().map(Pattern::new).collect(),
            limits: written.limits,
            budget: written.budget.map(budget).transpose()?,
            expires: written.expires,
            enabled: written.enabled,
            ..Self::new(written.id, digest(written.key)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::types::{Budget, Digest, GroupId, KeyId, KeyRecord, Limits, NanoUsd, OrgId, Pattern, Period, Timestamp};

    #[test]
    fn a_record_survives_being_written_to_the_last_nano_dollar() {
        let plain = KeyRecord::new(KeyId::new("plain"), Digest::of(b"sk-plain"));
        let amount = NanoUsd(123_456_789_123_456);
        let full = KeyRecord {
            secret: Some(Digest::of(b"secret")),
            organizations: vec![OrgId::new("org_a")],
            memberships: vec![OrgId::new("org_b")],
            group: Some(GroupId::new("research")),
            models: vec![Pattern::new("gpt-*")],
            limits: Limits { requests_per_minute: Some(60), ..Limits::default() },
            budget: Some(Budget { period: Period::Month, amount }),
            expires: Timestamp::parse("2027-01-01T00:00:00Z"),
            enabled: false,
            ..plain.clone()
        };
        for record in [plain, full] {
            let text = serde_json::to_string(&record).unwrap();
            assert_eq!(serde_json::from_str::<KeyRecord>(&text).unwrap(), record, "{text}");
        }
    }

    #[test]
    fn what_is_not_known_or_cannot_be_is_refused() {
        let digest = "a".repeat(64);
        let wrong = [
            format!(r#"{{"id":"a","key":{{"sha256":"{digest}"}},"colour":"blue"}}"#),
            r#"{"id":"a","key":{"sha256":"abc"}}"#.to_owned(),
            format!(r#"{{"id":"a","key":{{"sha256":"{digest}"}},"budget":{{"period":"year","usd":1}}}}"#),
            format!(r#"{{"id":"a","key":{{"sha256":"{digest}"}},"budget":{{"period":"day","usd":-1}}}}"#),
        ];
        for text in wrong {
            assert!(serde_json::from_str::<KeyRecord>(&text).is_err(), "{text}");
        }
    }
}
