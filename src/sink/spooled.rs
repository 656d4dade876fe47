//! The spool as a feed of the sinks.

use std::time::Duration;

use super::feed::{Feed, Record};
use crate::spool::{Position, Reader};

impl Feed for Reader {
    type Position = Position;

    fn next(&mut self, wait: Duration) -> Option<Record<Position>> {
        let record = Self::next(self, wait)?;
        Some(Record { position: record.position, key: record.key.into_bytes(), event: record.event })
    }

    fn acknowledge(&mut self, position: Position) {
        Self::acknowledge(self, position);
    }

    fn rewind(&mut self) {
        Self::rewind(self);
    }

    fn flush(&mut self) {
        Self::flush(self);
    }
}
