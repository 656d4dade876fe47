//! What a client is answered with, whoever answers.
//!
//! A type of its own and not `Either`: chunks pass through it as they are, and are not written anew to turn one error
//! into another.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};

use super::authority;
use crate::meter::Tap;
use crate::proxy::Outgoing;
use crate::upstream::Failure;

/// The body of an answer.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every answer is of the large kind")]
pub(super) enum Answer {
    /// An upstream's.
    Proxied(Tap),
    /// The control plane's.
    Controlled(authority::Answer),
    /// Ours.
    Fixed(Full<Bytes>),
}

impl From<Outgoing> for Answer {
    fn from(outgoing: Outgoing) -> Self {
        match outgoing {
            Either::Left(tap) => Self::Proxied(tap),
            Either::Right(text) => Self::Fixed(text),
        }
    }
}

type Polled<E> = Poll<Option<Result<Frame<Bytes>, E>>>;

fn never_fails(polled: Polled<Infallible>) -> Polled<Failure> {
    polled.map(|frame| frame.map(|frame| frame.map_err(|never| match never {})))
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<Failure> {
        match self.get_mut() {
            Self::Proxied(tap) => Pin::new(tap).poll_frame(cx),
            Self::Controlled(body) => never_fails(Pin::new(body).poll_frame(cx)),
            Self::Fixed(text) => never_fails(Pin::new(text).poll_frame(cx)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Proxied(tap) => tap.is_end_stream(),
            Self::Controlled(body) => body.is_end_stream(),
            Self::Fixed(text) => text.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Proxied(tap) => tap.size_hint(),
            Self::Controlled(body) => body.size_hint(),
            Self::Fixed(text) => text.size_hint(),
        }
    }
}
