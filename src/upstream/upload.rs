//! The body on its way upstream: whole, or passed on as the client sends it, within a size limit.
//!
//! It notes how far it came and whether the client broke it, so that a failed call is blamed on the right side.
//! Trailers end here: an upstream must never merge a client's trailers into its headers.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;

use super::error::BoxError;

/// A client's body as it arrives.
pub type ClientBody = UnsyncBoxBody<Bytes, BoxError>;

/// What is sent upstream.
pub enum OutboundBody {
    /// Read whole before; may be empty.
    Whole(Bytes),
    /// Sent on as it arrives.
    Stream {
        /// The client's body.
        body: ClientBody,
        /// The most bytes that it may have.
        limit: u64,
    },
    /// Nothing: the request asks to take the connection over, for a WebSocket.
    Upgrade,
}

impl fmt::Debug for OutboundBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Upgrade => f.write_str("Upgrade"),
            Self::Stream { limit, .. } => write!(f, "Stream(at most {limit} bytes)"),
        }
    }
}

/// How far a body came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    /// Some of it is not sent; the upstream is at turn.
    Sending,
    /// The client is at turn.
    AwaitingClient,
    /// All of it was handed to the connection.
    Sent,
    /// The client broke it off.
    ClientBroke,
    /// It is larger than allowed.
    TooLarge,
}

/// The stage, shared with who waits for the answer.
#[derive(Debug)]
pub(super) struct Progress(AtomicU8);

impl Progress {
    fn set(&self, stage: Stage) {
        self.0.store(stage as u8, Ordering::Release);
    }

    pub(super) fn stage(&self) -> Stage {
        let stages = [Stage::Sending, Stage::AwaitingClient, Stage::Sent, Stage::ClientBroke, Stage::TooLarge];
        let stage = self.0.load(Ordering::Acquire);
        stages.into_iter().find(|known| *known as u8 == stage).unwrap_or(Stage::Sending)
    }
}

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    #[error("the client's body broke off")]
    Client(#[source] BoxError),
    #[error("the client's body is too large")]
    TooLarge,
}

pub(super) struct Upload {
    source: Source,
    progress: Arc<Progress>,
}

enum Source {
    Whole(Bytes),
    Stream { body: ClientBody, left: u64 },
}

impl Upload {
    pub(super) fn new(body: OutboundBody) -> Self {
        let (source, stage) = match body {
            OutboundBody::Stream { body, .. } if body.is_end_stream() => (Source::Whole(Bytes::new()), Stage::Sent),
            OutboundBody::Stream { body, limit } => (Source::Stream { body, left: limit }, Stage::Sending),
            OutboundBody::Upgrade => (Source::Whole(Bytes::new()), Stage::Sent),
            OutboundBody::Whole(bytes) if bytes.is_empty() => (Source::Whole(bytes), Stage::Sent),
            OutboundBody::Whole(bytes) => (Source::Whole(bytes), Stage::Sending),
        };
        Self { source, progress: Arc::new(Progress(AtomicU8::new(stage as u8))) }
    }

    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Whether it says beforehand that it is larger than allowed.
    pub(super) fn announces_too_much(&self) -> bool {
        matches!(&self.source, Source::Stream { body, left } if body.size_hint().lower() > *left)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let Self { source, progress } = &mut *self;
        match source {
            Source::Whole(bytes) => {
                progress.set(Stage::Sent);
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Source::Stream { body, left } => {
                progress.set(Stage::AwaitingClient);
                let polled = ready!(poll_data(body, cx));
                let (stage, polled) = judge(polled, left);
                // A body of known length may not be asked again after its last byte.
                let ended = stage == Stage::Sending && body.is_end_stream();
                progress.set(if ended { Stage::Sent } else { stage });
                Poll::Ready(polled.map(|data| data.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Whole(bytes) => bytes.is_empty(),
            Source::Stream { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Stream { body, .. } => body.size_hint(),
        }
    }
}

fn poll_data(body: &mut ClientBody, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
    loop {
        match ready!(Pin::new(&mut *body).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Poll::Ready(Some(Ok(data)));
                }
            }
        }
    }
}

fn judge(polled: Option<Result<Bytes, BoxError>>, left: &mut u64) -> (Stage, Option<Result<Bytes, UploadError>>) {
    match polled {
        None => (Stage::Sent, None),
        Some(Err(error)) => (Stage::ClientBroke, Some(Err(UploadError::Client(error)))),
        Some(Ok(data)) => match left.checked_sub(data.len() as u64) {
            None => (Stage::TooLarge, Some(Err(UploadError::TooLarge))),
            Some(rest) => {
                *left = rest;
                (Stage::Sending, Some(Ok(data)))
            }
        },
    }
}
