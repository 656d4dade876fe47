//! Sessions over a WebSocket: every byte passes as it came, in both directions, and what the server says is read.
//!
//! Each response within a session is recorded as an event of its own before its last frame reaches the client. The
//! session itself leaves one event more, without usage of its own: a sum over all events counts every token once. What
//! the responses used together stands there as `local`, for whoever looks at sessions.
//!
//! `frames` finds the messages, `part` makes the events, `session` passes the bytes.

mod frames;
mod part;
mod session;

#[cfg(fuzzing)]
pub use frames::fuzz;

use http::Response;
use http::request::Parts;
use hyper::upgrade::OnUpgrade;

use super::exchange::Exchange;
use super::tap::Tap;
use crate::listener::Takeover;
use crate::upstream::Answer;

/// A client's connection that may leave HTTP.
#[derive(Clone, Debug)]
pub(super) struct Upgrade {
    client: OnUpgrade,
    takeover: Takeover,
}

impl Upgrade {
    /// Whether a request asks for a WebSocket, over a connection that can become one.
    pub(super) fn asked(head: &Parts) -> Option<Self> {
        let mut offers = head.headers.get_all(http::header::UPGRADE).iter();
        let websocket = offers.any(|offer| offer.as_bytes().eq_ignore_ascii_case(b"websocket"));
        let client = head.extensions.get::<OnUpgrade>().filter(|_| websocket)?.clone();
        Some(Self { client, takeover: head.extensions.get::<Takeover>()?.clone() })
    }
}

/// Lets an upgrade through that the upstream has agreed to; the session follows.
pub(super) fn begin(mut exchange: Exchange, answer: Answer) -> Response<Tap> {
    let Answer { status, headers, body, upgrade, .. } = answer;
    let asked = exchange.draft().and_then(|draft| draft.upgrade.take());
    // Without both the exchange is dropped here, and seals itself.
    if let (Some(Upgrade { client, takeover }), Some(upstream)) = (asked, upgrade) {
        takeover.by(session::run(exchange, (client, upstream), body));
    }
    let mut response = Response::new(Tap::nothing());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
