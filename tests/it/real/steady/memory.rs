//! What the kernel says of a process's memory, second by second.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

const EVERY: Duration = Duration::from_millis(500);

/// Watches until it is dropped.
pub(super) struct Memory {
    readings: Arc<Mutex<Vec<(Instant, Reading)>>>,
    watching: JoinHandle<()>,
}

/// Kilobytes: all that is resident, and of that what is no file's.
#[derive(Clone, Copy, Default)]
pub(super) struct Reading {
    pub(super) rss_kb: u64,
    anonymous_kb: u64,
}

impl Memory {
    pub(super) fn watch(process: u32) -> Self {
        let readings: Arc<Mutex<Vec<_>>> = Arc::default();
        let into = Arc::clone(&readings);
        let watching = tokio::spawn(async move {
            while let Some(reading) = Reading::of(process) {
                into.lock().unwrap().push((Instant::now(), reading));
                tokio::time::sleep(EVERY).await;
            }
        });
        Self { readings, watching }
    }

    /// The largest values between two moments.
    pub(super) fn peak(&self, from: Instant, to: Instant) -> Reading {
        let readings = self.readings.lock().unwrap();
        let within = readings.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, reading)| reading);
        let peak = within.fold(Reading::default(), |peak, reading| Reading {
            rss_kb: peak.rss_kb.max(reading.rss_kb),
            anonymous_kb: peak.anonymous_kb.max(reading.anonymous_kb),
        });
        assert!(peak.rss_kb > 0, "nothing was read in this time");
        peak
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Reading {
    /// None when the process is gone.
    fn of(process: u32) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let field = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name))?;
            value.trim_start_matches(':').trim().strip_suffix(" kB")?.parse().ok()
        };
        Some(Self { rss_kb: field("VmRSS")?, anonymous_kb: field("RssAnon")? })
    }

    /// How much more this is than another.
    pub(super) fn beyond(&self, other: &Self) -> String {
        let more = |this: u64, other: u64| (this as f64 - other as f64) / 1024.0;
        let (rss, anonymous) = (more(self.rss_kb, other.rss_kb), more(self.anonymous_kb, other.anonymous_kb));
        format!("RSS {rss:+.1} MiB, of that anonymous {anonymous:+.1} MiB")
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |kb: u64| kb as f64 / 1024.0;
        write!(f, "RSS {:.1} MiB, of that anonymous {:.1} MiB", mib(self.rss_kb), mib(self.anonymous_kb))
    }
}
