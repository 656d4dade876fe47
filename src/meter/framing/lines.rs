//! Finds the JSON texts in a stream that has one on each line, as the chunks pass by.
//!
//! It never re-frames: it is shown each chunk and says where in it lines end. Lines end with LF or CRLF and may be cut
//! anywhere; cutting changes nothing about them. A line that lies whole within one chunk is not copied; a blank one is no
//! event. What is pending between chunks is bounded by [`super::pending::MAX`]: a longer line is skipped to its end and flagged.

use memchr::memchr;

use super::pending::{Ended, Pending};
use super::{BOM, Event};

/// The scanner of one stream.
#[derive(Default)]
pub struct Lines {
    /// The line that has begun but not ended.
    pending: Pending,
    /// The first line is behind us, so there is no byte order mark to come.
    begun: bool,
}

impl Lines {
    /// Takes the next chunk and reports every line that ends in it.
    pub fn feed(&mut self, chunk: &[u8], on_event: &mut dyn FnMut(Event<'_>)) {
        let mut start = 0;
        while let Some(rest) = chunk.get(start..)
            && let Some(length) = memchr(b'\n', rest)
        {
            let end = start + length + 1;
            self.end_line(rest.get(..length).unwrap_or_default(), (start, end), on_event);
            start = end;
        }
        self.pending.keep(chunk.get(start..).unwrap_or_default());
    }

    /// Takes the end of the body. A last line without its end is reported too: its usage counts.
    pub fn finish(&mut self, on_event: &mut dyn FnMut(Event<'_>)) {
        self.end_line(&[], (0, 0), on_event);
    }

    /// The bytes so far of a line that has begun but not ended: the last ones of the chunks fed, unless skipped.
    pub fn pending(&self) -> &[u8] {
        self.pending.bytes()
    }

    /// Whether a line was too long and was skipped.
    pub fn truncated(&self) -> bool {
        self.pending.truncated()
    }

    fn end_line(&mut self, line: &[u8], (start, end): (usize, usize), on_event: &mut dyn FnMut(Event<'_>)) {
        let first = !std::mem::replace(&mut self.begun, true);
        if let Some(Ended { bytes, at_once }) = self.pending.end(line) {
            let line = if first { bytes.strip_prefix(BOM).unwrap_or(bytes) } else { bytes };
            let data = line.trim_ascii();
            if !data.is_empty() {
                on_event(Event { data, name: None, start: at_once.then_some(start), end });
            }
        }
        self.pending.clear();
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lines({:?})", self.pending)
    }
}

#[cfg(test)]
mod tests;
