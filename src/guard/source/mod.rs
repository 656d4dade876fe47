//! Where key records come from when the cache does not know a key.
//!
//! A source grants, refuses, or does not answer at all; only the last is an error, and it is never remembered.

mod file;
mod layered;
mod question;
mod remote;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::reject::{Denial, Reject};
use crate::types::{KeyRecord, Limits, Returned, Slice, Used};

pub use file::FileSource;
pub(super) use layered::Layered;
pub use question::Question;
pub(super) use remote::{Remote, Revoked};

/// A fetch under way.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Verdict, FetchError>> + Send + 'a>>;

/// Slices being given back.
pub type Returning<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Knows which record a key has.
pub trait KeySource: fmt::Debug + Send + Sync {
    /// The answer. May be dropped at any point; bounds its own time.
    fn fetch<'a>(&'a self, asked: &'a Question<'_>, before: Before) -> Fetching<'a>;

    /// Gives slices of budgets back. What fails is lost: a slice ends by itself.
    fn give_back(&self, returned: Vec<Returned>) -> Returning<'_> {
        drop(returned);
        Box::pin(std::future::ready(()))
    }
}

/// How it stood before a source is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// Whether it has granted this before, so that it is no stranger's question.
    pub is_known: bool,
    /// What was used of the key's budget, where a slice of one is held.
    pub used: Option<Used>,
}

/// What a source says of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be decided here, by this.
    Granted(Arc<Granted>),
    /// It is refused.
    Refused(Reject),
}

/// What a source grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The key's record.
    pub record: Arc<KeyRecord>,
    /// Limits of the organization that pays, over the configured ones.
    pub organization_limits: Limits,
    /// A part of the key's budget, where it is lent in parts.
    pub slice: Option<Slice>,
    /// How long this holds, where the source says so.
    pub ttl: Option<Duration>,
    /// Whether the source decides about each model anew.
    pub by_model: bool,
}

impl Verdict {
    /// A record and nothing else.
    pub fn record(record: Arc<KeyRecord>) -> Self {
        Self::Granted(Arc::new(Granted {
            record,
            organization_limits: Limits::default(),
            slice: None,
            ttl: None,
            by_model: false,
        }))
    }

    /// No record has this key.
    pub fn unknown() -> Self {
        Self::Refused(Reject::Unauthorized(Denial::UnknownKey))
    }
}

/// Why a source did not answer. Shared by all who waited for the same fetch.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FetchError {
    /// It could not be asked, or failed itself.
    #[error("the authority did not answer: {0}")]
    Unreachable(Arc<dyn std::error::Error + Send + Sync>),
    /// It was not asked: too many questions about unknown keys are under way.
    #[error("too many unknown keys are being checked")]
    Busy,
}
