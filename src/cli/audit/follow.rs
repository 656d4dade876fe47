//! When an audit says how far it is, and when it ends.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::audit::{Audit, Report};
use crate::shutdown;

/// Between two lines of progress.
const SAY_EVERY: Duration = Duration::from_secs(2);
/// Between two looks at what does not tell that it grew.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The pace of an audit.
pub(super) struct Pace {
    watch: bool,
    talks: bool,
    stop: Arc<AtomicBool>,
    said: Instant,
}

impl Pace {
    /// When watching, Ctrl-C and SIGTERM end the audit in order; otherwise the process.
    pub(super) fn new(watch: bool) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        if watch {
            let seen = Arc::clone(&stop);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
            let mut signals = runtime.block_on(async { shutdown::Signals::listen() })?;
            // Ends with the process: it only waits for a signal.
            std::thread::spawn(move || {
                runtime.block_on(signals.next());
                seen.store(true, Ordering::Relaxed);
            });
        }
        Ok(Self { watch, talks: watch || stderr().is_terminal(), stop, said: Instant::now() })
    }

    /// Whether to go on after the end was reached.
    pub(super) fn goes_on(&self) -> bool {
        self.watch && !self.is_stopped()
    }

    /// Whether somebody asked to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Says how far it is, if it is time to.
    pub(super) fn tell(&mut self, audit: &Audit) {
        if self.is_due() {
            self.say(&audit.report());
        }
    }

    /// Whether it is time to say how far it is.
    pub(super) fn is_due(&self) -> bool {
        self.talks && self.said.elapsed() >= SAY_EVERY
    }

    /// Says how far it is.
    pub(super) fn say(&mut self, report: &Report) {
        self.said = Instant::now();
        eprintln!("audit: {}", report.progress());
    }
}

/// Waits a moment for more.
pub(super) fn rest() {
    std::thread::sleep(LOOK_EVERY);
}
