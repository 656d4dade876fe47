//! An encoded event that lacks only its number.
//!
//! Encoding takes a hundred times as long as giving out a number. With the event encoded before, a number can be given
//! out and recorded in one short step, so that the numbers in a log never have holes. Only the two places that hold
//! the number are known here: the end of the id, and the sequence.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::beginning::Beginning;
use super::{EncodeError, MAX_BYTES, Previous, UsageEvent};

/// What every event begins with.
const HEAD: &[u8] = br#"{"specversion":"1.0","id":""#;
/// What stands before the sequence. No text in an event can hold it: there, each quote has a backslash before it.
const SEQUENCE: &[u8] = br#""data":{"sequence":{"#;
const NUMBER: &[u8] = br#""number":0"#;
static FINDERS: LazyLock<[Finder<'static>; 2]> = LazyLock::new(|| [Finder::new(SEQUENCE), Finder::new(NUMBER)]);
/// The most that a number and what follows it add, in both places.
const MOST_ADDED: usize = 160;

/// See the module. Borrows the buffer that it was encoded into.
#[derive(Clone, Copy, Debug)]
pub struct Unnumbered<'a> {
    parts: [&'a [u8]; 3],
}

impl UsageEvent {
    /// Encodes as [`Self::encode_into`] does, all but the number: the sequence must name spool and epoch. With its number
    /// the event is at most [`MAX_BYTES`] long.
    pub fn encode_unnumbered<'a>(&mut self, bytes: &'a mut Vec<u8>) -> Result<Unnumbered<'a>, EncodeError> {
        let sequence = &mut self.data.sequence;
        (sequence.number, sequence.previous) = (0, None);
        super::name(&mut self.id, sequence);
        self.encode_within(MAX_BYTES - MOST_ADDED, bytes)?;
        Unnumbered::of(bytes, HEAD.len() + self.id.len() - 1).ok_or(EncodeError::Unnumbered)
    }
}

impl<'a> Unnumbered<'a> {
    fn of(bytes: &'a [u8], id: usize) -> Option<Self> {
        let (before, rest) = bytes.split_at_checked(id).filter(|(before, _)| before.starts_with(HEAD))?;
        let rest = rest.strip_prefix(b"0")?;
        let [sequence, number] = &*FINDERS;
        let sequence = sequence.find(rest)?;
        let number = sequence + number.find(rest.get(sequence..)?)? + NUMBER.len() - 1;
        let (between, after) = rest.split_at_checked(number)?;
        Some(Self { parts: [before, between, after.strip_prefix(b"0")?] })
    }

    /// The most bytes that the event can have.
    pub fn most_bytes(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum::<usize>() + MOST_ADDED
    }

    /// Writes the event with this number at the end of a buffer.
    pub fn write(&self, number: u64, previous: Option<&Previous>, into: &mut Vec<u8>) {
        let [_, _, after] = self.parts;
        self.write_before(number, previous, into);
        into.extend_from_slice(after);
    }

    /// What the event with this number begins with, and keeps.
    pub fn beginning(&self, number: u64, previous: Option<&Previous>) -> Option<Beginning> {
        let [before, between, after] = self.parts;
        let kept = Beginning::kept_of(after)?;
        let mut bytes = Vec::with_capacity(before.len() + between.len() + kept.len() + MOST_ADDED);
        self.write_before(number, previous, &mut bytes);
        bytes.extend_from_slice(kept);
        Some(Beginning::new(bytes))
    }

    fn write_before(&self, number: u64, previous: Option<&Previous>, into: &mut Vec<u8>) {
        let [before, between, _] = self.parts;
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number).as_bytes();
        for part in [before, digits, between, digits] {
            into.extend_from_slice(part);
        }
        if let Some(Previous { epoch, number, clean }) = previous {
            into.extend_from_slice(
                format!(r#","previous":{{"epoch":{epoch},"number":{number},"clean":{clean}}}"#).as_bytes(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::complete;
    use super::{MAX_BYTES, Previous};

    #[test]
    fn an_event_that_gets_its_number_later_is_the_same_to_the_last_byte() {
        let previous = Previous { epoch: u64::MAX, number: u64::MAX, clean: false };
        for (number, previous) in [(1, Some(previous)), (1, None), (41, None), (u64::MAX, Some(previous))] {
            let mut event = complete();
            // What a client may send to be taken for the place of the number.
            event.data.end_user = Some(r#""data":{"sequence":{"number":0"#.to_owned());
            event.data.model_requested = Some(r#"{"specversion":"1.0","id":"-0"#.to_owned());
            let mut buffer = Vec::new();
            let line = event.encode_unnumbered(&mut buffer).unwrap();
            let mut numbered = Vec::new();
            line.write(number, previous.as_ref(), &mut numbered);
            assert!(numbered.len() <= line.most_bytes());
            event.id = format!("{}-{}-{number}", event.data.sequence.spool, event.data.sequence.epoch);
            (event.data.sequence.number, event.data.sequence.previous) = (number, previous);
            assert_eq!(String::from_utf8(numbered), String::from_utf8(event.encode().unwrap()));
        }
    }

    #[test]
    fn its_number_does_not_make_an_event_too_long() {
        for bytes in 3000..4000 {
            let mut event = complete();
            let raw = serde_json::value::RawValue::from_string(format!("\"{}\"", "x".repeat(2 * bytes))).unwrap();
            event.data.usage.raw = Some(raw);
            let mut buffer = Vec::new();
            let mut numbered = Vec::new();
            let previous = Previous { epoch: u64::MAX, number: u64::MAX, clean: false };
            event.encode_unnumbered(&mut buffer).unwrap().write(u64::MAX, Some(&previous), &mut numbered);
            assert!(numbered.len() <= MAX_BYTES, "{} bytes", numbered.len());
        }
    }
}
