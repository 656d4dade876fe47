//! An event like one before it: the same bytes, but for one text, for the numbers of its usage, and for values that
//! mean nothing to a meter.
//!
//! The pieces of a stream differ in little more than their text. Once a dialect has seen that nothing but the text of an
//! event matters, an event that has the same bytes around another text matters in nothing else either: a JSON string
//! ends at its first quote that is not escaped, so what surrounds it reads the same. Comparing costs a fraction of
//! looking for each key that might matter. Where a format repeats the usage so far in each event, its numbers may be
//! others: the object is kept as it stands, and read only when somebody asks, since the last one says it all. Of values
//! that change from event to event and never matter (padding, timestamps, sequence numbers) only the place is remembered.
//!
//! It gives up on a stream whose events are not alike, so that remembering in vain costs little, too.

mod pattern;

use serde_json::value::RawValue;

use super::{Counts, Payload};
use pattern::Pattern;

/// So often in a row may an event not be like the one remembered, before nothing is remembered any more.
const MISSES: u8 = 8;
/// Reads a usage object of a format that repeats it in each event. Which numbers it says, and of which it says none, must
/// be decided by which fields there are: then the last of several objects with the same fields stands for all.
pub(super) type Counted = fn(&RawValue) -> Option<Counts>;

/// What differs in an event that is like the one remembered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Differs<'a> {
    /// The text, between its quotes.
    pub(super) text: &'a [u8],
    /// The usage object, if there is one that says anything; see [`Alike::counts`].
    pub(super) usage: Option<&'a [u8]>,
}

/// What is remembered of a stream's events. Its `Debug` shows no content. What is compared stands first (see `Reading`).
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub(super) struct Alike {
    misses: u8,
    pattern: Option<Pattern>,
    counted: Option<Counted>,
    noted: Noted,
}

/// A part of an event, by its address and length.
type Part = (usize, usize);

/// What has been noted of the event at hand.
#[derive(Clone, Copy, Debug, Default)]
struct Noted {
    /// The dialect says that nothing matters but what was noted.
    nothing_else: bool,
    text: Option<Part>,
    /// And whether it says anything.
    usage: Option<(Part, bool)>,
    /// More than one text, or anything else.
    more: bool,
}

impl Alike {
    /// What differs in an event that is like the one that was remembered.
    pub(super) fn find<'a>(&mut self, payload: Payload<'a>) -> Option<Differs<'a>> {
        let found = self.pattern.as_ref()?.find(payload);
        if found.is_some() {
            self.misses = 0;
        } else {
            self.missed();
        }
        found
    }

    #[cold]
    fn missed(&mut self) {
        self.misses += 1;
        self.pattern = self.pattern.take().filter(|_| self.misses < MISSES);
    }

    /// What a usage object says that was found.
    pub(super) fn counts(&self, usage: &RawValue) -> Option<Counts> {
        self.counted?(usage)
    }

    /// An event is about to be read.
    pub(super) fn begin(&mut self) {
        self.noted = Noted::default();
    }

    /// This text was noted of it.
    pub(super) fn noted(&mut self, text: &str) {
        self.noted.more |= self.noted.text.is_some();
        self.noted.text = Some(part(text));
    }

    /// This usage object was noted of it, and whether it says anything.
    pub(super) fn noted_usage(&mut self, object: &str, says: bool) {
        self.noted.more |= self.noted.usage.is_some();
        self.noted.usage = Some((part(object), says));
    }

    /// More than that was noted of it.
    pub(super) fn noted_more(&mut self) {
        self.noted.more = true;
    }

    /// Nothing else in it matters, nor would in another that has the same bytes around another text, and around other
    /// numbers of its usage where these can be read apart.
    pub(super) fn nothing_else(&mut self, counted: Option<Counted>) {
        self.noted.nothing_else = true;
        self.counted = counted;
    }

    /// The event was read: remembers it, if nothing more than that matters.
    pub(super) fn end(&mut self, payload: Payload<'_>) {
        let Noted { nothing_else: true, text: Some(text), usage, more: false } = self.noted else { return };
        if self.misses >= MISSES {
            return;
        }
        self.pattern = match usage {
            None => Pattern::of(payload, text, None),
            Some((object, true)) if self.counted.is_some() => Pattern::of(payload, text, Some(object)),
            Some(_) => None,
        };
    }
}

fn part(text: &str) -> Part {
    (text.as_ptr().addr(), text.len())
}

#[cfg(test)]
mod tests;
