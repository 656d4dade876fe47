//! Where key records come from when the cache does not know a key.
//!
//! A source answers "this record", "no such key", or not at all; only the last is an error, and it is never remembered.

mod file;
mod layered;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use super::Credential;
use crate::types::KeyRecord;

pub use file::FileSource;
pub(super) use layered::Layered;

/// A fetch under way.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Option<Arc<KeyRecord>>, FetchError>> + Send + 'a>>;

/// Knows which record a key has.
pub trait KeySource: fmt::Debug + Send + Sync {
    /// The key's record, or `None` when there is no such key. May be dropped at any point; bounds its own time.
    fn fetch<'a>(&'a self, credential: &'a Credential<'_>) -> Fetching<'a>;
}

/// Why a source did not answer. Shared by all who waited for the same fetch.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FetchError {
    /// It could not be asked, or failed itself.
    #[error("the authority did not answer: {0}")]
    Unreachable(Arc<dyn std::error::Error + Send + Sync>),
}
