//! `GET /api/guard/revocations`: tells a sidecar which records have changed, as they change.
//!
//! Server-sent events. Each names a key by its digest and id; one with `all` says that everything held must be asked for
//! anew. The `id` of an event is the revision up to which all has been told, so a client that comes back with
//! `Last-Event-ID` misses nothing; it stands on the last event of a revision only. A heartbeat every second carries the
//! newest revision, as long as the database answers: a stream that has gone silent is as good as none.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::asker::{self, Asker};
use super::refusal::Refusal;
use crate::control::Control;
use crate::control::reply::Body;
use crate::control::stats::Counter;
use crate::control::store::{Revocation, Store, StoreError};
use crate::header::LAST_EVENT_ID;
use crate::shutdown::Shutdown;

const HEARTBEAT: Duration = Duration::from_secs(1);

pub(super) async fn answer(control: &Control, headers: &HeaderMap, from: IpAddr) -> Result<Response<Body>, Refusal> {
    // Which keys change is nothing that a single caller should know.
    let Asker::Deployment = asker::identify(control, headers, from).await? else { return Err(Refusal::SecretWrong) };
    let last: Option<u64> = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let revisions = control.followed.subscribe();
    let newest = control.store().revision().await.map_err(|error| super::failed(control, &error))?;
    // A client from the future has followed another database, and what it holds is worth nothing.
    let told = Some(last.unwrap_or(newest)).filter(|told| *told <= newest);
    let feed = Feed {
        store: control.store().clone(),
        revisions,
        told,
        beat: Instant::now(),
        shutdown: control.links.shutdown.clone(),
        _open: Open::new(&control.counters.streams),
    };
    let mut response = Response::new(Stream(Box::pin(feed.next())).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What one client has been told, and where the rest comes from.
struct Feed {
    store: Store,
    revisions: watch::Receiver<u64>,
    /// Up to which revision; `None` when it must be told that all may have changed.
    told: Option<u64>,
    beat: Instant,
    shutdown: Shutdown,
    _open: Open,
}

impl Feed {
    /// The next events; `None` when the process drains.
    async fn next(mut self) -> Option<(Self, Bytes)> {
        loop {
            let seen = *self.revisions.borrow_and_update();
            if self.told.is_none_or(|told| told < seen) {
                // Without an answer nothing is told, and no heartbeat either.
                if let Ok(text) = self.tell(seen).await {
                    return Some((self, text));
                }
            }
            tokio::select! {
                () = self.shutdown.draining() => return None,
                changed = self.revisions.changed() => if changed.is_err() { return None },
                () = sleep_until(self.beat) => {
                    self.beat = Instant::now() + HEARTBEAT;
                    let told = self.told.filter(|told| *told >= seen);
                    if let (Some(told), Ok(_)) = (told, self.store.revision().await) {
                        return Some((self, heartbeat(told).into()));
                    }
                }
            }
        }
    }

    /// What was revoked since the last time, at least up to this revision.
    async fn tell(&mut self, seen: u64) -> Result<Bytes, StoreError> {
        let revoked = match self.told {
            Some(told) => self.store.revoked_after(told).await?,
            None => None,
        };
        let through = revoked.as_ref().and_then(|revoked| revoked.last()).map_or(seen, |last| last.revision.max(seen));
        self.told = Some(through);
        Ok(match revoked {
            Some(revoked) => events(&revoked, through).into(),
            None => format!("id: {through}\ndata: {{\"all\":true,\"revision\":{through}}}\n\n").into(),
        })
    }
}

fn heartbeat(revision: u64) -> String {
    format!("event: heartbeat\nid: {revision}\ndata: {{\"revision\":{revision}}}\n\n")
}

/// Events for these revocations. Only the last of a revision says that the revision has been told.
fn events(revoked: &[Revocation], through: u64) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let ends = revoked.iter().skip(1).map(|next| Some(next.revision)).chain([None]);
    for (one, next) in revoked.iter().zip(ends) {
        if next != Some(one.revision) {
            let _ = writeln!(text, "id: {}", if next.is_none() { through } else { one.revision });
        }
        // Ids may hold quotes; this writes them as JSON.
        let data = serde_json::json!({
            "key_sha256": one.key.to_hex(), "key_id": one.key_id, "revision": one.revision,
        });
        let _ = write!(text, "data: {data}\n\n");
    }
    if revoked.is_empty() {
        text.push_str(&heartbeat(through));
    }
    text
}

/// Counts an open stream.
struct Open(Arc<Counter>);

impl Open {
    fn new(counter: &Arc<Counter>) -> Self {
        counter.add();
        Self(Arc::clone(counter))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.sub();
    }
}

type Step = Pin<Box<dyn Future<Output = Option<(Feed, Bytes)>> + Send>>;

/// The feed as a body: each step makes the next. It needs no task, so nothing is left when the client goes.
struct Stream(Step);

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some((feed, text)) = ready!(self.0.as_mut().poll(context)) {
            self.0 = Box::pin(feed.next());
            return Poll::Ready(Some(Ok(Frame::data(text))));
        }
        self.0 = Box::pin(std::future::pending());
        Poll::Ready(None)
    }
}
