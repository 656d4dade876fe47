//! From a key to its record: of the keys file, else of the store. The same record either way.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::store::{Found, Result, Store};
use crate::types::{Digest, KeyRecord, OrgId};

pub(super) struct Keys {
    store: Store,
    file: ArcSwap<File>,
}

/// The records of one reading of the keys file.
#[derive(Default)]
struct File {
    records: HashMap<Digest, Arc<KeyRecord>>,
}

impl Keys {
    pub(super) fn new(store: Store, records: &[KeyRecord]) -> Self {
        Self { store, file: ArcSwap::from_pointee(File::new(records)) }
    }

    pub(super) fn reload(&self, records: &[KeyRecord]) {
        self.file.store(Arc::new(File::new(records)));
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// The record of the key with this digest. The tables compare digests, not keys: how long it takes says nothing
    /// that helps to guess one.
    pub(super) async fn find(&self, key: &Digest) -> Result<Option<Found>> {
        let of_file = self.file.load().records.get(key).map(Arc::clone);
        match of_file {
            Some(record) => Ok(Some(Found { record, user: None, revision: self.store.revision().await? })),
            None => self.store.find(key).await,
        }
    }

    /// Whether a record of the keys file names this organization: then it is one, although the store has no row for it.
    pub(super) fn names_organization(&self, organization: &[u8]) -> bool {
        let is_named = |own: &OrgId| own.as_str().as_bytes() == organization;
        self.file.load().records.values().any(|record| record.organizations.iter().any(is_named))
    }
}

impl File {
    fn new(records: &[KeyRecord]) -> Self {
        let mut found = HashMap::with_capacity(records.len());
        for record in records {
            // Of two with the same key the first holds, as in the guard.
            found.entry(record.key).or_insert_with(|| Arc::new(record.clone()));
        }
        Self { records: found }
    }
}
