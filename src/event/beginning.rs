//! The beginning of an event that its INTENT and its FINAL share.
//!
//! An event is encoded twice: when its request is admitted, and when it has ended. More than half of it is known from
//! the first time on: who calls, what is asked for, and where it goes. Those bytes are kept and only the rest is
//! written. Whoever changes what stands in the beginning must let it go; debug builds encode the whole event and compare.

use std::fmt;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::{EncodeError, MAX_BYTES, UsageEvent, line};

/// What the rest of an event begins with while nothing is known of its answer. No text in an event can hold it: there,
/// each quote has a backslash before it.
static REST: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#","stream":"#));

/// See the module.
pub struct Beginning(Vec<u8>);

impl Beginning {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The part of these bytes that an event keeps.
    pub(super) fn kept_of(event: &[u8]) -> Option<&[u8]> {
        event.get(..REST.find(event)?)
    }
}

impl UsageEvent {
    /// Encodes as [`Self::encode_into`] does, to the same bytes, at a part of the cost: the event began like this.
    pub fn encode_after(&mut self, beginning: &Beginning, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.write_within(MAX_BYTES, bytes, |event, bytes| event.write_after(beginning, bytes))?;
        debug_assert!(self.encode().is_ok_and(|whole| whole == *bytes), "an event's beginning has changed");
        Ok(())
    }

    fn write_after(&self, beginning: &Beginning, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
        bytes.extend_from_slice(&beginning.0);
        line::write_rest(bytes, &self.data)?;
        bytes.push(b'}');
        Ok(())
    }
}

impl fmt::Debug for Beginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Beginning({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::complete;
    use super::super::{Previous, UsageEvent};

    /// As an INTENT has it: nothing is known of the answer.
    fn begun(mut event: UsageEvent) -> UsageEvent {
        event.data.model_served = None;
        event.data.usage = crate::types::Usage::default();
        event
    }

    #[test]
    fn an_event_that_is_finished_after_its_beginning_is_the_same_to_the_last_byte() {
        for previous in [None, Some(Previous { epoch: 3, number: 7, clean: true })] {
            for served in [None, Some("a \"model\"".to_owned())] {
                let mut whole = complete();
                whole.data.model_requested = Some(r#","stream":true"#.to_owned());
                whole.data.model_served = served;
                (whole.data.sequence.number, whole.data.sequence.previous) = (41, previous);
                whole.id = format!("{}-{}-41", whole.data.sequence.spool, whole.data.sequence.epoch);
                let mut buffer = Vec::new();
                let mut intent = begun(whole.clone());
                let beginning =
                    intent.encode_unnumbered(&mut buffer).unwrap().beginning(41, previous.as_ref()).unwrap();
                let mut finished = Vec::new();
                whole.encode_after(&beginning, &mut finished).unwrap();
                assert_eq!(String::from_utf8(finished), String::from_utf8(whole.encode().unwrap()));
            }
        }
    }
}
