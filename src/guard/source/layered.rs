//! Two sources as one: what the first does not know the second is asked.

use std::sync::Arc;

use super::{Fetching, FileSource, KeySource};
use crate::guard::Credential;

/// The keys file, then the authority in this process.
#[derive(Debug)]
pub(in crate::guard) struct Layered {
    pub(in crate::guard) file: FileSource,
    pub(in crate::guard) authority: Arc<dyn KeySource>,
}

impl KeySource for Layered {
    fn fetch<'a>(&'a self, credential: &'a Credential<'_>) -> Fetching<'a> {
        Box::pin(async move {
            match self.file.fetch(credential).await? {
                Some(record) => Ok(Some(record)),
                None => self.authority.fetch(credential).await,
            }
        })
    }
}
