//! A key source that does as told: holds fetches until released, fails, forgets.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use crate::config::LimitSet;
use crate::guard::access::{Access, Shared};
use crate::guard::budget::Purses;
use crate::guard::{Before, FetchError, Fetching, Guard, KeySource, Question, Verdict};
use crate::types::KeyRecord;

#[derive(Clone, Debug)]
pub(super) struct Scripted(Arc<Script>);

#[derive(Debug)]
pub(super) struct Script {
    pub(super) records: Mutex<Vec<KeyRecord>>,
    pub(super) down: AtomicBool,
    pub(super) fetches: AtomicU64,
    /// One ticket is used up by each fetch.
    pub(super) tickets: Semaphore,
}

impl Scripted {
    pub(super) fn new(records: Vec<KeyRecord>, tickets: usize) -> Self {
        Self(Arc::new(Script {
            records: Mutex::new(records),
            down: AtomicBool::new(false),
            fetches: AtomicU64::new(0),
            tickets: Semaphore::new(tickets),
        }))
    }

    pub(super) fn guard(&self) -> Guard {
        let shared = Shared {
            authority: None,
            holder: "test".into(),
            counters: Arc::default(),
            purses: Arc::new(Purses::new()),
        };
        Guard::with(Access::by_key(Arc::new(self.clone()), &shared), &LimitSet::default(), shared)
    }

    pub(super) fn fetches(&self) -> u64 {
        self.0.fetches.load(SeqCst)
    }
}

impl std::ops::Deref for Scripted {
    type Target = Script;

    fn deref(&self) -> &Script {
        &self.0
    }
}

impl KeySource for Scripted {
    fn fetch<'a>(&'a self, asked: &'a Question<'_>, _: Before) -> Fetching<'a> {
        Box::pin(async move {
            self.fetches.fetch_add(1, SeqCst);
            self.tickets.acquire().await.unwrap().forget();
            if self.down.load(SeqCst) {
                return Err(FetchError::Unreachable(Arc::new(std::io::Error::other("down"))));
            }
            let digest = asked.credential().digest();
            let records = self.records.lock().unwrap();
            let found = records.iter().find(|record| record.key == digest).cloned();
            Ok(found.map_or_else(Verdict::unknown, |record| Verdict::record(Arc::new(record))))
        })
    }
}
