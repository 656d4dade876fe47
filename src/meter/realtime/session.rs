//! Passes a session's bytes both ways and reads what the server says on the side.
//!
//! Bytes that end a response are handed to the client when its event is recorded: commit before complete. The session
//! is complete when one side has said farewell; else whoever broke it off ended it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::timeout;

use super::frames::Frames;
use super::part::Part;
use crate::dialect::openai::realtime;
use crate::dialect::{Flags, Operation};
use crate::meter::draft::{Draft, Ending};
use crate::meter::exchange::Exchange;
use crate::spool::Commit;
use crate::upstream::AnswerBody;

/// How much is read at once.
const PIECE: usize = 16 * 1024;
/// How long the other side may take to answer a farewell.
const FAREWELL: Duration = Duration::from_secs(5);

type Reader = ReadHalf<TokioIo<Upgraded>>;
type Writer = WriteHalf<TokioIo<Upgraded>>;

/// How one direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The side that sends broke it off.
    Sender,
    /// The side that receives did.
    Receiver,
}

/// Runs a session from the moment both sides have agreed to it. `body` is the upstream's call: it lives as long.
pub(super) async fn run(mut exchange: Exchange, sides: (OnUpgrade, OnUpgrade), body: AnswerBody) {
    let _call = body;
    // A client that is gone before it began drops the exchange, which seals itself.
    let Ok(client) = sides.0.await else { return };
    let ending = match sides.1.await {
        Ok(upstream) => pass(&mut exchange, client, upstream).await,
        Err(_) => Ending::UpstreamFailed("upstream_reset"),
    };
    exchange.seal(ending).await;
}

async fn pass(exchange: &mut Exchange, client: Upgraded, upstream: Upgraded) -> Ending {
    let (from_client, to_client) = tokio::io::split(TokioIo::new(client));
    let (from_upstream, to_upstream) = tokio::io::split(TokioIo::new(upstream));
    // Either side may say it, and after that either may go.
    let farewell = AtomicBool::new(false);
    let mut listening = pin!(Listening::new(exchange, &farewell).pass(from_upstream, to_client));
    let mut up = pin!(pass_up((from_client, to_upstream), &farewell));
    let end = tokio::select! {
        end = listening.as_mut() => Ok(end),
        end = up.as_mut() => Err(end),
    };
    let down = match end {
        Ok(down) => down,
        Err(End::Sender) if !farewell.load(Ordering::Relaxed) => return Ending::ClientLeft("client_left"),
        // What the upstream still says belongs to the session: the answer to the farewell, or why it went.
        Err(_) => timeout(FAREWELL, listening).await.unwrap_or(End::Sender),
    };
    match down {
        _ if farewell.load(Ordering::Relaxed) => Ending::Complete,
        End::Sender => Ending::UpstreamFailed("upstream_reset"),
        End::Receiver => Ending::ClientLeft("client_left"),
    }
}

/// Passes on what the client says; of it only the farewell matters.
async fn pass_up((mut from, mut to): (Reader, Writer), farewell: &AtomicBool) -> End {
    let (mut frames, mut piece) = (Frames::default(), BytesMut::new());
    loop {
        if !read(&mut from, &mut piece).await {
            // Whoever waits for our end of the connection learns that nothing more comes.
            drop(to.shutdown().await);
            return End::Sender;
        }
        frames.feed_heads(&piece);
        farewell.fetch_or(frames.closed, Ordering::Relaxed);
        if write(&mut to, &piece).await.is_err() {
            return End::Receiver;
        }
        piece.clear();
    }
}

/// Reads a piece; whether there was one.
async fn read(from: &mut Reader, piece: &mut BytesMut) -> bool {
    piece.reserve(PIECE);
    matches!(from.read_buf(piece).await, Ok(1..))
}

async fn write(to: &mut Writer, piece: &[u8]) -> io::Result<()> {
    to.write_all(piece).await?;
    to.flush().await
}

/// The reading of what the server says.
struct Listening<'e> {
    exchange: &'e mut Exchange,
    frames: Frames,
    part: Option<Part>,
    model: Option<String>,
    farewell: &'e AtomicBool,
}

impl<'e> Listening<'e> {
    fn new(exchange: &'e mut Exchange, farewell: &'e AtomicBool) -> Self {
        Self { exchange, frames: Frames::default(), part: None, model: None, farewell }
    }

    async fn pass(mut self, mut from: Reader, mut to: Writer) -> End {
        let mut piece = BytesMut::new();
        loop {
            if !read(&mut from, &mut piece).await {
                self.note();
                drop(to.shutdown().await);
                return End::Sender;
            }
            for commit in self.look(&piece) {
                commit.await;
            }
            self.farewell.fetch_or(self.frames.closed, Ordering::Relaxed);
            if write(&mut to, &piece).await.is_err() {
                self.note();
                return End::Receiver;
            }
            self.delivered(piece.len());
            piece.clear();
        }
    }

    /// Looks at a piece. The events that it made are to be recorded before it passes.
    fn look(&mut self, piece: &[u8]) -> Vec<Commit> {
        let Self { exchange, frames, part, model, .. } = self;
        let Some(draft) = exchange.draft() else { return Vec::new() };
        let looked = catch_unwind(AssertUnwindSafe(|| {
            let mut commits = Vec::new();
            frames.feed(piece, &mut |message| commits.extend(hear(draft, message, (part, model))));
            commits
        }));
        looked.unwrap_or_else(|_| {
            frames.opaque = true;
            if let Some(draft) = exchange.draft() {
                draft.event.data.flag("meter_error");
            }
            Vec::new()
        })
    }

    fn delivered(&mut self, bytes: usize) {
        if let Some(draft) = self.exchange.draft() {
            draft.delivered.bytes += bytes as u64;
        }
    }

    /// What was odd about the session as a whole.
    fn note(&mut self) {
        let Some(draft) = self.exchange.draft() else { return };
        if self.frames.truncated {
            draft.reading.flag(Flags::METER_TRUNCATED);
        }
        if self.frames.opaque {
            draft.event.data.flag("meter_encoded");
        }
    }
}

/// Reads a message; the event that it ended, if it did.
fn hear(draft: &mut Draft, message: &[u8], under_way: (&mut Option<Part>, &mut Option<String>)) -> Option<Commit> {
    let (part, model) = under_way;
    draft.delivered.frames += 1;
    if let Some(reading) = realtime::read_beside(message) {
        return Some(draft.record_part(Part::of(reading), Operation::Transcription));
    }
    let mut fresh = None;
    let current = match part {
        Some(under_way) => under_way,
        None => fresh.insert(Part::new()),
    };
    draft.route.dialect.read_answer(message.into(), &mut current.reading);
    current.passed();
    if current.reading.had_content {
        draft.delivered.content_frames += 1;
        draft.marks.content(tokio::time::Instant::now(), 1);
    }
    if let Some(session) = current.reading.kept.take() {
        // The provider's name for the session, where the client gave it none.
        draft.event.data.session_id.get_or_insert(session);
        draft.beginning = None;
        model.clone_from(&current.reading.model_served);
        draft.reading.model_served.clone_from(model);
    }
    let (begins, done) = (current.reading.had_content || realtime::begins(message), current.reading.done);
    if let Some(fresh) = fresh.filter(|_| begins || done) {
        *part = Some(fresh);
    }
    let mut ended = part.take_if(|_| done)?;
    ended.reading.model_served = ended.reading.model_served.or_else(|| model.clone());
    Some(draft.record_part(ended, Operation::Realtime))
}
