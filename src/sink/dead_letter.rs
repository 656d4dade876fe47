//! The last resort: records that a destination will never take, kept as lines in `<spool>/dead/<sink>.jsonl`.
//!
//! A record is on disk here before it is acknowledged. The file only grows; it is for people to look at, and whoever has
//! dealt with it may delete it. After a crash a record may stand in it twice.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::lines;
use super::window::Refused;
use crate::types::Timestamp;

/// One sink's dead-letter file, opened when it is first needed.
#[derive(Debug)]
pub(super) struct DeadLetters {
    sink: Arc<str>,
    path: PathBuf,
    file: Option<File>,
}

#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    sink: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i32>,
    key: Cow<'a, str>,
    event: Body<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Json(&'a RawValue),
    Text(Cow<'a, str>),
}

impl DeadLetters {
    /// For this sink, in this directory.
    pub(super) fn new(dir: &Path, sink: &Arc<str>) -> Self {
        Self { sink: Arc::clone(sink), path: dir.join(format!("{sink}.jsonl")), file: None }
    }

    /// Writes these records, and returns once they are on disk. After an error none of them counts as written.
    pub(super) fn bury<'a>(&mut self, refused: impl Iterator<Item = Refused<'a>>) -> io::Result<()> {
        let mut lines = Vec::new();
        for record in refused {
            serde_json::to_writer(&mut lines, &self.line(&record))?;
            lines.push(b'\n');
        }
        let written = self.append(&lines);
        if written.is_err() {
            // Opening anew mends a half-written line, and a failed sync must not be tried again on the same handle.
            self.file = None;
        }
        written
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) if self.path.exists() => file,
            _ => lines::open(&self.path)?,
        };
        file.write_all(lines)?;
        file.sync_data()?;
        self.file = Some(file);
        Ok(())
    }

    fn line<'a>(&'a self, record: &Refused<'a>) -> Line<'a> {
        Line {
            time: Timestamp::now(),
            sink: &self.sink,
            reason: record.rejection.trouble.as_str(),
            code: record.rejection.code,
            key: String::from_utf8_lossy(record.key),
            event: body(record.event),
        }
    }
}

fn body(event: &[u8]) -> Body<'_> {
    match serde_json::from_slice::<&RawValue>(event) {
        Ok(json) if !event.contains(&b'\n') => Body::Json(json),
        _ => Body::Text(String::from_utf8_lossy(event)),
    }
}
