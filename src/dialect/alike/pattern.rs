//! The bytes that events have in common, and the holes in which they differ.

use std::ops::Range;

use super::{Differs, NUMBERS, Numbers, Part};
use crate::dialect::scan::content_at;
use crate::dialect::{Counts, Payload};

/// Longer events are not remembered: of these the text is most.
const LONGEST: usize = 1024;
const HOLES: usize = 16;
/// Longer numbers are left to the dialect.
const DIGITS: usize = 15;
/// The place of a number that nobody asks for.
const NOWHERE: u8 = u8::MAX;

/// What changes from event to event and never matters in any format: OpenAI's padding and numbering, Bedrock's padding,
/// Ollama's clock.
const MEANINGLESS: [&[u8]; 4] = [b"\"obfuscation\":", b"\"sequence_number\":", b"\"p\":", b"\"created_at\":"];

/// See the module. Its `Debug` shows no content.
#[derive(Clone, Default)]
pub(super) struct Pattern {
    name: Option<Vec<u8>>,
    /// All that is the same, one piece after the other.
    same: Vec<u8>,
    /// Where in it the pieces before each hole end, and what is in the hole.
    holes: [(u16, Hole); HOLES],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hole {
    /// There are no more.
    #[default]
    None,
    /// The text, after its first quote.
    Text,
    /// A string or a number without meaning.
    Value,
    /// A number of the usage, and its place among those.
    Number(u8),
    /// No hole: here the usage object begins.
    Begins,
    /// No hole: here it ends.
    Ends,
}

impl Pattern {
    /// What is in the holes, if the rest is the same; the numbers each in its place.
    pub(super) fn find<'a>(&self, payload: Payload<'a>, numbers: &mut [Option<u64>; NUMBERS]) -> Option<Differs<'a>> {
        if payload.name != self.name.as_deref() {
            return None;
        }
        let mut found = Differs { text: &[], usage: None };
        let (mut rest, mut done) = (payload.data, 0);
        for (end, hole) in self.holes {
            if hole == Hole::None {
                break;
            }
            rest = rest.strip_prefix(self.same.get(done..usize::from(end))?)?;
            done = usize::from(end);
            rest = match hole {
                Hole::None => break,
                Hole::Text => {
                    found.text = content_at(rest)?.0;
                    // The quote is among what is the same.
                    rest.get(found.text.len()..)?
                }
                Hole::Value => after_value(rest)?,
                Hole::Number(place) => {
                    let (number, after) = number_at(rest)?;
                    numbers.get_mut(usize::from(place)).map(|slot| slot.replace(number));
                    after
                }
                Hole::Begins => {
                    found.usage = Some(rest);
                    rest
                }
                Hole::Ends => {
                    let object = found.usage?;
                    found.usage = object.get(..object.len() - rest.len());
                    rest
                }
            };
        }
        // Without any text a dialect may look for it elsewhere.
        (!found.text.is_empty() && self.same.get(done..) == Some(rest)).then_some(found)
    }

    /// Keeps an event of which only this text matters, and this usage.
    pub(super) fn keep(
        &mut self,
        payload: Payload<'_>,
        text: Part,
        usage: Option<(Part, Counts, &Numbers)>,
    ) -> Option<()> {
        let data = payload.data;
        // A text that was unescaped or decoded first stands elsewhere.
        let text = place(text, data)?;
        let quoted = data.get(..text.start)?.ends_with(b"\"") && data.get(text.end..)?.starts_with(b"\"");
        if !quoted || data.len() - text.len() > LONGEST {
            return None;
        }
        self.name = payload.name.map(<[u8]>::to_vec);
        self.same.clear();
        self.holes = [(0, Hole::None); HOLES];
        let Some((object, counts, numbers)) = usage else {
            self.keep_text(data, text)?;
            return Some(());
        };
        let object = place(object, data)?;
        let mut found = [None; NUMBERS];
        if object.end <= text.start {
            self.keep_same(data.get(..object.start)?)?;
            self.keep_numbers(data.get(object.clone())?, numbers, &mut found)?;
            self.keep_text(data.get(object.end..)?, text.start - object.end..text.end - object.end)?;
        } else {
            self.keep_text(data.get(..object.start)?, text)?;
            self.keep_numbers(data.get(object.clone())?, numbers, &mut found)?;
            self.keep_same(data.get(object.end..)?)?;
        }
        // What was found by name must be what the dialect read.
        ((numbers.counts)(&found) == counts).then_some(())
    }

    /// Keeps a part with the text in it.
    fn keep_text(&mut self, part: &[u8], text: Range<usize>) -> Option<()> {
        self.keep_same(part.get(..text.start)?)?;
        self.hole(Hole::Text)?;
        self.keep_same(part.get(text.end..)?)
    }

    /// Keeps a part but for the values without meaning in it.
    fn keep_same(&mut self, mut part: &[u8]) -> Option<()> {
        while let Some((at, after)) = meaningless(part) {
            self.same.extend_from_slice(part.get(..at)?);
            self.hole(Hole::Value)?;
            part = after;
        }
        self.same.extend_from_slice(part);
        Some(())
    }

    /// Keeps a usage object but for its numbers.
    fn keep_numbers(&mut self, mut object: &[u8], numbers: &Numbers, found: &mut [Option<u64>; NUMBERS]) -> Option<()> {
        self.hole(Hole::Begins)?;
        while let Some((at, name)) = named_number(object) {
            let (number, after) = number_at(object.get(at..)?)?;
            self.same.extend_from_slice(object.get(..at)?);
            let place = numbers.names.iter().position(|known| known.as_bytes() == name);
            if let Some(slot) = place.and_then(|place| found.get_mut(place))
                && slot.replace(number).is_some()
            {
                return None;
            }
            self.hole(Hole::Number(place.map_or(NOWHERE, |place| place as u8)))?;
            object = after;
        }
        self.same.extend_from_slice(object);
        self.hole(Hole::Ends)
    }

    fn hole(&mut self, what: Hole) -> Option<()> {
        let end = u16::try_from(self.same.len()).ok()?;
        *self.holes.iter_mut().find(|(_, hole)| *hole == Hole::None)? = (end, what);
        Some(())
    }
}

/// Where a part lies in these bytes.
fn place((address, length): Part, data: &[u8]) -> Option<Range<usize>> {
    let start = address.checked_sub(data.as_ptr().addr())?;
    let end = start.checked_add(length)?;
    (end <= data.len()).then_some(start..end)
}

/// Where the first value without meaning begins, and what follows it.
fn meaningless(part: &[u8]) -> Option<(usize, &[u8])> {
    memchr::memchr_iter(b':', part).find_map(|colon| {
        let (key, value) = part.split_at_checked(colon + 1)?;
        MEANINGLESS.iter().any(|known| key.ends_with(known)).then_some(())?;
        Some((colon + 1, after_value(value)?))
    })
}

/// Where the first number begins that has a name, and that name.
fn named_number(object: &[u8]) -> Option<(usize, &[u8])> {
    memchr::memchr_iter(b':', object).find_map(|colon| {
        let (name, value) = object.split_at_checked(colon)?;
        let name = name.trim_ascii_end().strip_suffix(b"\"")?;
        let name = name.get(memchr::memrchr(b'"', name)? + 1..)?;
        let value = value.get(1..)?;
        let at = object.len() - value.trim_ascii_start().len();
        number_at(object.get(at..)?).map(|_| (at, name))
    })
}

/// What follows a string or a number.
fn after_value(bytes: &[u8]) -> Option<&[u8]> {
    if let Some(string) = bytes.strip_prefix(b"\"") {
        return content_at(string).map(|(_, after)| after);
    }
    number_at(bytes).map(|(_, after)| after)
}

/// A whole number and what follows it.
fn number_at(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (mut number, mut digits) = (0, 0);
    while let Some(digit) = bytes.get(digits).filter(|byte| byte.is_ascii_digit() && digits <= DIGITS) {
        number = number * 10 + u64::from(digit - b'0');
        digits += 1;
    }
    let after = bytes.get(digits..)?;
    let whole = digits == 1 || (2..=DIGITS).contains(&digits) && !bytes.starts_with(b"0");
    let more = matches!(after.first(), Some(b'.' | b'e' | b'E'));
    (whole && !more).then_some((number, after))
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pattern").field("bytes", &self.same.len()).finish_non_exhaustive()
    }
}
