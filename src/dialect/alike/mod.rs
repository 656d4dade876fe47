//! An event like one before it: the same bytes, but for one text, for the numbers of its usage, and for values that
//! mean nothing to a meter.
//!
//! The pieces of a stream differ in little more than their text. Once a dialect has seen that nothing but the text of an
//! event matters, an event that has the same bytes around another text matters in nothing else either: a JSON string
//! ends at its first quote that is not escaped, so what surrounds it reads the same. Comparing costs a fraction of
//! looking for each key that might matter. Where a format repeats the usage so far in each event, its dialect says what
//! its numbers are called; they are taken where they stand. Of values that change from event to event and never matter
//! (padding, timestamps, sequence numbers) only the place is remembered.
//!
//! It gives up on a stream whose events are not alike, so that remembering in vain costs little, too.

mod pattern;

use super::{Counts, Payload};
use pattern::Pattern;

/// So often in a row may an event not be like the one remembered, before nothing is remembered any more.
const MISSES: u8 = 8;
/// The most numbers that a format can name.
pub(super) const NUMBERS: usize = 8;

/// The numbers of a usage object that a format writes flat.
#[derive(Debug)]
pub(super) struct Numbers {
    /// What they are called.
    pub(super) names: &'static [&'static str],
    /// What they mean, each in the place of its name.
    pub(super) counts: fn(&[Option<u64>; NUMBERS]) -> Counts,
}

/// What differs in an event that is like the one remembered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Differs<'a> {
    /// The text, between its quotes.
    pub(super) text: &'a [u8],
    /// The usage object, if there is one; what it says is in [`Alike::counts`].
    pub(super) usage: Option<&'a [u8]>,
}

/// What is remembered of a stream's events. Its `Debug` shows no content. What is compared stands first (see `Reading`).
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub(super) struct Alike {
    misses: u8,
    pattern: Option<Pattern>,
    /// The numbers of the last event that was like it.
    found: [Option<u64>; NUMBERS],
    numbers: Option<&'static Numbers>,
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
    usage: Option<(Part, Counts)>,
    /// More than one text, or anything else.
    more: bool,
}

impl Alike {
    /// What differs in an event that is like the one that was remembered.
    pub(super) fn find<'a>(&mut self, payload: Payload<'a>) -> Option<Differs<'a>> {
        let found = self.pattern.as_ref()?.find(payload, &mut self.found);
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

    /// What the usage of the event says in which it was found last.
    pub(super) fn counts(&self) -> Counts {
        self.numbers.map(|numbers| (numbers.counts)(&self.found)).unwrap_or_default()
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

    /// This usage object was noted of it, which says that.
    pub(super) fn noted_usage(&mut self, object: &str, counts: &Counts) {
        self.noted.more |= self.noted.usage.is_some();
        self.noted.usage = Some((part(object), *counts));
    }

    /// More than that was noted of it.
    pub(super) fn noted_more(&mut self) {
        self.noted.more = true;
    }

    /// Nothing else in it matters, nor would in another that has the same bytes around another text, and around other
    /// numbers of its usage where the format has names for them.
    pub(super) fn nothing_else(&mut self, numbers: Option<&'static Numbers>) {
        self.noted.nothing_else = true;
        self.numbers = numbers;
    }

    /// The event was read: remembers it, if nothing more than that matters.
    pub(super) fn end(&mut self, payload: Payload<'_>) {
        let Noted { nothing_else: true, text: Some(text), usage, more: false } = self.noted else { return };
        if self.misses >= MISSES {
            return;
        }
        let counted = match (usage, self.numbers) {
            (None, _) => Some(None),
            (Some((object, counts)), Some(numbers)) => Some(Some((object, counts, numbers))),
            (Some(_), None) => None,
        };
        // Every number of the pattern is found anew in each event.
        self.found = [None; NUMBERS];
        self.pattern = counted.and_then(|usage| Pattern::of(payload, text, usage));
    }
}

fn part(text: &str) -> Part {
    (text.as_ptr().addr(), text.len())
}

#[cfg(test)]
mod tests;
