//! A receiver of events by HTTP that does what a script says, on threads of its own.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::value::RawValue;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(super) struct Got {
    pub(super) line: String,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: Vec<u8>,
    /// Whether it came after the healing.
    pub(super) is_healed: bool,
    /// Whether the receiver has it, whatever it said.
    taken: bool,
}

/// What the receiver does.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Status(u16, Vec<(&'static str, &'static str)>),
    /// Takes nothing and says nothing.
    Reset,
    /// Takes it, and its answer is lost.
    TakenAndReset,
    /// Takes it, but too late.
    After(Duration),
}

type Decide = dyn Fn(usize, &Got) -> Answer + Send + Sync;

#[derive(Default)]
struct Seen {
    got: Mutex<Vec<Got>>,
    asked: Mutex<usize>,
    connections: Mutex<Vec<TcpStream>>,
    healed: AtomicBool,
}

/// The receiver.
pub(super) struct Listening {
    pub(super) address: SocketAddr,
    seen: Arc<Seen>,
}

impl Answer {
    pub(super) fn status(status: u16) -> Self {
        Self::Status(status, Vec::new())
    }

    pub(super) fn with(self, name: &'static str, value: &'static str) -> Self {
        match self {
            Self::Status(status, headers) => Self::Status(status, [headers, vec![(name, value)]].concat()),
            other => other,
        }
    }
}

impl Got {
    /// The events in the body, to the byte.
    pub(super) fn events(&self) -> Vec<Vec<u8>> {
        if !self.taken && !self.is_list() {
            return Vec::new();
        }
        if !self.is_list() {
            return vec![self.body.clone()];
        }
        let list: Vec<&RawValue> = serde_json::from_slice(&self.body).unwrap();
        list.iter().map(|event| event.get().as_bytes().to_vec()).collect()
    }

    fn is_list(&self) -> bool {
        self.body.starts_with(b"[")
    }
}

impl Listening {
    /// `decide` is told how many requests came before.
    pub(super) fn start(decide: impl Fn(usize, &Got) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, seen, decide) = (listener.local_addr().unwrap(), Arc::<Seen>::default(), Arc::new(decide));
        let shared = Arc::clone(&seen);
        // They end with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                shared.connections.lock().unwrap().push(stream.try_clone().unwrap());
                let (seen, decide) = (Arc::clone(&shared), Arc::clone(&decide));
                std::thread::spawn(move || serve(stream, &seen, &*decide));
            }
        });
        Self { address, seen }
    }

    pub(super) fn always(answer: Answer) -> Self {
        Self::start(move |_, _| answer.clone())
    }

    /// Every request so far.
    pub(super) fn got(&self) -> Vec<Got> {
        self.seen.got.lock().unwrap().clone()
    }

    /// How many connections there were.
    pub(super) fn connections(&self) -> usize {
        self.seen.connections.lock().unwrap().len()
    }

    /// From now on requests say that they came after this.
    pub(super) fn heal(&self) {
        self.seen.healed.store(true, SeqCst);
    }

    /// Closes every connection.
    pub(super) fn hang_up(&self) {
        for stream in self.seen.connections.lock().unwrap().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn serve(stream: TcpStream, seen: &Seen, decide: &Decide) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some(mut got) = read(&mut reader) {
        got.is_healed = seen.healed.load(SeqCst);
        let number = {
            let mut asked = seen.asked.lock().unwrap();
            *asked += 1;
            *asked - 1
        };
        let answer = decide(number, &got);
        got.taken = match &answer {
            Answer::Status(status, _) => (200..300).contains(status),
            Answer::Reset => false,
            Answer::TakenAndReset | Answer::After(_) => true,
        };
        seen.got.lock().unwrap().push(got);
        match answer {
            Answer::Status(status, headers) => {
                let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let headers = headers.concat();
                let text = format!("HTTP/1.1 {status} X\r\n{headers}content-length: 0\r\n\r\n");
                // A 204 has no length.
                let text = if status == 204 { text.replace("content-length: 0\r\n", "") } else { text };
                if stream.write_all(text.as_bytes()).is_err() {
                    return;
                }
            }
            Answer::Reset | Answer::TakenAndReset => return drop(stream.shutdown(Shutdown::Both)),
            Answer::After(time) => {
                std::thread::sleep(time);
                let _ = stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 0\r\n\r\n");
            }
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Got> {
    let mut got = Got { line: line(reader)?, ..Got::default() };
    loop {
        let line = line(reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        got.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = got.headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    got.body = vec![0; length];
    reader.read_exact(&mut got.body).ok()?;
    Some(got)
}

fn line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
    Some(line.trim_end().to_owned())
}
