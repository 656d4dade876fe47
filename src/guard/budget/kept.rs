//! Keeps what keys of the keys file have spent over a restart: one small file, written anew at most once a second.
//!
//! Each write replaces the file in one step and is on disk when it returns. A process that ends in order leaves exactly
//! what was spent. One that is killed leaves what was known at most a second before, with calls then in flight at what
//! they might have cost; what was spent in that second is forgotten. Budgets that are lent in slices are not kept here:
//! the authority keeps their account.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::purse::{Keeper, Purse};
use super::{Purses, lock};
use crate::types::{Budget, KeyId, NanoUsd, Period, Timestamp};

const NAME: &str = "budgets.json";

/// The file, and what it held when it was written last.
#[derive(Debug)]
pub struct Kept {
    path: PathBuf,
    written: Mutex<Vec<Line>>,
}

/// Why spending could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The file could not be read or written.
    #[error("what keys have spent cannot be kept in {1}: {0}")]
    File(#[source] io::Error, PathBuf),
    /// The file is not one of ours.
    #[error("{1} is damaged: {0}; take it away to have every budget begin anew")]
    Damaged(#[source] serde_json::Error, PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    key_id: KeyId,
    period: String,
    start: Timestamp,
    spent_nano: NanoUsd,
}

impl Purses {
    /// Goes on from what an earlier process spent.
    pub(in crate::guard) fn recall(&self, dir: &std::path::Path) -> Result<Kept, KeptError> {
        let path = dir.join(NAME);
        let lines: Vec<Line> = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| KeptError::Damaged(error, path.clone()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(KeptError::File(error, path)),
        };
        for line in &lines {
            let Some(period) = Period::parse(&line.period) else { continue };
            // The amount comes with the key's record.
            let budget = Budget { period, amount: NanoUsd(i64::MAX) };
            let purse = Purse::left_by(budget, (line.start, line.spent_nano));
            self.by_key.insert(line.key_id.clone(), Arc::new(Mutex::new(purse)));
        }
        Ok(Kept { path, written: Mutex::new(lines) })
    }

    /// Writes what was spent, if it has changed.
    pub(in crate::guard) fn keep(&self, kept: &Kept) -> Result<(), KeptError> {
        let mut written = kept.written.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = self.lines();
        if lines == *written {
            return Ok(());
        }
        replace(&kept.path, &lines).map_err(|error| KeptError::File(error, kept.path.clone()))?;
        *written = lines;
        Ok(())
    }

    fn lines(&self) -> Vec<Line> {
        let line = |(id, purse): (&KeyId, &Purse)| {
            let (start, spent_nano) = purse.left_behind();
            Line { key_id: id.clone(), period: purse.period().as_str().to_owned(), start, spent_nano }
        };
        let here = self.by_key.iter().filter(|entry| lock(entry.value()).keeper == Keeper::Here);
        let mut lines: Vec<_> = here.map(|entry| line((entry.key(), &lock(entry.value())))).collect();
        lines.sort_unstable_by(|a, b| a.key_id.as_str().cmp(b.key_id.as_str()));
        lines
    }
}

fn replace(path: &std::path::Path, lines: &[Line]) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(lines)?)?;
    file.sync_data()?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}
