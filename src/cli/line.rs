//! A usage event as one line of a terminal.

use crate::event::{Outcome, UsageEvent};

/// Its summary, then who called and what went wrong.
pub(super) fn of(event: &UsageEvent) -> String {
    let data = &event.data;
    let mut words = vec![event.summary()];
    let mut add = |name: &str, value: Option<&str>| words.extend(value.map(|value| format!("{name}={value}")));
    add("key", data.key_id.as_deref());
    add("outcome", (data.outcome != Outcome::Ok).then(|| data.outcome.as_str()));
    add("error", data.error.as_deref());
    words.join(" ")
}
