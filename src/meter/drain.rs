//! Reads an answer on to its usage after the client has left, within bounds.
//!
//! For providers that bill the whole answer anyway. At most [`MOST`] answers at once, [`LARGEST`] bytes and [`LONGEST`]
//! each; beyond them the upstream is cut as with `abort`, and what was delivered is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use tokio::sync::{Semaphore, watch};

use super::draft::Draft;
use super::few::Few;
use super::flow::Flow;
use super::watch::Close;

const MOST: usize = 256;
const LARGEST: usize = 8 * 1024 * 1024;
const LONGEST: Duration = Duration::from_mins(1);

/// The answers that are being read on.
#[derive(Debug)]
pub(super) struct Draining {
    places: Arc<Semaphore>,
    refused: AtomicU64,
    ended: watch::Sender<bool>,
}

impl Default for Draining {
    fn default() -> Self {
        let (refused, ended) = (AtomicU64::new(0), watch::Sender::new(false));
        Self { places: Arc::new(Semaphore::new(MOST)), refused, ended }
    }
}

impl Draining {
    /// How many answers were cut although they should have been read on, because too many were.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Cuts every answer that is being read on, now and later.
    pub(super) fn end(&self) {
        self.ended.send_replace(true);
    }
}

/// Reads on in the background, until [`Draining::end`] at the latest. The exchange seals itself when the flow is
/// dropped, in time or not.
pub(super) fn read_on(mut flow: Flow) {
    let Some(draft) = flow.exchange.draft() else { return };
    let draining = &draft.meter.draining;
    let place = Arc::clone(&draining.places).try_acquire_owned();
    let (Ok(place), Ok(runtime)) = (place, tokio::runtime::Handle::try_current()) else {
        draining.refused.fetch_add(1, Ordering::Relaxed);
        return flow.left(Close::Broken);
    };
    let mut ended = draining.ended.subscribe();
    flag(draft);
    runtime.spawn(async move {
        let _place = place;
        let close = tokio::select! {
            drained = tokio::time::timeout(LONGEST, drain(&mut flow)) => drained.unwrap_or(Close::Broken),
            _ = ended.wait_for(|ended| *ended) => Close::Broken,
        };
        flow.left(close);
    });
}

/// Says that the answer is read on, unless the client has had its end and nothing has come after that.
fn flag(draft: &mut Draft) {
    if !draft.passed_end {
        draft.event.data.flag("drained");
    }
}

async fn drain(flow: &mut Flow) -> Close {
    let mut read = 0;
    let mut out = Few::default();
    loop {
        let frame = match flow.body.frame().await {
            None => return Close::Whole,
            Some(Err(_)) => return Close::Broken,
            Some(Ok(frame)) => frame,
        };
        let Ok(chunk) = frame.into_data() else { continue };
        read += chunk.len();
        let Some(draft) = flow.exchange.draft() else { return Close::Broken };
        let delivered = draft.delivered;
        flow.watch.chunk(draft, chunk, &mut out);
        draft.delivered = delivered;
        flag(draft);
        draft.note_progress();
        out.clear();
        if read > LARGEST {
            return Close::Broken;
        }
    }
}
