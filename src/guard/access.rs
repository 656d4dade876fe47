//! Who is let in under one configuration: everyone, or those whose key has a record.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Uri};

use super::cache::Known;
use super::lookup::Lookup;
use super::source::{FileSource, KeySource, Layered};
use super::stats::Counters;
use super::{Caller, Credential, Refused, check};
use crate::config::{self, GuardMode};
use crate::reject::{Denial, Reject};
use crate::types::KeyRecord;

pub(super) struct Access {
    mode: Mode,
    organization_headers: Vec<HeaderName>,
}

enum Mode {
    Open,
    Keys(Box<Lookup>),
}

impl Access {
    /// With an authority in this process, keys that the file does not know are its to know.
    pub(super) fn new(
        config: &config::Guard,
        authority: Option<&Arc<dyn KeySource>>,
        counters: &Arc<Counters>,
    ) -> Self {
        let organization_headers = config.organization_headers.clone();
        match &config.mode {
            GuardMode::Open => Self { mode: Mode::Open, organization_headers },
            GuardMode::Keys { records, .. } => {
                let file = FileSource::new(records);
                let source: Box<dyn KeySource> = match authority {
                    Some(authority) => Box::new(Layered { file, authority: Arc::clone(authority) }),
                    None => Box::new(file),
                };
                Self::by_key(source, organization_headers, counters)
            }
        }
    }

    pub(super) fn by_key(
        source: Box<dyn KeySource>,
        organization_headers: Vec<HeaderName>,
        counters: &Arc<Counters>,
    ) -> Self {
        Self { mode: Mode::Keys(Box::new(Lookup::new(source, counters))), organization_headers }
    }

    /// Decides without waiting; `None` when the key's source must be asked first.
    pub(super) fn known(&self, headers: &HeaderMap, uri: &Uri) -> Option<Result<Caller, Refused>> {
        let Mode::Keys(lookup) = &self.mode else { return Some(self.anonymous(headers)) };
        let credential = match Credential::find(headers, uri) {
            Ok(credential) => credential,
            Err(reject) => return Some(Err(reject.into())),
        };
        lookup.cached(&credential).map(|known| self.decide(known, headers))
    }

    /// Decides after asking the key's source.
    pub(super) async fn ask(&self, headers: &HeaderMap, uri: &Uri) -> Result<Caller, Refused> {
        let Mode::Keys(lookup) = &self.mode else { return self.anonymous(headers) };
        let credential = Credential::find(headers, uri)?;
        let known = lookup.ask(&credential).await.map_err(|_| Reject::AuthorityUnreachable)?;
        self.decide(known, headers)
    }

    fn decide(&self, known: Known, headers: &HeaderMap) -> Result<Caller, Refused> {
        match known {
            Known::Record(record) => self.caller(record, headers),
            Known::Unknown => Err(Reject::Unauthorized(Denial::UnknownKey).into()),
        }
    }

    fn caller(&self, record: Arc<KeyRecord>, headers: &HeaderMap) -> Result<Caller, Refused> {
        check::in_force(&record, headers).map_err(Reject::Unauthorized)?;
        match check::organization(&record, headers, &self.organization_headers) {
            Ok(organization) => Ok(Caller::with_key(record, organization)),
            // The refusal is the key's to answer for; the organization that it named is not.
            Err(reject) => Err(Refused { reject, caller: Some(Caller::with_key(record, None)) }),
        }
    }

    fn anonymous(&self, headers: &HeaderMap) -> Result<Caller, Refused> {
        let organization = check::claimed_organization(headers, &self.organization_headers)?;
        Ok(Caller::anonymous(organization))
    }

    /// Lets go of records; see [`super::Guard::forget`].
    pub(super) fn forget(&self, is_old: impl Fn(&KeyRecord) -> bool) {
        if let Mode::Keys(lookup) = &self.mode {
            lookup.forget(is_old);
        }
    }

    pub(super) fn organization_headers(&self) -> &[HeaderName] {
        &self.organization_headers
    }

    /// How many known and how many unknown keys are cached.
    pub(super) fn cached(&self) -> (u64, u64) {
        let Mode::Keys(lookup) = &self.mode else { return (0, 0) };
        let (known, unknown) = lookup.len();
        (known as u64, unknown as u64)
    }

    #[cfg(test)]
    pub(super) fn in_flight(&self) -> usize {
        match &self.mode {
            Mode::Open => 0,
            Mode::Keys(lookup) => lookup.in_flight(),
        }
    }
}
