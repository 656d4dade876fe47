//! Processes under measurement: start on a core of their own, read what they use, end.
//!
//! CPU time comes from the scheduler's own nanoseconds of every thread, memory from `VmRSS`. Linux only.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

/// A process at rest uses less than this in [`LOOK`].
const REST: Duration = Duration::from_millis(1);
const LOOK: Duration = Duration::from_millis(50);
const LOOKS: u32 = 3;
const LONGEST_UNREST: Duration = Duration::from_mins(2);
const LONGEST_END: Duration = Duration::from_secs(40);

/// Where processes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Core {
    /// The first core: who is measured.
    Proxy,
    /// The second core: load, upstream, broker.
    Load,
}

/// Puts this thread, and what it starts from now on, on a core. On a machine with one core it does nothing.
pub(crate) fn pin(core: Core) -> Result<()> {
    let index = match core {
        _ if cores() < 2 => return Ok(()),
        Core::Proxy => 0,
        Core::Load => 1,
    };
    let mut set = CpuSet::new();
    set.set(index);
    sched_setaffinity(None, &set).with_context(|| format!("core {index} cannot be used"))
}

/// How many cores the machine has.
pub(crate) fn cores() -> usize {
    fs::read_to_string("/proc/cpuinfo").unwrap_or_default().lines().filter(|line| line.starts_with("processor")).count()
}

/// Allows this process and its children as many open files as the system lets them have.
pub(crate) fn raise_open_files(needed: u64) -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    let allowed = maximum.unwrap_or(u64::MAX);
    ensure!(
        allowed >= needed,
        "{needed} open files are needed, {allowed} are allowed: raise `ulimit -Hn` or use --streams"
    );
    Ok(())
}

/// An address on loopback that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A child. It is killed when this goes.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    started: Instant,
    errors: PathBuf,
}

impl Process {
    /// Starts a command on a core. What it says on standard error goes into a file.
    pub(crate) fn start(command: &mut Command, core: Core, errors: &Path) -> Result<Self> {
        let file = File::create(errors)?;
        command.stdin(Stdio::null()).stderr(file);
        pin(core)?;
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()));
        pin(Core::Load)?;
        Ok(Self { child: child?, started, errors: errors.to_owned() })
    }

    /// When it was started.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// The pipe of its standard output, when it was asked for.
    pub(crate) fn output(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits until it accepts connections.
    pub(crate) fn accepts(&mut self, address: SocketAddr) -> Result<()> {
        while TcpStream::connect(address).is_err() {
            self.check_alive()?;
            sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Fails when it has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("it ended with {status}; its last words:\n{}", self.last_words()),
            None => Ok(()),
        }
    }

    /// The file of what it says on standard error.
    pub(crate) fn errors(&self) -> PathBuf {
        self.errors.clone()
    }

    /// The end of what it said on standard error.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read(&self.errors).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }

    /// CPU time that it has used so far.
    pub(crate) fn cpu(&self) -> Result<Cpu> {
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(self.proc("task"))? {
            let entry = entry?;
            // A thread may end between the two looks.
            let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else { continue };
            let nanos = text.split_whitespace().next().and_then(|text| text.parse().ok());
            threads.insert(entry.file_name(), nanos.context("the kernel keeps no schedstat")?);
        }
        Ok(Cpu(threads))
    }

    /// Its resident memory, in MiB.
    pub(crate) fn resident(&self) -> Result<f64> {
        let status = fs::read_to_string(self.proc("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024.0)
    }

    /// Waits until it does nothing any more: what it put off is then done and counted.
    pub(crate) fn rest(&mut self) -> Result<()> {
        let start = Instant::now();
        let (mut quiet, mut before) = (0, self.cpu()?);
        while quiet < LOOKS {
            ensure!(start.elapsed() < LONGEST_UNREST, "it does not come to rest:\n{}", self.last_words());
            sleep(LOOK);
            self.check_alive()?;
            let now = self.cpu()?;
            quiet = if now.since(&before) < REST { quiet + 1 } else { 0 };
            before = now;
        }
        Ok(())
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn end(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(start.elapsed() < LONGEST_END, "it did not end when asked to:\n{}", self.last_words());
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn proc(&self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.child.id()).into()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time by thread, in nanoseconds.
#[derive(Debug)]
pub(crate) struct Cpu(BTreeMap<std::ffi::OsString, u64>);

impl Cpu {
    /// What was used since. Of a thread that has ended in between, the part since the earlier look is lost; the threads
    /// that do the work here live as long as the process.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        let used = self.0.iter().map(|(thread, now)| now.saturating_sub(earlier.0.get(thread).copied().unwrap_or(0)));
        Duration::from_nanos(used.sum())
    }
}
