//! Finds the events in a stream of server-sent events, as the chunks pass by.
//!
//! It never re-frames: it is shown each chunk and says where in it events end and what data they carry. Line ends may be
//! LF, CRLF, CR or mixed, and cut anywhere; cutting changes nothing about the events. An event that lies whole within
//! one chunk is not copied. What is pending between chunks is bounded by [`super::pending::MAX`]: a longer event is skipped to its blank
//! line and flagged.

use memchr::memchr2;

use super::pending::{Ended, MAX, Pending};
use super::{BOM, Event};

/// The scanner of one stream. Its `Debug` shows no content.
#[derive(Default)]
pub struct Sse {
    /// The event that has begun but not ended, without the blank line that ends it.
    pending: Pending,
    /// Reused for events of several data lines.
    joined: Vec<u8>,
    line: Line,
    /// The first block is behind us, so there is no byte order mark to come.
    begun: bool,
}

/// Where in a line the chunks so far end.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Line {
    /// Before its first byte.
    #[default]
    Begins,
    /// Before its first byte, after a CR; an LF next belongs to that.
    AfterCr,
    /// After at least one byte.
    Inside,
}

impl Sse {
    /// Takes the next chunk and reports every event that ends in it.
    pub fn feed(&mut self, chunk: &[u8], on_event: &mut dyn FnMut(Event<'_>)) {
        if self.is_between_events()
            && let Some((data, name)) = one_event(chunk)
        {
            return on_event(Event { data, name, start: Some(0), end: chunk.len() });
        }
        // `start` is where the current block begins in this chunk, `line` where its current line does.
        let (mut start, mut line) = self.finish_line_end(chunk);
        while let Some(rest) = chunk.get(line..)
            && let Some(length) = memchr2(b'\n', b'\r', rest)
        {
            let blank = length == 0 && self.line != Line::Inside;
            let block = start..line;
            line = past_line_end(chunk, line + length);
            self.line = Line::Begins;
            if blank {
                self.end_block(chunk.get(block).unwrap_or_default(), (start, line), on_event);
                start = line;
            }
        }
        self.line = match chunk.last() {
            None => self.line,
            Some(b'\r') => Line::AfterCr,
            Some(_) if line < chunk.len() => Line::Inside,
            Some(_) => Line::Begins,
        };
        self.pending.keep(chunk.get(start..).unwrap_or_default());
    }

    /// Takes the end of the body. A last event without its blank line is reported too: its usage counts.
    pub fn finish(&mut self, on_event: &mut dyn FnMut(Event<'_>)) {
        self.end_block(&[], (0, 0), on_event);
    }

    /// The bytes so far of an event that has begun but not ended: the last ones of the chunks fed, unless skipped.
    pub fn pending(&self) -> &[u8] {
        self.pending.bytes()
    }

    /// Whether an event was too long and was skipped.
    pub fn truncated(&self) -> bool {
        self.pending.truncated()
    }

    /// Whether the next byte begins an event.
    fn is_between_events(&self) -> bool {
        self.begun && self.line == Line::Begins && self.pending.is_clear()
    }

    /// An LF that completes a CRLF cut in two; where the block and the line go on.
    fn finish_line_end(&mut self, chunk: &[u8]) -> (usize, usize) {
        let split = self.line == Line::AfterCr && chunk.first() == Some(&b'\n');
        match (split, self.pending.bytes().is_empty()) {
            (false, _) => (0, 0),
            // The block ended at the CR.
            (true, true) => (1, 1),
            (true, false) => (0, 1),
        }
    }

    fn end_block(&mut self, block: &[u8], (start, end): (usize, usize), on_event: &mut dyn FnMut(Event<'_>)) {
        let first = !std::mem::replace(&mut self.begun, true);
        if let Some(Ended { bytes, at_once }) = self.pending.end(block) {
            let block = if first { bytes.strip_prefix(BOM).unwrap_or(bytes) } else { bytes };
            if let Some((data, name)) = fields(block, &mut self.joined) {
                on_event(Event { data, name, start: at_once.then_some(start), end });
            }
        }
        self.pending.clear();
    }
}

/// Where the line whose end stands at `at` is over: an LF after a CR belongs to it.
fn past_line_end(chunk: &[u8], at: usize) -> usize {
    let crlf = chunk.get(at) == Some(&b'\r') && chunk.get(at + 1) == Some(&b'\n');
    at + if crlf { 2 } else { 1 }
}

/// The data and name of a chunk that is one event, of at most a line for its name and then one for its data, as most are.
fn one_event(chunk: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let chunk = Some(chunk).filter(|chunk| chunk.len() <= MAX)?;
    let (name, lines) = match chunk.strip_prefix(b"event: ") {
        None => (None, chunk),
        Some(rest) => {
            let (name, rest) = rest.split_at_checked(memchr2(b'\n', b'\r', rest)?)?;
            (Some(name), rest.strip_prefix(b"\r").unwrap_or(rest).strip_prefix(b"\n")?)
        }
    };
    let data = lines.strip_prefix(b"data: ")?;
    let data = data.strip_suffix(b"\n\n").or_else(|| data.strip_suffix(b"\r\n\r\n"))?;
    memchr2(b'\n', b'\r', data).is_none().then_some((data, name))
}

/// The data and name of a block; none without a data line. One data line is lent out as it is, several are joined.
fn fields<'a>(block: &'a [u8], joined: &'a mut Vec<u8>) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    joined.clear();
    let mut single: Option<&[u8]> = None;
    let (mut name, mut several) = (None, false);
    for line in lines(block) {
        if let Some(data) = value(line, b"data") {
            if let Some(first) = single {
                if !several {
                    joined.extend_from_slice(first);
                }
                several = true;
                joined.push(b'\n');
                joined.extend_from_slice(data);
            }
            single = single.or(Some(data));
        } else if let Some(event) = value(line, b"event") {
            name = Some(event);
        }
    }
    let data = if several { joined.as_slice() } else { single? };
    Some((data, name))
}

fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(block);
    std::iter::from_fn(move || {
        let current = rest?;
        let end = memchr2(b'\n', b'\r', current);
        rest = end.and_then(|end| current.get(end + 1..));
        current.get(..end.unwrap_or(current.len()))
    })
}

/// The value of a line if it is of this field: with or without a colon, and without one space after it.
fn value<'a>(line: &'a [u8], field: &[u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(field)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

impl std::fmt::Debug for Sse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sse({:?})", self.pending)
    }
}

#[cfg(test)]
mod tests;
