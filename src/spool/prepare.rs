//! The preparing thread: makes segments before they are needed, makes the next one's pages present, and unmaps full
//! ones. Each of these takes up to milliseconds, which no request should wait for. It also reports what was dropped, as
//! soon as there is room.

use std::sync::PoisonError;
use std::time::Duration;

use super::loss;
use super::mapped::Mapped;
use super::shared::Shared;

/// How long to wait before a segment is tried again that could not be made.
const RETRY: Duration = Duration::from_secs(1);

/// The thread's life.
pub(super) fn run(shared: &Shared) {
    while wait_for_chores(shared) {
        let retired = std::mem::take(&mut shared.log().retired);
        drop(retired);
        prefault_next(shared);
        loss::tell_when_due(shared);
        let short = shared.log().room().is_short();
        if short && !shared.make_segment(|log| log.room().is_short()) {
            pause(shared);
        }
    }
}

/// False when the thread should end.
fn wait_for_chores(shared: &Shared) -> bool {
    let mut log = shared.log();
    while !log.signals.stopping && !log.has_chores() {
        log.signals.preparer_waits = true;
        log = shared.chores.wait(log).unwrap_or_else(PoisonError::into_inner);
    }
    log.signals.preparer_waits = false;
    !log.signals.stopping
}

fn pause(shared: &Shared) {
    let log = shared.log();
    if !log.signals.stopping {
        drop(shared.chores.wait_timeout(log, RETRY));
    }
}

/// Maps the next segment once more, makes the pages present, and puts the new mapping in the old one's place: the old
/// one stays usable all the while.
fn prefault_next(shared: &Shared) {
    let next = shared.log().next_to_prefault().map(|next| (next.id, next.bytes, std::sync::Arc::clone(&next.file)));
    let Some((id, bytes, file)) = next else { return };
    let mapped = Mapped::new(&file);
    if let Ok(mapped) = &mapped {
        mapped.prefault(bytes);
    }
    let mut log = shared.log();
    let Some(next) = log.next_to_prefault().filter(|next| next.id == id) else { return };
    next.prefaulted = true;
    let old = mapped.ok().map(|mapped| std::mem::replace(&mut next.mapped, mapped));
    drop(log);
    drop(old);
}
