//! The parts of an answer under way that outlive its client, for as long as its usage is still awaited.

use bytes::Bytes;

use super::exchange::{Exchange, Sealing};
use super::few::Few;
use super::watch::{Close, Watch};
use crate::dialect::refusal::mid_stream;
use crate::upstream::{AnswerBody, Failure};

/// See the module.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) body: AnswerBody,
    pub(super) exchange: Exchange,
    pub(super) watch: Watch,
}

impl Flow {
    /// The body is whole.
    pub(super) fn finish(&mut self, out: &mut Few<Bytes>) -> Sealing {
        if let Some(draft) = self.exchange.draft() {
            self.watch.end(draft, Close::Whole, out);
        }
        self.exchange.complete()
    }

    /// It cannot become whole.
    pub(super) fn fail(&mut self, failure: &Failure, out: &mut Few<Bytes>) -> Sealing {
        if let Some(draft) = self.exchange.draft() {
            self.watch.end(draft, Close::Broken, out);
        }
        self.exchange.failed(failure, None)
    }

    /// What tells the client that its stream fails, where it can be told.
    pub(super) fn announcement(&mut self, failure: &Failure) -> Option<Bytes> {
        let (reject, streams) = (failure.mid_stream()?, self.watch.between_events()?);
        let draft = self.exchange.draft()?;
        let refused = draft.event.data.upstream_status.is_some_and(|status| status >= 400);
        let over = refused || draft.passed_end;
        let id = &draft.event.data.request_id;
        if over { None } else { mid_stream(draft.route.dialect.style(), streams, &reject, id) }
    }

    /// The client is gone: what only the end makes whole is read, for the usage may stand there already. What was held
    /// back has not been delivered.
    pub(super) fn left(&mut self, close: Close) {
        let Some(draft) = self.exchange.draft() else { return };
        let delivered = draft.delivered;
        self.watch.end(draft, close, &mut Few::default());
        draft.delivered = delivered;
        // Not every dialect says in so many words that this was all. The end of the body does.
        draft.reading.done |= close == Close::Whole;
    }
}
