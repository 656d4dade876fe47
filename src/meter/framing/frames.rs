//! Finds the frames of an AWS event stream (`application/vnd.amazon.eventstream`), as the chunks pass by.
//!
//! A frame is: its length, its headers' length, a checksum of these two, the headers, the payload, a checksum of all
//! before it (CRC-32 as in gzip; integers big-endian). It never re-frames; a frame that lies whole within one chunk is
//! not copied. What is pending between chunks is bounded by [`MAX`]: a longer frame is passed by, by its length, and
//! flagged. A frame with a wrong checksum or odd headers says nothing and is flagged; where the lengths themselves
//! cannot be trusted nothing after them can be found, so reading ends there.

use super::Event;
use super::pending::MAX;

/// Length, headers' length and their checksum.
const PRELUDE: usize = 12;
/// A checksum.
const SUM: usize = 4;

/// The scanner of one stream.
#[derive(Default)]
pub struct Frames {
    /// Bytes of the frame that has begun but not ended.
    pending: Vec<u8>,
    /// Bytes still to come of a frame that is too long.
    skip: usize,
    /// The lengths of a frame were damaged: nothing after it is read.
    lost: bool,
    damaged: bool,
    truncated: bool,
}

/// What cannot be read of a frame.
struct Damaged;

/// A header, with its value where that is a text, and what follows it.
struct Header<'a> {
    name: &'a [u8],
    text: Option<&'a [u8]>,
    rest: &'a [u8],
}

impl Frames {
    /// Takes the next chunk and reports every frame that ends in it.
    pub fn feed(&mut self, chunk: &[u8], on_event: &mut dyn FnMut(Event<'_>)) {
        let mut at = 0;
        while let Some(rest) = chunk.get(at..).filter(|rest| !rest.is_empty() && !self.lost) {
            at += if self.skip > 0 {
                let passed = self.skip.min(rest.len());
                self.skip -= passed;
                passed
            } else if self.pending.is_empty() {
                self.begin(rest, at, on_event)
            } else {
                self.go_on(rest, at, on_event)
            };
        }
    }

    /// The bytes so far of a frame that has begun but not ended: the last ones of the chunks fed, unless passed by.
    pub fn pending(&self) -> &[u8] {
        &self.pending
    }

    /// Whether a frame was too long and was passed by.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// Whether a frame was damaged.
    pub fn damaged(&self) -> bool {
        self.damaged
    }

    /// A frame begins here; how many bytes are dealt with.
    fn begin(&mut self, rest: &[u8], at: usize, on_event: &mut dyn FnMut(Event<'_>)) -> usize {
        let Some(prelude) = rest.first_chunk::<PRELUDE>() else { return self.keep(rest) };
        let Some(length) = self.checked(prelude, 0) else { return 0 };
        let Some(frame) = rest.get(..length) else { return self.keep(rest) };
        self.damaged |= report(frame, (Some(at), at + length), on_event).is_err();
        length
    }

    /// A frame that began in an earlier chunk goes on here; how many bytes are dealt with.
    fn go_on(&mut self, rest: &[u8], at: usize, on_event: &mut dyn FnMut(Event<'_>)) -> usize {
        let length = self.pending.first_chunk::<PRELUDE>().and_then(length_of);
        let missing = length.unwrap_or(PRELUDE).saturating_sub(self.pending.len());
        let taken = self.keep(rest.get(..missing).unwrap_or(rest));
        if taken < missing {
            return taken;
        }
        if length.is_some() {
            self.damaged |= report(&self.pending, (None, at + taken), on_event).is_err();
            self.pending.clear();
        } else if let Some(prelude) = self.pending.first_chunk::<PRELUDE>().copied()
            && self.checked(&prelude, PRELUDE).is_none()
        {
            self.pending.clear();
        }
        taken
    }

    /// The length of a frame that is to be read, of which `passed` bytes are behind us.
    fn checked(&mut self, prelude: &[u8; PRELUDE], passed: usize) -> Option<usize> {
        let Some(length) = length_of(prelude) else {
            self.lost = true;
            self.damaged = true;
            return None;
        };
        if length > MAX {
            self.truncated = true;
            self.skip = length - passed;
            return None;
        }
        Some(length)
    }

    fn keep(&mut self, part: &[u8]) -> usize {
        self.pending.extend_from_slice(part);
        part.len()
    }
}

/// A frame's length, where its prelude is sound.
fn length_of(prelude: &[u8; PRELUDE]) -> Option<usize> {
    let [length, headers, sum] = [0, 4, 8].map(|at| number(prelude.get(at..).unwrap_or_default()));
    let sound = crc32fast::hash(prelude.get(..PRELUDE - SUM)?) == sum? as u32;
    let (length, headers) = (length?, headers?);
    (sound && length >= headers.checked_add(PRELUDE + SUM)?).then_some(length)
}

/// Reports a whole frame as an event.
fn report(frame: &[u8], place: (Option<usize>, usize), on_event: &mut dyn FnMut(Event<'_>)) -> Result<(), Damaged> {
    let (message, sum) = frame.split_last_chunk::<SUM>().ok_or(Damaged)?;
    if crc32fast::hash(message) != u32::from_be_bytes(*sum) {
        return Err(Damaged);
    }
    let headers = number(message.get(4..).ok_or(Damaged)?).ok_or(Damaged)?;
    let rest = message.get(PRELUDE..).ok_or(Damaged)?;
    let (headers, data) = rest.split_at_checked(headers).ok_or(Damaged)?;
    let name = name(headers)?;
    on_event(Event { data, name, start: place.0, end: place.1 });
    Ok(())
}

/// A frame's name: of an event, an exception or an error, whichever it is.
fn name(mut headers: &[u8]) -> Result<Option<&[u8]>, Damaged> {
    let mut found = None;
    while !headers.is_empty() {
        let header = header(headers).ok_or(Damaged)?;
        if matches!(header.name, b":event-type" | b":exception-type" | b":error-code") {
            found = header.text.or(found);
        }
        headers = header.rest;
    }
    Ok(found)
}

/// The first header of several.
fn header(bytes: &[u8]) -> Option<Header<'_>> {
    let (length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let (kind, rest) = rest.split_first()?;
    let (length, rest) = match kind {
        // True and false have no value of their own.
        0 | 1 => (0, rest),
        2 => (1, rest),
        3 => (2, rest),
        4 => (4, rest),
        5 | 8 => (8, rest),
        6 | 7 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        9 => (16, rest),
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some(Header { name, text: (*kind == 7).then_some(value), rest })
}

fn number(bytes: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(*bytes.first_chunk::<4>()?)).ok()
}

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { pending, damaged, truncated, .. } = self;
        write!(f, "Frames({} bytes pending, damaged: {damaged}, truncated: {truncated})", pending.len())
    }
}

#[cfg(test)]
pub(in crate::meter) mod tests;
