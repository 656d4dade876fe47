//! A program that runs beside the tests and never outlives them.
//!
//! It is killed when its [`Process`] is dropped, and by the kernel when the test binary ends in any way at all: statics are
//! not dropped at exit, and a killed test run drops nothing. Its output is read to the end, so it can never block on a full
//! pipe; the last lines are kept to explain a failure.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, PipeReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Generous: on a busy machine a broker needs many times its two seconds.
const READY_WITHIN: Duration = Duration::from_secs(90);
const LINES_KEPT: usize = 60;

type Lines = Arc<Mutex<VecDeque<String>>>;

/// A running program.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    lines: Lines,
}

impl Process {
    /// Starts a command made by [`tied`] and waits until `ready` recognises a line of its output, standard output or error.
    /// The error holds the last lines.
    pub(crate) fn start<T>(mut command: Command, ready: impl Fn(&str) -> Option<T>) -> Result<(Self, T), String> {
        let shown = format!("{command:?}");
        let output = attach(&mut command).map_err(|e| format!("no pipe for {shown}: {e}"))?;
        let child = spawn(command).map_err(|e| format!("{shown} does not start: {e}"))?;
        let lines = Lines::default();
        let heard = read_lines(output, Arc::clone(&lines));
        let process = Self { child, lines };
        match wait_for(&heard, ready) {
            Ok(found) => Ok((process, found)),
            Err(why) => Err(format!("{shown} {why}; it said:\n{}", process.last_lines())),
        }
    }

    /// The process id, for a signal.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "process {} takes no signal", self.id());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("a child can be waited for")
    }

    /// The end of its output.
    pub(crate) fn last_lines(&self) -> String {
        let lines = self.lines.lock().expect("no reader panics");
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command whose process is killed when this test binary ends, and which an interrupt at the terminal does not reach.
pub(crate) fn tied(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).process_group(0).stdin(Stdio::null());
    command
}

/// A port for a program that cannot be given port 0 because it must come back on the same one.
///
/// Below the range from which the kernel takes the ports of outgoing connections: else a client that keeps trying the port
/// of a stopped server may be given that very port, connect to itself, and keep the server from coming back.
pub(crate) fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(std::process::id().wrapping_mul(20)));
    (0..20_000)
        .map(|_| 12_000 + (NEXT.fetch_add(1, Ordering::Relaxed) % 20_000) as u16)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("one of 20,000 ports is free")
}

/// Starts a child from a thread that lives as long as the process: the kernel counts the end of the *thread* that started
/// a child as the death of its parent, and a test's thread ends with the test.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, SyncSender<io::Result<Child>>);
    static STARTER: LazyLock<SyncSender<Order>> = LazyLock::new(|| {
        let (orders, inbox) = sync_channel::<Order>(1);
        thread::spawn(move || {
            for (mut command, reply) in inbox {
                let _ = reply.send(command.spawn());
            }
        });
        orders
    });
    let (reply, answer) = sync_channel(1);
    STARTER.send((command, reply)).expect("the starter never ends");
    answer.recv().expect("the starter answers every order")
}

fn attach(command: &mut Command) -> io::Result<PipeReader> {
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    Ok(reader)
}

/// Reads until the program ends; hands each line on for as long as someone listens.
fn read_lines(output: PipeReader, kept: Lines) -> Receiver<String> {
    let (heard, listener) = sync_channel(LINES_KEPT);
    thread::spawn(move || {
        let mut listening = true;
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            keep(&kept, &line);
            listening = listening && heard.send(line).is_ok();
        }
    });
    listener
}

fn keep(kept: &Lines, line: &str) {
    let mut kept = kept.lock().expect("no reader panics");
    if kept.len() == LINES_KEPT {
        kept.pop_front();
    }
    kept.push_back(line.to_owned());
}

fn wait_for<T>(heard: &Receiver<String>, ready: impl Fn(&str) -> Option<T>) -> Result<T, String> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        match heard.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if let Some(found) = ready(&line) {
                    return Ok(found);
                }
            }
            Err(RecvTimeoutError::Timeout) => return Err(format!("is not ready after {READY_WITHIN:?}")),
            Err(RecvTimeoutError::Disconnected) => return Err("ended before it was ready".to_owned()),
        }
    }
}
