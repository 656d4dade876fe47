//! Who is let in under one configuration: everyone, or those whose key has a record.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Uri};

use super::budget::Purses;
use super::cache::{By, Terms};
use super::caller::Pending;
use super::lookup::{Age, Known, Lookup};
use super::source::{FileSource, Granted, KeySource, Layered, Question, Remote};
use super::stats::Counters;
use super::{Caller, Refused, check};
use crate::config::{self, GuardMode};
use crate::reject::Reject;
use crate::types::KeyRecord;

/// How long a record of this process is used before it is fetched anew. A keys file has its changes seen by `reload` at
/// once, the store's by `forget`.
const HERE: Terms =
    Terms { by: By::Key, ttl: Duration::from_mins(1), negative_ttl: Duration::from_secs(5), grace: Duration::ZERO };

pub(super) struct Access {
    mode: Mode,
    organization_headers: Vec<HeaderName>,
}

enum Mode {
    Open,
    Keys(Arc<Lookup>),
    Remote(Asking),
}

/// An authority elsewhere, and what it has said.
#[derive(Clone)]
pub(super) struct Asking {
    settings: config::Remote,
    pub(super) authority: Arc<Remote>,
    lookup: Arc<Lookup>,
}

/// What every configuration shares.
#[derive(Clone)]
pub(super) struct Shared {
    /// An authority in this process: keys that the file does not know are its to know.
    pub(super) authority: Option<Arc<dyn KeySource>>,
    /// To whom slices of budgets are lent: this process.
    pub(super) holder: Arc<str>,
    pub(super) counters: Arc<Counters>,
    pub(super) purses: Arc<Purses>,
}

impl Access {
    /// What an earlier configuration's authority has said holds on, where it is the same.
    pub(super) fn new(config: &config::Guard, shared: &Shared, before: Option<&Self>) -> Self {
        let mode = match &config.mode {
            GuardMode::Open => Mode::Open,
            GuardMode::Keys { records, .. } => {
                let file = FileSource::new(records);
                let source: Arc<dyn KeySource> = match &shared.authority {
                    Some(authority) => Arc::new(Layered { file, authority: Arc::clone(authority) }),
                    None => Arc::new(file),
                };
                Mode::Keys(Arc::new(Lookup::new(source, HERE, (&shared.counters, &shared.purses))))
            }
            GuardMode::Remote(settings) => {
                let same = before.and_then(Self::asking).filter(|asking| asking.settings == *settings);
                Mode::Remote(same.cloned().unwrap_or_else(|| Asking::new(settings, shared)))
            }
        };
        Self { mode, organization_headers: config.organization_headers.clone() }
    }

    #[cfg(test)]
    pub(super) fn by_key(source: Arc<dyn KeySource>, shared: &Shared) -> Self {
        let lookup = Lookup::new(source, HERE, (&shared.counters, &shared.purses));
        Self { mode: Mode::Keys(Arc::new(lookup)), organization_headers: Vec::new() }
    }

    fn lookup(&self) -> Option<&Arc<Lookup>> {
        match &self.mode {
            Mode::Open => None,
            Mode::Keys(lookup) | Mode::Remote(Asking { lookup, .. }) => Some(lookup),
        }
    }

    /// The authority elsewhere, if that is who is asked.
    pub(super) fn asking(&self) -> Option<&Asking> {
        match &self.mode {
            Mode::Remote(asking) => Some(asking),
            Mode::Open | Mode::Keys(_) => None,
        }
    }

    /// Decides without waiting; `None` when the key's source must be asked first.
    pub(super) fn known(&self, headers: &HeaderMap, uri: &Uri) -> Option<Result<Caller, Refused>> {
        let Some(lookup) = self.lookup() else { return Some(self.anonymous(headers)) };
        let asked = match Question::of(headers, uri, &self.organization_headers) {
            Ok(asked) => asked,
            Err(reject) => return Some(Err(reject.into())),
        };
        lookup.cached(&asked).map(|known| Self::decide(known, headers, asked))
    }

    /// Decides after asking the key's source.
    pub(super) async fn ask(&self, headers: &HeaderMap, uri: &Uri) -> Result<Caller, Refused> {
        let Some(lookup) = self.lookup() else { return self.anonymous(headers) };
        let asked = Question::of(headers, uri, &self.organization_headers)?;
        let known = lookup.ask(&asked).await.map_err(|_| Reject::AuthorityUnreachable)?;
        Self::decide(known, headers, asked)
    }

    fn decide(known: Known, headers: &HeaderMap, asked: Question<'_>) -> Result<Caller, Refused> {
        match known {
            Known::Granted(granted, age) => Self::caller(&granted, headers, (age, asked)),
            Known::Refused(reject) => Err(reject.into()),
        }
    }

    fn caller(
        granted: &Arc<Granted>,
        headers: &HeaderMap,
        (age, asked): (Age, Question<'_>),
    ) -> Result<Caller, Refused> {
        check::in_force(&granted.record, headers).map_err(Reject::Unauthorized)?;
        let organization = check::organization(&granted.record, asked.organization.as_ref());
        match organization {
            Ok(organization) => {
                // Only these ask again, about the model or for more of a budget, or have something to tell.
                let is_pending = granted.by_model || granted.slice.is_some() || age == Age::Stale;
                let pending = is_pending.then(|| Box::new(Pending { question: asked.into_owned(), age }));
                Ok(Caller { pending, ..Caller::with_key(granted, organization) })
            }
            // The refusal is the key's to answer for; the organization that it named is not.
            Err(reject) => Err(Refused { reject, caller: Some(Caller::with_key(granted, None)) }),
        }
    }

    fn anonymous(&self, headers: &HeaderMap) -> Result<Caller, Refused> {
        let organization = check::claimed_organization(headers, &self.organization_headers)?;
        Ok(Caller::anonymous(organization))
    }

    /// Whether an authority that decides by model lets the caller have this one.
    pub(super) async fn may_have(&self, caller: &mut Caller, model: &str) -> Result<(), Reject> {
        let (Some(lookup), Some(pending)) = (self.lookup(), &mut caller.pending) else { return Ok(()) };
        let asked = pending.question.about(model);
        let known = match lookup.cached(&asked) {
            Some(known) => known,
            None => lookup.ask(&asked).await.map_err(|_| Reject::AuthorityUnreachable)?,
        };
        match known {
            Known::Granted(_, Age::Fresh) => Ok(()),
            Known::Granted(_, Age::Stale) => {
                pending.age = Age::Stale;
                Ok(())
            }
            Known::Refused(reject) => Err(reject),
        }
    }

    /// Asks the authority for more of a budget.
    pub(super) async fn ask_for_more(&self, caller: &Caller) -> Result<(), Reject> {
        let (Some(lookup), Some(pending)) = (self.lookup(), &caller.pending) else { return Ok(()) };
        match lookup.ask_again(&pending.question).await {
            Ok(Known::Granted(_, Age::Fresh)) => Ok(()),
            Ok(Known::Refused(reject)) => Err(reject),
            // A slice ends by time whether its lender answers or not: more than was lent must not be spent.
            Ok(Known::Granted(_, Age::Stale)) | Err(_) => Err(Reject::AuthorityUnreachable),
        }
    }

    /// As [`Access::ask_for_more`], beside the call.
    pub(super) fn ask_soon(&self, caller: &Caller) {
        if let (Some(lookup), Some(pending)) = (self.lookup(), &caller.pending) {
            lookup.renew_soon(&pending.question);
        }
    }

    /// Lets go of records; see [`super::Guard::forget`].
    pub(super) fn forget(&self, is_old: impl Fn(&KeyRecord) -> bool) {
        if let Some(lookup) = self.lookup() {
            lookup.forget(is_old);
        }
    }

    /// Who lends slices of budgets.
    pub(super) fn source(&self) -> Option<&Arc<dyn KeySource>> {
        self.lookup().map(|lookup| lookup.source())
    }

    pub(super) fn organization_headers(&self) -> &[HeaderName] {
        &self.organization_headers
    }

    /// How many granted and how many refused questions are cached.
    pub(super) fn cached(&self) -> (u64, u64) {
        let Some(lookup) = self.lookup() else { return (0, 0) };
        let (known, unknown) = lookup.len();
        (known as u64, unknown as u64)
    }

    #[cfg(test)]
    pub(super) fn in_flight(&self) -> usize {
        self.lookup().map_or(0, |lookup| lookup.in_flight())
    }
}

impl Asking {
    fn new(settings: &config::Remote, shared: &Shared) -> Self {
        let authority = Arc::new(Remote::new(settings, &shared.holder));
        let config::Remote { ttl, negative_ttl, grace, .. } = *settings;
        let terms = Terms { by: By::Everything, ttl, negative_ttl, grace };
        let source: Arc<dyn KeySource> = Arc::clone(&authority) as _;
        let lookup = Arc::new(Lookup::new(source, terms, (&shared.counters, &shared.purses)));
        Self { settings: settings.clone(), authority, lookup }
    }

    pub(super) fn forget(&self, is_old: impl Fn(&KeyRecord) -> bool) {
        self.lookup.forget(is_old);
    }
}
