//! Follows what a control plane revokes: `GET /api/guard/revocations`, server-sent events.
//!
//! Where the stream breaks off it goes on from the last event seen, so nothing is missed; where that is not known, all
//! that is held is let go of, for any of it may have been revoked unseen. A stream that is silent for longer than
//! several heartbeats has broken off. An original server has no such stream and is asked for it seldom.

use std::time::Duration;

use http::header::ACCEPT;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::Remote;
use super::client::ClientError;
use crate::guard::stats::Counters;
use crate::header::LAST_EVENT_ID;
use crate::types::Digest;

/// Several heartbeats.
const SILENCE: Duration = Duration::from_secs(5);
const FIRST_WAIT: Duration = Duration::from_millis(100);
const MOST_WAIT: Duration = Duration::from_secs(2);
/// Until an authority without such a stream is asked for it again.
const SELDOM: Duration = Duration::from_mins(1);
/// No event is longer.
const LONGEST: usize = 64 * 1024;

/// What is no longer true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::guard) enum Revoked {
    /// The record of this key.
    Key(Digest),
    /// Perhaps any.
    All,
}

#[derive(Deserialize)]
struct Told {
    key_sha256: Option<String>,
    #[serde(default)]
    all: bool,
}

impl Remote {
    /// Tells of each revocation. Runs until it is dropped.
    pub(in crate::guard) async fn follow(&self, tell: impl Fn(Revoked), counters: &Counters) {
        let (mut last, mut wait) = (None, FIRST_WAIT);
        loop {
            let opened = timeout(SILENCE, self.open(last.as_deref())).await.unwrap_or(Err(ClientError::Late));
            match opened {
                Ok(body) => {
                    if last.is_none() {
                        tell(Revoked::All);
                    }
                    wait = FIRST_WAIT;
                    let _following = Following::new(counters);
                    self.read(body, &tell, &mut last).await;
                    counters.stream_breaks.add(1);
                    tracing::debug!("the stream of revocations broke off");
                }
                Err(ClientError::Status(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)) => {
                    tracing::info!(
                        "the authority has no stream of revocations: a revoked key is refused after guard.remote.ttl"
                    );
                    wait = SELDOM;
                }
                Err(error) => tracing::debug!(%error, "revocations cannot be followed"),
            }
            sleep(wait.mul_f64(0.5 + fastrand::f64())).await;
            wait = (wait * 2).min(MOST_WAIT.max(wait));
        }
    }

    async fn open(&self, last: Option<&str>) -> Result<Incoming, ClientError> {
        let mut request = self.request(Method::GET, "/api/guard/revocations", String::new())?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(last) = last.and_then(|last| HeaderValue::from_str(last).ok()) {
            request.headers_mut().insert(LAST_EVENT_ID, last);
        }
        let (head, body) = self.client.open(request).await?.into_parts();
        if head.status.is_success() { Ok(body) } else { Err(ClientError::Status(head.status)) }
    }

    /// Reads until the stream breaks off, is silent, or makes no sense.
    async fn read(&self, mut body: Incoming, tell: &impl Fn(Revoked), last: &mut Option<String>) {
        let mut text = Vec::new();
        while let Ok(Some(Ok(frame))) = timeout(SILENCE, body.frame()).await {
            let Ok(data) = frame.into_data() else { continue };
            text.extend_from_slice(&data);
            while let Some(end) = text.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = text.drain(..end + 2).collect();
                self.gave_a_sign();
                take(&String::from_utf8_lossy(&event), tell, last);
            }
            if text.len() > LONGEST {
                return;
            }
        }
    }
}

/// Tells what an event says, and after that notes how far the stream has come.
fn take(event: &str, tell: &impl Fn(Revoked), last: &mut Option<String>) {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
    if field("event: ") != Some("heartbeat")
        && let Some(data) = field("data: ")
    {
        let told = serde_json::from_str::<Told>(data).ok();
        let key = told.as_ref().and_then(|told| Digest::from_hex(told.key_sha256.as_deref()?));
        match key {
            Some(key) if told.is_some_and(|told| !told.all) => tell(Revoked::Key(key)),
            // What cannot be understood may have been anything.
            _ => tell(Revoked::All),
        }
    }
    if let Some(id) = field("id: ") {
        *last = Some(id.to_owned());
    }
}

/// Counts a stream that is being followed.
struct Following<'a>(&'a Counters);

impl<'a> Following<'a> {
    fn new(counters: &'a Counters) -> Self {
        counters.following.set(1);
        Self(counters)
    }
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        self.0.following.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::{Revoked, take};
    use crate::types::Digest;
    use std::cell::RefCell;

    #[test]
    fn events_are_told_and_what_makes_no_sense_revokes_all() {
        let (told, mut last) = (RefCell::new(Vec::new()), None);
        let digest = Digest::of(b"sk-1");
        let key =
            format!("id: 7\ndata: {{\"key_sha256\":\"{}\",\"key_id\":\"a\",\"revision\":7}}\n\n", digest.to_hex());
        for event in [
            key.as_str(),
            "event: heartbeat\nid: 8\ndata: {\"revision\":8}\n\n",
            "id: 9\ndata: {\"all\":true}\n\n",
            "data: ?\n\n",
        ] {
            take(event, &|revoked| told.borrow_mut().push(revoked), &mut last);
        }
        assert_eq!(*told.borrow(), [Revoked::Key(digest), Revoked::All, Revoked::All]);
        assert_eq!(last.as_deref(), Some("9"));
    }
}
