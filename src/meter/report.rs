//! Usage that a caller reports of a call which did not pass here: an event like any other, recorded the same way.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Meter, log, open, settle};
use crate::event::{self, UsageData, UsageEvent};
use crate::metrics::SeriesKey;
use crate::spool::{Commit, SpoolFull};
use crate::types::Timestamp;

impl Meter {
    /// Records the event of a reported call. The numbers in it are the reporter's; where it ran is ours to add.
    ///
    /// # Errors
    /// When the spool has no room for it.
    pub fn report(&self, mut data: UsageData, time: Timestamp) -> Result<Commit, SpoolFull> {
        data.workload.clone_from(&self.workload);
        let mut event = UsageEvent {
            specversion: Cow::Borrowed("1.0"),
            id: String::new(),
            source: Arc::clone(&self.source),
            kind: Cow::Borrowed(event::TYPE),
            subject: open::subject(&data),
            time,
            datacontenttype: Cow::Borrowed("application/json"),
            data,
        };
        // Without its record there is nothing to report as recorded.
        let commit = settle(&self.spool, &mut event).unwrap_or(Err(SpoolFull))?;
        self.count_reported(&event.data);
        log::request(&event);
        Ok(commit)
    }

    /// Tokens and money count; the call itself was not one of ours.
    fn count_reported(&self, data: &UsageData) {
        let model = self.catalog.load().label(data.model_requested.as_deref());
        let series = self.metrics.series(&SeriesKey { upstream: Arc::from("none"), model, operation: "chat" });
        series.used(&data.usage, data.cost.as_ref().map(|cost| cost.total_nano));
        for flag in &data.flags {
            self.metrics.flagged(flag);
        }
    }
}
