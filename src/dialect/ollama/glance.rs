//! A cheap look at an object that only carries a piece of text, which all but the last do.
//!
//! It is dealt with here when the model is known, every `done` in it is false, and it has neither counts nor an error.
//! Then only the message is parsed, or the two texts of `/api/generate`. Anything else is left to the full parse.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::answer::Message;
use crate::dialect::Reading;
use crate::dialect::scan::{Raw, first_value, string, values};

struct Finders {
    done: Finder<'static>,
    /// What asks for a full parse; the first ends both names of a count.
    decisive: [Finder<'static>; 2],
    message: Finder<'static>,
    texts: [Finder<'static>; 2],
}

static FINDERS: LazyLock<Finders> = LazyLock::new(|| Finders {
    done: Finder::new(b"\"done\""),
    decisive: [Finder::new(b"eval_count\""), Finder::new(b"\"error\"")],
    message: Finder::new(b"\"message\""),
    texts: [Finder::new(b"\"thinking\""), Finder::new(b"\"response\"")],
});

/// Reads an object if a glance is enough; whether it was.
pub(super) fn read(payload: &[u8], reading: &mut Reading) -> bool {
    // Without its end it is half of one.
    if reading.model_served.is_none() || !payload.ends_with(b"}") || !goes_on(payload) {
        return false;
    }
    if FINDERS.decisive.iter().any(|key| key.find(payload).is_some()) {
        return false;
    }
    match values(&FINDERS.message, payload).next() {
        Some(message) => {
            let Some(message) = first_value::<Message<'_>>(message) else { return false };
            message.note(reading);
        }
        None => {
            for text in &FINDERS.texts {
                let value = values(text, payload).next().and_then(first_value);
                reading.content(string(value as Raw<'_>));
            }
        }
    }
    reading.nothing_else();
    true
}

/// Whether the answer says that it is not done.
fn goes_on(payload: &[u8]) -> bool {
    let mut said = values(&FINDERS.done, payload).map(|value| value.starts_with(b"false"));
    said.next() == Some(true) && said.all(|goes_on| goes_on)
}
