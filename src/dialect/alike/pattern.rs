//! The bytes that events have in common, and the holes in which they differ.
//!
//! Of the bytes in common only a hash is kept, with a key that no upstream knows: a stream is one of thousands, and what
//! is kept of it has left the processor's caches when its next event comes. Other bytes pass for the same once in 2^64.

use std::hash::{BuildHasher, Hasher};
use std::ops::Range;
use std::sync::LazyLock;

use foldhash::fast::{FoldHasher, RandomState};

use super::{Differs, Part};
use crate::dialect::Payload;
use crate::dialect::scan::content_at;

/// Longer events are not remembered: of these the text is most.
const LONGEST: usize = 1024;
const HOLES: usize = 16;
/// Longer numbers are left to the dialect.
const DIGITS: usize = 15;

/// What changes from event to event and never matters in any format: OpenAI's padding and numbering, Bedrock's padding,
/// Ollama's clock, the place in a stream of Google's interactions.
const MEANINGLESS: [&[u8]; 5] =
    [b"\"obfuscation\":", b"\"sequence_number\":", b"\"p\":", b"\"created_at\":", b"\"event_id\":"];

/// The key, made anew by each process.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Pattern {
    /// Of the event's name and of all pieces around the holes.
    hash: u64,
    /// The length of the piece after the last hole.
    last: u16,
    /// The length of the piece before each hole, and what is in the hole.
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
    /// A number of the usage.
    Number,
    /// No hole: here the usage object begins.
    Begins,
    /// No hole: here it ends.
    Ends,
}

impl Pattern {
    /// What is in the holes, if the rest is the same.
    pub(super) fn find<'a>(&self, payload: Payload<'a>) -> Option<Differs<'a>> {
        let (hash, found) = self.walk(payload)?;
        // Without any text a dialect may look for it elsewhere.
        (hash == self.hash && !found.text.is_empty()).then_some(found)
    }

    /// What is in the holes if the pieces around them are as long as they should be, and the hash of these.
    fn walk<'a>(&self, payload: Payload<'a>) -> Option<(u64, Differs<'a>)> {
        let mut hasher = begin(payload.name);
        let mut found = Differs { text: &[], usage: None };
        // What is not hashed yet, and how much of it is known to be the same.
        let (mut rest, mut same) = (payload.data, 0);
        for (length, hole) in self.holes {
            same += usize::from(length);
            let (piece, after) = rest.split_at_checked(same)?;
            let after = match hole {
                Hole::None => break,
                Hole::Text => {
                    found.text = content_at(after)?.0;
                    // The quote is among what is the same.
                    after.get(found.text.len()..)?
                }
                Hole::Value => after_value(after)?,
                Hole::Number => after_number(after)?,
                Hole::Begins => {
                    found.usage = Some(after);
                    continue;
                }
                Hole::Ends => {
                    let object = found.usage?;
                    found.usage = object.get(..object.len() - after.len());
                    continue;
                }
            };
            hasher.write(piece);
            (rest, same) = (after, 0);
        }
        hasher.write(rest);
        (rest.len() == same + usize::from(self.last)).then(|| (hasher.finish(), found))
    }

    /// The pattern of an event of which only this text matters, and this usage.
    pub(super) fn of(payload: Payload<'_>, text: Part, usage: Option<Part>) -> Option<Self> {
        let data = payload.data;
        // A text that was unescaped or decoded first stands elsewhere.
        let text = place(text, data)?;
        let quoted = data.get(..text.start)?.ends_with(b"\"") && data.get(text.end..)?.starts_with(b"\"");
        if !quoted || data.len() - text.len() > LONGEST {
            return None;
        }
        let mut pattern = Self::default();
        if let Some(object) = usage {
            let object = place(object, data)?;
            if object.end <= text.start {
                pattern.same(data.get(..object.start)?)?;
                pattern.numbers(data.get(object.clone())?)?;
                pattern.text(data.get(object.end..)?, text.start - object.end..text.end - object.end)?;
            } else {
                pattern.text(data.get(..object.start)?, text)?;
                pattern.numbers(data.get(object.clone())?)?;
                pattern.same(data.get(object.end..)?)?;
            }
        } else {
            pattern.text(data, text)?;
        }
        pattern.hash = pattern.walk(payload)?.0;
        Some(pattern)
    }

    /// Takes a part with the text in it.
    fn text(&mut self, part: &[u8], text: Range<usize>) -> Option<()> {
        self.same(part.get(..text.start)?)?;
        self.hole(Hole::Text)?;
        self.same(part.get(text.end..)?)
    }

    /// Takes a part that is the same but for the values without meaning in it.
    fn same(&mut self, mut part: &[u8]) -> Option<()> {
        while let Some((at, after)) = meaningless(part) {
            self.piece(at)?;
            self.hole(Hole::Value)?;
            part = after;
        }
        self.piece(part.len())
    }

    /// Takes a usage object that is the same but for its numbers.
    fn numbers(&mut self, mut object: &[u8]) -> Option<()> {
        self.hole(Hole::Begins)?;
        while let Some((at, after)) = number(object) {
            self.piece(at)?;
            self.hole(Hole::Number)?;
            object = after;
        }
        self.piece(object.len())?;
        self.hole(Hole::Ends)
    }

    /// The piece at hand is so much longer.
    fn piece(&mut self, bytes: usize) -> Option<()> {
        self.last = self.last.checked_add(u16::try_from(bytes).ok()?)?;
        Some(())
    }

    /// Here the piece at hand ends, with a hole.
    fn hole(&mut self, what: Hole) -> Option<()> {
        let free = self.holes.iter_mut().find(|(_, hole)| *hole == Hole::None)?;
        *free = (std::mem::take(&mut self.last), what);
        Some(())
    }
}

/// Hashes what is the same of an event of this name.
fn begin(name: Option<&[u8]>) -> FoldHasher<'static> {
    let mut hasher = KEY.build_hasher();
    if let Some(name) = name {
        hasher.write(name);
        hasher.write_usize(name.len());
    }
    hasher
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

/// Where the first number begins that has a name, and what follows it.
fn number(object: &[u8]) -> Option<(usize, &[u8])> {
    memchr::memchr_iter(b':', object).find_map(|colon| {
        let (name, value) = object.split_at_checked(colon)?;
        name.trim_ascii_end().ends_with(b"\"").then_some(())?;
        let value = value.get(1..)?.trim_ascii_start();
        Some((object.len() - value.len(), after_number(value)?))
    })
}

/// What follows a string or a number.
fn after_value(bytes: &[u8]) -> Option<&[u8]> {
    if let Some(string) = bytes.strip_prefix(b"\"") {
        return content_at(string).map(|(_, after)| after);
    }
    after_number(bytes)
}

/// What follows a whole number.
fn after_number(bytes: &[u8]) -> Option<&[u8]> {
    let digits = bytes.iter().take(DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
    let after = bytes.get(digits..)?;
    let whole = digits == 1 || (2..=DIGITS).contains(&digits) && !bytes.starts_with(b"0");
    let more = matches!(after.first(), Some(b'.' | b'e' | b'E'));
    (whole && !more).then_some(after)
}
