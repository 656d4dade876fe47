//! A TCP connection that can tell when the upstream closed it without having read the request.
//!
//! A server may close a connection whenever it likes, and need not say so before. A request that meets such a close got
//! no answer, and may be sent again only if it cannot have been acted upon (RFC 9110, 9.2.2): a model must not run
//! twice. Three things prove that, and each becomes the error [`Unread`]; everything else stays what it is:
//!
//! - The upstream had closed before the first byte was written. The runtime may not have heard of it yet, so the kernel
//!   is asked, once per request.
//! - Not all of the request could be written.
//! - The upstream's close is followed by a reset, which is what a kernel sends when bytes arrive, or lie unread, at a
//!   socket that was closed. A process that had read the whole request and then closed, or died, leaves no reset behind:
//!   nothing is written after the request. The reset needs a round trip, so it is waited for.
//!
//! What none of them proves is kept from happening: after a streamed answer of an upstream that is suspected to close
//! (see `habit`) the pool lets go of the connection: it is marked as its last byte is read, before the pool has it back.
//!
//! Only requests on a connection that was used before are looked at, and only HTTP/1 without TLS: a closing TLS or
//! HTTP/2 peer is written to once more, so a reset proves nothing there, and HTTP/2 has its own way of saying this.

use std::error::Error as StdError;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper_util::client::legacy::connect::{Connected, Connection};
use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::habit::{Habit, SETTLING};
use super::tie::Tie;

/// A reset after a close is waited for this long: longer than any round trip. The request has failed by then.
const RESET_WITHIN: Duration = Duration::from_millis(500);
/// How far apart one looks for a close or a reset. Neither wakes a task reliably.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);
/// How a chunked body ends, which is how answers are streamed. The first line end is that of the chunk or head before.
const LAST_CHUNK: [u8; 7] = *b"\r\n0\r\n\r\n";

/// The upstream closed the connection and cannot have read the whole request.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the upstream closed the connection without having read the request")]
pub(super) struct Unread;

impl Unread {
    fn error() -> io::Error {
        io::Error::new(io::ErrorKind::BrokenPipe, Self)
    }

    pub(super) fn is_in(error: &io::Error) -> bool {
        error.get_ref().is_some_and(<dyn StdError + Send + Sync>::is::<Self>)
    }
}

#[derive(Debug)]
pub(super) struct Stream {
    tcp: TcpStream,
    tie: Tie,
    /// It is known who drives it.
    tied: bool,
    watch: Option<Watch>,
}

/// What is known of a connection that is watched.
#[derive(Debug)]
struct Watch {
    habit: Arc<Habit>,
    /// The last bytes from the upstream, however they were cut.
    tail: [u8; LAST_CHUNK.len()],
    turn: Turn,
    /// What the upstream said last, once it has been heard.
    heard: Option<Ended>,
    closed: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// The upstream was heard last, or nobody yet.
    Upstream,
    /// A request is to be written.
    Begun,
    /// Some or all of it is.
    Written,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The end of a streamed answer, and when.
    Stream(Instant),
    PerhapsNothing,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, habit: Option<Arc<Habit>>) -> Self {
        Self { tcp, tie: Tie::default(), tied: false, watch: habit.map(Watch::new) }
    }

    #[cfg(test)]
    pub(super) fn sends_at_once(&self) -> bool {
        self.tcp.nodelay().unwrap_or(false)
    }

    fn may_write(&mut self) -> io::Result<()> {
        match &mut self.watch {
            Some(watch) => watch.may_write(&self.tcp),
            None => Ok(()),
        }
    }

    fn wrote(&mut self, written: io::Result<usize>) -> io::Result<usize> {
        match &mut self.watch {
            Some(watch) => watch.wrote(written),
            None => written,
        }
    }
}

impl Watch {
    fn new(habit: Arc<Habit>) -> Self {
        Self { habit, tail: Default::default(), turn: Turn::Upstream, heard: None, closed: None, timer: None }
    }

    /// Before the first byte of a request: whether the upstream is still there to read it.
    fn may_write(&mut self, tcp: &TcpStream) -> io::Result<()> {
        if self.turn == Turn::Written || self.heard.is_none() {
            return Ok(());
        }
        self.turn = Turn::Begun;
        if is_closed(tcp) {
            self.saw_close();
            return Err(Unread::error());
        }
        Ok(())
    }

    /// Takes note of a write: one that fails leaves the request incomplete.
    fn wrote(&mut self, written: io::Result<usize>) -> io::Result<usize> {
        match written {
            Err(_) if self.heard.is_some() => Err(Unread::error()),
            written => {
                self.turn = Turn::Written;
                written
            }
        }
    }

    fn read(&mut self, bytes: &[u8], tie: &Tie) {
        let last = self.ends_in_last_chunk(bytes);
        if last && self.habit.is_suspect() {
            tie.leave_pool();
        }
        // Chunks come in great number: only the end of them is worth a look at the clock.
        self.heard = Some(if last { Ended::Stream(Instant::now()) } else { Ended::PerhapsNothing });
        self.turn = Turn::Upstream;
    }

    fn ends_in_last_chunk(&mut self, bytes: &[u8]) -> bool {
        if let Some(tail) = bytes.last_chunk() {
            self.tail = *tail;
        } else {
            self.tail.rotate_left(bytes.len());
            let kept = self.tail.len() - bytes.len();
            self.tail.iter_mut().skip(kept).zip(bytes).for_each(|(tail, byte)| *tail = *byte);
        }
        self.tail == LAST_CHUNK
    }

    /// The upstream has closed: whether a request that it cannot have read is on the way.
    fn poll_closed(&mut self, tcp: &TcpStream, cx: &mut Context<'_>) -> Poll<bool> {
        self.saw_close();
        match self.turn {
            Turn::Upstream => Poll::Ready(false),
            Turn::Begun => Poll::Ready(true),
            Turn::Written if self.heard.is_none() => Poll::Ready(false),
            Turn::Written => self.poll_reset(tcp, cx),
        }
    }

    /// Whether the connection, used no more, stays open to see what the upstream does with it after a streamed answer.
    fn is_left_open(&self, tcp: &TcpStream) -> bool {
        let streamed = matches!((self.turn, self.heard), (Turn::Upstream, Some(Ended::Stream(_))));
        streamed && self.closed.is_none() && self.habit.is_suspect() && self.habit.watch(tcp)
    }

    fn saw_close(&mut self) {
        let soon = |heard| matches!(heard, Ended::Stream(at) if at.elapsed() < SETTLING);
        if self.closed.is_none() && self.heard.is_some_and(soon) {
            self.habit.closed();
        }
        self.closed.get_or_insert_with(Instant::now);
    }

    /// Whether a reset follows the close. Linux tells such a reset from any other; where it does not, none is found.
    fn poll_reset(&mut self, tcp: &TcpStream, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            if let Ok(Some(error)) = tcp.take_error() {
                return Poll::Ready(error.kind() == io::ErrorKind::BrokenPipe);
            }
            if self.closed.is_none_or(|closed| closed.elapsed() >= RESET_WITHIN) {
                return Poll::Ready(false);
            }
            ready!(self.poll_pause(cx));
        }
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(BETWEEN_LOOKS)));
        ready!(timer.as_mut().poll(cx));
        self.timer = None;
        Poll::Ready(())
    }
}

/// Asks the kernel, which knows before the runtime does.
fn is_closed(tcp: &TcpStream) -> bool {
    match rustix::net::recv(tcp, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, count)) => count == 0,
        Err(errno) => io::Error::from(errno).kind() == io::ErrorKind::ConnectionReset,
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { tcp, tie, tied, watch } = self.get_mut();
        *tied = *tied || tie.driven();
        let before = buf.filled().len();
        ready!(Pin::new(&mut *tcp).poll_read(cx, buf))?;
        let Some(watch) = watch else { return Poll::Ready(Ok(())) };
        match buf.filled().get(before..) {
            Some(bytes) if !bytes.is_empty() => watch.read(bytes, tie),
            _ if buf.remaining() > 0 && ready!(watch.poll_closed(tcp, cx)) => {
                return Poll::Ready(Err(Unread::error()));
            }
            _ => {}
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.may_write()?;
        let written = ready!(Pin::new(&mut self.tcp).poll_write(cx, buf));
        Poll::Ready(self.wrote(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.may_write()?;
        let written = ready!(Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs));
        Poll::Ready(self.wrote(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.watch.as_ref().is_some_and(|watch| watch.is_left_open(&self.tcp)) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.tie.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Watch;

    #[test]
    fn the_end_of_a_stream_is_seen_however_it_is_cut() {
        let body = b"200 OK\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        for first in 1..body.len() {
            for second in first..=body.len() {
                let mut watch = Watch::new(Arc::default());
                let parts = [&body[..first], &body[first..second], &body[second..]];
                let seen = parts.into_iter().filter(|part| !part.is_empty()).map(|part| watch.ends_in_last_chunk(part));
                let ends: Vec<_> = seen.collect();
                assert!(ends.last() == Some(&true) && !ends[..ends.len() - 1].contains(&true), "{first} {second}");
            }
        }
    }
}
