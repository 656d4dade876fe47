//! Reads an answer on to its usage after the client has left, within bounds.
//!
//! For providers that bill the whole answer anyway. At most [`MOST`] answers at once, [`LARGEST`] bytes and [`LONGEST`]
//! each; beyond them the upstream is cut as with `abort`, and what was delivered is counted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use super::tap::Flow;

const MOST: usize = 256;
const LARGEST: usize = 8 * 1024 * 1024;
const LONGEST: Duration = Duration::from_mins(1);

/// How many answers are being read on.
#[derive(Debug)]
pub(super) struct Draining(Arc<Semaphore>);

impl Default for Draining {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

/// Reads on in the background. The exchange seals itself when the flow is dropped, in time or not.
pub(super) fn read_on(mut flow: Flow) {
    let Some(draft) = flow.exchange.draft() else { return };
    let place = Arc::clone(&draft.meter.draining.0).try_acquire_owned();
    let (Ok(place), Ok(runtime)) = (place, tokio::runtime::Handle::try_current()) else { return };
    draft.event.data.flag("drained");
    runtime.spawn(async move {
        let _place = place;
        // Out of time or bytes: dropping the flow is all there is to do.
        drop(tokio::time::timeout(LONGEST, drain(&mut flow)).await);
    });
}

async fn drain(flow: &mut Flow) {
    let mut read = 0;
    let mut out = VecDeque::new();
    while let Some(Ok(frame)) = flow.body.frame().await {
        let Ok(chunk) = frame.into_data() else { continue };
        read += chunk.len();
        let Some(draft) = flow.exchange.draft() else { return };
        let delivered = draft.event.data.delivered;
        flow.watch.chunk(draft, chunk, &mut out);
        draft.event.data.delivered = delivered;
        draft.note_progress();
        out.clear();
        if read > LARGEST {
            return;
        }
    }
    if let Some(draft) = flow.exchange.draft() {
        flow.watch.end(draft, &mut out);
    }
}
