//! How a tap begins: from the answer's head follows how its body is read.

use http::Response;
use http_body::Body;

use super::cut::Cut;
use super::end::End;
use super::rest::Rest;
use super::{Passage, Tap};
use crate::config::Disconnect;
use crate::meter::exchange::Exchange;
use crate::meter::few::Few;
use crate::meter::flow::Flow;
use crate::meter::framing::{Encoded, Framing};
use crate::meter::realtime;
use crate::meter::watch::Watch;
use crate::upstream::Answer;

/// What is asked of a tap besides watching.
#[derive(Clone, Copy, Debug)]
pub struct Duties {
    /// Take the usage chunk out again.
    pub hide_usage: bool,
    /// The client asked for a stream.
    pub stream_asked: bool,
    /// What happens upstream when the client leaves.
    pub disconnect: Disconnect,
}

impl Tap {
    /// Taps an answer. An answer without a body is complete at once, so its event is recorded before this returns.
    pub async fn attach(mut exchange: Exchange, answer: Answer, duties: Duties) -> Response<Self> {
        exchange.answered(answer.status.as_u16());
        if answer.upgrade.is_some() {
            return realtime::begin(exchange, answer);
        }
        let Answer { status, headers, body, .. } = answer;
        let streams = exchange.draft().map(|draft| draft.route.dialect.streams());
        let framing = Framing::of(status, &headers, streams.filter(|_| duties.stream_asked));
        let encoded = Encoded::of(&headers);
        let stream = matches!(framing, Framing::Stream(_));
        let mut cut = None;
        if let Some(draft) = exchange.draft() {
            draft.event.data.stream = stream;
            if duties.hide_usage {
                draft.event.data.flag("usage_injected");
            }
            draft.route.dialect.read_head(&headers, &mut draft.reading);
            if matches!(encoded, Encoded::Unreadable) {
                draft.event.data.flag("meter_encoded");
            }
            cut = stream.then(|| Cut::of(&draft.meter));
        }
        let end = body.is_end_stream().then(|| Box::new(End::over()));
        if end.is_some() {
            exchange.complete().await;
        }
        let watch = Watch::new(framing, duties.hide_usage && stream).through(encoded);
        let (flow, out) = (Flow { body, exchange, watch }, Few::default());
        let (rest, disconnect) = (Rest::default(), duties.disconnect);
        let mut response = Response::new(Self(Some(Passage { flow, out, end, rest, cut, disconnect })));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    /// A body without anything in it, for an answer that is followed by something else than a body.
    pub(in crate::meter) fn nothing() -> Self {
        Self(None)
    }
}
