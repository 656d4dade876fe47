//! Asks for the usage of a stream where the client did not, and remembers who refuses to be asked.
//!
//! Only `stream_options.include_usage` is added; every other byte of the client's body stays. An upstream that answers
//! 400 or 422 and names the field is asked once more with the client's own bytes, and for an hour not asked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::dialect::{Ask, Operation, Route};
use crate::upstream::{Answer, Encoding, Failure, Outbound, OutboundBody, Target};

/// How long a refusal is remembered.
const REMEMBERED: Duration = Duration::from_hours(1);
/// How much of an error answer is looked at.
const LONGEST_REFUSAL: usize = 64 * 1024;
/// How many refusals are remembered; beyond them everyone is asked again.
const MOST_REMEMBERED: usize = 1024;

/// Upstreams and models that refused the field, and until when that is believed.
#[derive(Debug, Default)]
pub struct Memory {
    refused: DashMap<(Arc<str>, Box<str>), Instant>,
    forgotten: AtomicU64,
}

impl Memory {
    fn knows(&self, target: &Target, model: &str) -> bool {
        // Nothing was ever refused at most upstreams: look before hashing.
        !self.refused.is_empty()
            && self.refused.get(&(Arc::clone(&target.name), model.into())).is_some_and(|until| *until > Instant::now())
    }

    /// How many refusals are remembered.
    pub fn remembered(&self) -> u64 {
        self.refused.len() as u64
    }

    /// How often all were forgotten, for there were too many.
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// Remembers a refusal.
    pub fn refused(&self, target: &Target, ask: &Ask) {
        if self.refused.len() >= MOST_REMEMBERED {
            self.refused.clear();
            self.forgotten.fetch_add(1, Ordering::Relaxed);
        }
        let model = ask.model.as_deref().unwrap_or("").into();
        self.refused.insert((Arc::clone(&target.name), model), Instant::now() + REMEMBERED);
    }
}

/// Sends a request, asking for usage where the client did not. Also says whether the usage chunk is to be hidden.
pub async fn send(
    memory: &Memory,
    target: &Target,
    call: (Outbound<'_>, &Ask, Route),
) -> Result<(Answer, bool), Failure> {
    let (outbound, ask, route) = call;
    let Some(injected) = inject(memory, target, (&outbound, ask, route)) else {
        return Ok((target.send(outbound).await?, false));
    };
    let Outbound { head, credential, .. } = outbound;
    // What is compressed cannot have a chunk taken out of it.
    let asking = Outbound { head, body: OutboundBody::Whole(injected), credential, encoding: Encoding::Identity };
    let mut answer = target.send(asking).await?;
    if !matches!(answer.status.as_u16(), 400 | 422) {
        return Ok((answer, true));
    }
    if !names_the_field(&mut answer).await? {
        return Ok((answer, false));
    }
    memory.refused(target, ask);
    Ok((target.send(outbound).await?, false))
}

/// Whether an error answer speaks of what was added. What is read of it here still reaches the client.
async fn names_the_field(answer: &mut Answer) -> Result<bool, Failure> {
    let mut read = Vec::new();
    while read.len() < LONGEST_REFUSAL {
        let Some(frame) = answer.body.frame().await else { break };
        if let Ok(data) = frame?.into_data() {
            read.extend_from_slice(&data);
        }
    }
    let names = |field: &str| memchr::memmem::find(&read, field.as_bytes()).is_some();
    let found = names("stream_options") || names("include_usage");
    answer.body.unread(Bytes::from(read));
    Ok(found)
}

/// The body with the field added, where it should be and can be.
fn inject(memory: &Memory, target: &Target, call: (&Outbound<'_>, &Ask, Route)) -> Option<Bytes> {
    let (outbound, ask, route) = call;
    let metered = matches!(route.operation, Operation::Chat | Operation::Completion);
    let wanted = target.inject_usage && metered && ask.stream && !ask.wants_usage;
    let OutboundBody::Whole(body) = &outbound.body else { return None };
    if !wanted || memory.knows(target, ask.model.as_deref().unwrap_or("")) {
        return None;
    }
    route.dialect.ask_for_usage(body).map(Bytes::from)
}
