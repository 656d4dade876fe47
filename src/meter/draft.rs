//! The facts of one exchange, as they gather.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::Meter;
use super::count::Notes;
use super::marks::Marks;
use super::progress::Told;
use super::realtime::Upgrade;
use super::seal::BYTES_PER_TOKEN;
use crate::dialect::{Reading, Route};
use crate::event::{Beginning, Delivered, Outcome, UsageEvent};
use crate::guard::Permit;
use crate::metrics::Series;
use crate::spool::Ticket;
use crate::types::Usage;

/// A prompt larger than this is not kept for counting; its size is estimated instead.
const LARGEST_KEPT_PROMPT: usize = 256 * 1024;

/// Everything that an event is made of. Whoever holds it must seal it.
///
/// As it is declared it lies in memory: what each chunk of a stream touches stands together, from the end of the marks to
/// the beginning of the reading, in four cache lines. Streams are many, and what a chunk touches has to be fetched first.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Draft {
    pub(super) marks: Marks,
    /// When the spool is to be told again how far the answer has come, once it has been told.
    pub(super) progress_due: Option<Instant>,
    /// What reached the client.
    pub(super) delivered: Delivered,
    pub(super) route: Route,
    /// The request may have reached the model, so that tokens may have been spent.
    pub(super) reached: bool,
    /// Part of the answer passed unread, so that its tokens cannot be counted.
    pub(super) unread: bool,
    /// The end of the answer has passed and nothing has come after it, though something may.
    pub(super) passed_end: bool,
    pub(super) reading: Reading,
    pub(super) meter: Arc<Meter>,
    pub(super) ticket: Ticket,
    /// What the event in its INTENT begins with, as long as it still does.
    pub(super) beginning: Option<Beginning>,
    pub(super) event: Box<UsageEvent>,
    pub(super) permit: Permit,
    pub(super) series: Arc<Series>,
    pub(super) prompt: Prompt,
    /// What the spool was told last, where only numbers will change of that.
    pub(super) told: Option<Told>,
    /// The client's connection, where it asked to take it over.
    pub(super) upgrade: Option<Upgrade>,
    /// The usage of a session's responses that could not be recorded each for itself.
    pub(super) session_usage: Usage,
}

/// What the request's tokens can be counted from, should the provider not report them.
#[derive(Debug)]
pub(super) struct Prompt {
    /// The body as the client sent it, where it is small enough to keep.
    pub(super) body: Option<Bytes>,
    /// The estimate made at admission.
    pub(super) estimate: u64,
    /// The characters that are to be spoken, where that is what costs.
    pub(super) characters: Option<u64>,
    /// What is left out of the estimate where it is all there is.
    pub(super) notes: Notes,
}

impl Prompt {
    pub(super) fn keep(body: Option<&Bytes>, estimate: u64, route: &Route) -> Self {
        let characters = body.and_then(|body| route.dialect.characters(body));
        let large = body.map_or(0, Bytes::len).saturating_sub(LARGEST_KEPT_PROMPT) as u64;
        // The estimate leaves embedded files out: where they are most of the body, that is worth saying.
        let files = large > estimate.saturating_mul(BYTES_PER_TOKEN);
        let notes = Notes { truncated: large > 0, media_uncounted: files, ..Notes::default() };
        Self { body: body.filter(|_| large == 0).cloned(), estimate, characters, notes }
    }
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The answer came whole.
    Complete,
    /// The upstream failed, at the step that the code names.
    UpstreamFailed(&'static str),
    /// The client failed or left.
    ClientLeft(&'static str),
    /// This process ended it.
    Interrupted(&'static str),
    /// A defect of ours ended it.
    Panicked,
}

impl Draft {
    /// Sets the outcome from the ending and from what was seen of the answer.
    pub(super) fn conclude(&mut self, ending: Ending) {
        self.marks.end();
        let interrupted = self.meter.is_interrupted();
        let data = &mut self.event.data;
        let upstream_refused = data.upstream_status.is_some_and(|status| status >= 400);
        let ending = if self.passed_end && ending != Ending::Panicked { Ending::Complete } else { ending };
        let (outcome, error) = match ending {
            Ending::Complete if upstream_refused => (Outcome::UpstreamError, Some(Cow::Borrowed("upstream_status"))),
            Ending::Complete => match &self.reading.error {
                Some(_) => (Outcome::UpstreamError, Some(Cow::Borrowed("upstream_error_in_stream"))),
                None => (Outcome::Ok, None),
            },
            Ending::UpstreamFailed(code) => (Outcome::UpstreamError, Some(Cow::Borrowed(code))),
            Ending::Interrupted(code) => (Outcome::Interrupted, Some(Cow::Borrowed(code))),
            Ending::ClientLeft(_) if interrupted => (Outcome::Interrupted, Some(Cow::Borrowed("shutdown"))),
            Ending::ClientLeft(code) => (Outcome::ClientDisconnect, Some(Cow::Borrowed(code))),
            Ending::Panicked => (Outcome::Interrupted, Some(Cow::Borrowed("panic"))),
        };
        data.outcome = outcome;
        data.error = error;
    }

    /// Whether tokens were spent that nobody has counted, or not to the end.
    pub(super) fn needs_counting(&self) -> bool {
        let answered = self.event.data.upstream_status.is_some_and(|status| status < 400);
        let counted = self.reading.has_usage() && self.is_whole();
        answered && !counted && !self.reading.deferred && self.route.operation.has_tokens()
    }

    /// Whether what was read covers the whole answer.
    pub(super) fn is_whole(&self) -> bool {
        self.event.data.outcome == Outcome::Ok || self.reading.done
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Method;

    use super::{LARGEST_KEPT_PROMPT, Prompt};
    use crate::config::DialectChoice;
    use crate::dialect;

    #[test]
    fn a_prompt_too_large_to_keep_says_what_its_estimate_leaves_out() {
        let flags = |length: usize, estimate| {
            let route = dialect::route(DialectChoice::Auto, &Method::POST, "/v1/chat/completions");
            let prompt = Prompt::keep(Some(&Bytes::from(vec![b' '; length])), estimate, &route);
            (prompt.body.is_some(), prompt.notes.flags().collect::<Vec<_>>())
        };
        assert_eq!(flags(LARGEST_KEPT_PROMPT, 1), (true, vec![]));
        let large = 2 * LARGEST_KEPT_PROMPT;
        assert_eq!(flags(large, large as u64 / 4), (false, vec!["count_truncated"]));
        assert_eq!(flags(large, 100), (false, vec!["count_truncated", "media_uncounted"]));
    }
}
