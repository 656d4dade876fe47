//! A client's body of which the beginning was read ahead.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// The body: what was read, then what follows. It has the length that the client said.
#[derive(Debug)]
pub(super) struct Peeked {
    front: VecDeque<Bytes>,
    rest: Incoming,
}

impl Peeked {
    pub(super) fn new(rest: Incoming) -> Self {
        Self { front: VecDeque::new(), rest }
    }

    /// Reads one more piece ahead. `None` at the end.
    pub(super) async fn more(&mut self) -> Option<Result<&Bytes, hyper::Error>> {
        loop {
            match self.rest.frame().await? {
                Err(error) => return Some(Err(error)),
                // Trailers end here: none goes upstream.
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        self.front.push_back(data);
                        return self.front.back().map(Ok);
                    }
                }
            }
        }
    }
}

impl Body for Peeked {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.front.pop_front() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.front.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let read: u64 = self.front.iter().map(|data| data.len() as u64).sum();
        let mut hint = self.rest.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + read);
        }
        hint.set_lower(hint.lower() + read);
        hint
    }
}
