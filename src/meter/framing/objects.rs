//! Finds the JSON objects in a stream that has one after the other, as the chunks pass by.
//!
//! They may stand in a list, as Google streams them, or back to back; whitespace, commas and anything else between them
//! is nobody's. It never re-frames: it is shown each chunk and says where in it objects end; cutting changes nothing
//! about them. The `]` that ends the outermost list is an event of its own, for it ends the answer. An object that lies
//! whole within one chunk is not copied. What is pending between chunks is bounded by [`super::pending::MAX`]: a longer object is
//! skipped to its end and flagged. Objects are told apart by their braces alone, so however deep they go costs nothing;
//! whether they are JSON is for the reader to say.

use memchr::{memchr2, memchr3};

use super::Event;
use super::pending::{Ended, Pending};

/// The scanner of one stream.
#[derive(Default)]
pub struct Objects {
    /// The object that has begun but not ended.
    pending: Pending,
    /// How many braces are open.
    depth: u64,
    /// How many lists are open around the objects.
    lists: u64,
    text: Text,
}

/// Where in a JSON string the chunks so far end.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Text {
    #[default]
    Outside,
    Inside,
    /// After a backslash.
    Escaping,
}

/// What a byte means for where objects begin and end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Nothing,
    Begins,
    Ends,
    ListEnds,
}

impl Objects {
    /// Takes the next chunk and reports every object that ends in it.
    pub fn feed(&mut self, chunk: &[u8], on_event: &mut dyn FnMut(Event<'_>)) {
        let (mut start, mut at) = (0, 0);
        while let Some((found, byte)) = self.next(chunk, at) {
            at = found + 1;
            match self.step(byte) {
                Step::Nothing => {}
                Step::Begins => start = found,
                Step::Ends => self.end_object(chunk.get(start..at).unwrap_or_default(), (start, at), on_event),
                Step::ListEnds => on_event(Event { data: b"]", name: None, start: Some(found), end: at }),
            }
        }
        if self.depth > 0 {
            self.pending.keep(chunk.get(start..).unwrap_or_default());
        }
    }

    /// The bytes so far of an object that has begun but not ended: the last ones of the chunks fed, unless skipped.
    pub fn pending(&self) -> &[u8] {
        self.pending.bytes()
    }

    /// Whether an object was too long and was skipped.
    pub fn truncated(&self) -> bool {
        self.pending.truncated()
    }

    /// The next byte that matters, from `at` on.
    fn next(&self, chunk: &[u8], at: usize) -> Option<(usize, u8)> {
        let rest = chunk.get(at..)?;
        let found = match self.text {
            Text::Escaping => 0,
            Text::Inside => memchr2(b'"', b'\\', rest)?,
            Text::Outside if self.depth > 0 => memchr3(b'"', b'{', b'}', rest)?,
            Text::Outside => rest.iter().position(|byte| matches!(byte, b'"' | b'{' | b'[' | b']'))?,
        };
        Some((at + found, *rest.get(found)?))
    }

    fn step(&mut self, byte: u8) -> Step {
        match (self.text, byte) {
            (Text::Inside, b'\\') => self.text = Text::Escaping,
            (Text::Inside, _) => self.text = Text::Outside,
            (Text::Escaping, _) | (Text::Outside, b'"') => self.text = Text::Inside,
            (Text::Outside, b'{') => {
                self.depth += 1;
                return if self.depth == 1 { Step::Begins } else { Step::Nothing };
            }
            (Text::Outside, b'}') => {
                self.depth = self.depth.saturating_sub(1);
                return if self.depth == 0 { Step::Ends } else { Step::Nothing };
            }
            (Text::Outside, b'[') => self.lists += 1,
            (Text::Outside, _) if self.lists == 1 => {
                self.lists = 0;
                return Step::ListEnds;
            }
            (Text::Outside, _) => self.lists = self.lists.saturating_sub(1),
        }
        Step::Nothing
    }

    fn end_object(&mut self, part: &[u8], (start, end): (usize, usize), on_event: &mut dyn FnMut(Event<'_>)) {
        if let Some(Ended { bytes: data, at_once }) = self.pending.end(part) {
            on_event(Event { data, name: None, start: at_once.then_some(start), end });
        }
        self.pending.clear();
    }
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Objects({:?})", self.pending)
    }
}

#[cfg(test)]
mod tests;
