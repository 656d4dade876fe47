//! A build without the feature `redis` has no connection to any store; its configuration refuses one.

use std::time::Duration;

use super::message::{Ask, Told};
use crate::config::SharedLimits;

pub(super) struct Wire(std::convert::Infallible);

/// Why the store is away.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No answer within this time.
    #[error("it did not answer within {0:?}")]
    Late(Duration),
    /// This build has no store.
    #[error("this build has no store of limits")]
    Absent,
}

#[expect(clippy::unused_async, reason = "as the wire that is there in other builds")]
impl Wire {
    pub(super) async fn open(_settings: &SharedLimits) -> Result<Self, StoreError> {
        Err(StoreError::Absent)
    }

    pub(super) async fn exchange(&mut self, _holder: &str, _asks: &[Ask]) -> Result<Vec<Told>, StoreError> {
        match self.0 {}
    }

    pub(super) async fn lost(&mut self) -> StoreError {
        match self.0 {}
    }
}
