//! What is known of a request from its head alone, observed once when it arrives.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::config::DialectChoice;
use crate::dialect::{self, Route};
use crate::header;
use crate::types::{RequestId, Timestamp};

static READ: [HeaderName; 4] =
    [header::TRACEPARENT, header::SESSION_ID, header::X_CONNECTION_ID, header::X_STAINLESS_RETRY_COUNT];

/// A request that has just arrived.
#[derive(Debug)]
pub struct Arrival {
    /// Every duration of the request counts from here.
    pub started: Instant,
    /// Wall time, as a label.
    pub time: Timestamp,
    /// Our name for it.
    pub request_id: RequestId,
    /// Wire format and operation, by path.
    pub route: Route,
    /// From `traceparent`.
    pub trace_id: Option<String>,
    /// From `session-id`.
    pub session_id: Option<String>,
    /// From `x-connection-id`.
    pub connection_id: Option<String>,
    /// 1, or more when the client's SDK says that it tries again.
    pub attempt: u32,
    /// Time spent in the guard.
    pub guarded: Duration,
    /// Body bytes as the client sent them; 0 where the body streams through.
    pub body_bytes: u64,
}

impl Arrival {
    /// Observes the head of a request.
    pub fn observe(head: &Parts) -> Self {
        let [trace, session, connection, retries] = read(&head.headers);
        let retries = retries.and_then(|count| count.parse::<u32>().ok());
        Self {
            started: Instant::now(),
            time: Timestamp::now(),
            request_id: RequestId::next(),
            route: dialect::route(DialectChoice::Auto, &head.method, head.uri.path()),
            trace_id: trace.and_then(trace_id),
            session_id: session.map(str::to_owned),
            connection_id: connection.map(str::to_owned),
            attempt: retries.unwrap_or(0).saturating_add(1),
            guarded: Duration::ZERO,
            body_bytes: 0,
        }
    }

    /// Tells the client our name for its request, so that it can find the event.
    pub fn sign(&self, headers: &mut HeaderMap) {
        let Ok(id) = HeaderValue::from_str(self.request_id.as_str()) else { return };
        headers.entry(header::X_REQUEST_ID).or_insert_with(|| id.clone());
        headers.insert(header::X_TOLLGATE_REQUEST_ID, id);
    }

    /// Our name for the request as shared text.
    pub fn request_id(&self) -> Arc<str> {
        self.request_id.to_arc()
    }
}

/// The values of the headers in [`READ`], of each the first, where they are text. Passing over all headers once is
/// cheaper than looking for each of these.
fn read(headers: &HeaderMap) -> [Option<&str>; 4] {
    let mut values: [Option<&HeaderValue>; 4] = [None; 4];
    for (name, value) in headers {
        if let Some((_, place)) = READ.iter().zip(&mut values).find(|(known, _)| *known == name) {
            place.get_or_insert(value);
        }
    }
    values.map(|value| value.and_then(|value| value.to_str().ok()))
}

/// The trace id of a W3C `traceparent` header, where it is well-formed and not all zero.
fn trace_id(traceparent: &str) -> Option<String> {
    let mut parts = traceparent.split('-');
    let (version, id) = (parts.next()?, parts.next()?);
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let sound = version.len() == 2 && version != "ff" && hex(version) && id.len() == 32 && hex(id);
    (sound && id.bytes().any(|b| b != b'0')).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::trace_id;

    #[test]
    fn only_a_sound_traceparent_gives_a_trace_id() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(trace_id(&format!("00-{id}-00f067aa0ba902b7-01")).as_deref(), Some(id));
        assert_eq!(trace_id("00-00000000000000000000000000000000-00f067aa0ba902b7-01"), None);
        assert_eq!(trace_id("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), None);
        assert_eq!(trace_id("nonsense"), None);
    }
}
