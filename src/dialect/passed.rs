//! Requests that cost no tokens themselves: files, batches, uploads, stores, and everything that only asks for what is
//! there. Their answers pass and nothing is read of them, because the usage that may stand in them (a batch's, a run's,
//! a stored response's) is another request's and comes by at every look.

use super::{Ask, AskError, Dialect, Operation, Payload, Reading, unknown};

/// The dialect, with the name that it has in events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passed(pub(super) &'static str);

impl Dialect for Passed {
    fn name(&self, _: Operation) -> &'static str {
        self.0
    }

    fn read_request(&self, path: &str, body: &[u8]) -> Result<Ask, AskError> {
        unknown::Unknown.read_request(path, body)
    }

    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading) {
        reading.had_content = false;
        reading.done |= payload.data.trim_ascii() == b"[DONE]";
    }
}
