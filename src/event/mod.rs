//! The usage event, version 1: the public contract of what leaves the process.
//!
//! One event per request. Absent means unknown; zero is a value. Within version 1 fields are only ever added; the JSON
//! Schema in `deploy/schema/usage.v1.json` is generated from these types and golden-tested. No I/O happens here.

mod beginning;
mod line;
mod loss;
mod parts;
mod snapshot;
mod spans;
mod summary;
mod unnumbered;

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::{Timestamp, Usage};

pub use beginning::Beginning;
pub use line::LineError;
pub use loss::{Damage, LOSS_TYPE, LossData, LossEvent, LossReason};
pub use parts::{
    Capture, Cost, Delivered, LimitsUsed, LocalCount, Outcome, Previous, RequestFacts, Sequence, Timing, Workload,
};
pub use snapshot::{Reported, Snapshot, Tokens};
pub use spans::Spans;
pub use unnumbered::Unnumbered;

/// CloudEvents `type` of every usage event.
pub const TYPE: &str = "dev.tollgate.usage.v1";
/// An encoded event is never longer than this; longer ones lose `raw`, then long texts, and carry a flag.
pub const MAX_BYTES: usize = 8 * 1024;

/// The envelope: CloudEvents 1.0, structured mode.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UsageEvent {
    /// Always `1.0`.
    pub specversion: Cow<'static, str>,
    /// `<spool>-<epoch>-<number>`: the same however often the event is delivered.
    pub id: String,
    /// `/tollgate/<instance>`.
    pub source: Arc<str>,
    /// Always [`TYPE`].
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// The organization, else the key id, else `anonymous`. Also the key of the Kafka message.
    pub subject: Arc<str>,
    /// When the request arrived.
    #[cfg_attr(test, schemars(with = "String"))]
    pub time: Timestamp,
    /// Always `application/json`.
    pub datacontenttype: Cow<'static, str>,
    /// The event itself.
    pub data: UsageData,
}

/// What happened in one request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UsageData {
    /// Its place in the spool; numbers are dense per spool and epoch.
    pub sequence: Sequence,
    /// Our name for the request; the client has it from `x-request-id`.
    pub request_id: Arc<str>,
    /// From the caller's `traceparent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// 1, or one more for each retry that the client's SDK says it is.
    pub attempt: u32,
    /// The key record's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<Arc<str>>,
    /// The organization that pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_id: Option<Arc<str>>,
    /// The key's group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Arc<str>>,
    /// The end user that the request names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_user: Option<String>,
    /// From the `session-id` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// From the `x-connection-id` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<String>,
    /// Free labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Where the caller runs, when the sidecar was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    /// How the request reached us.
    pub capture: Capture,
    /// The wire format, such as `openai.chat`; `unknown` where bytes and time are all that is measured.
    pub dialect: Cow<'static, str>,
    /// What was asked for: `chat`, `completion`, `embeddings`, or `other`.
    pub operation: Cow<'static, str>,
    /// The configured upstream's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Arc<str>>,
    /// Who runs the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Arc<str>>,
    /// The host that was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Arc<str>>,
    /// The model that the request names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_requested: Option<String>,
    /// The model that the answer names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_served: Option<String>,
    /// Whether the answer was a stream.
    pub stream: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// The status that the client was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The status that the upstream gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_status: Option<u16>,
    /// Every finish reason, in order of appearance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finish_reasons: Vec<String>,
    /// Who failed at which step, or why we refused: a code from a closed set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'static, str>>,
    /// Tokens.
    pub usage: Usage,
    /// What we counted ourselves, when we did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalCount>,
    /// What reached the client.
    pub delivered: Delivered,
    /// Durations from a monotonic clock.
    pub timing: Timing,
    /// What it cost, when the price is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// What was reserved and settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsUsed>,
    /// What the request asked for.
    pub request: RequestFacts,
    /// Things worth knowing: `usage_injected`, `usage_hidden`, `usage_partial`, `meter_truncated`, `meter_error`, ….
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Cow<'static, str>>,
}

/// An event cannot be encoded. Cannot happen for events that we build.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// JSON could not be written.
    #[error("the usage event could not be written as JSON")]
    Json(#[from] line::LineError),
    /// It does not fit even with its long texts cut.
    #[error("the usage event is too long with {0} bytes")]
    TooLong(usize),
    /// The place of the number was not found.
    #[error("the usage event has no place for its number")]
    Unnumbered,
}

impl UsageEvent {
    /// Encodes as one line of JSON of at most [`MAX_BYTES`]: texts are cut to sane lengths, and `raw` is left out first
    /// when it does not fit; either sets the flag `event_truncated`.
    pub fn encode(&mut self) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = Vec::new();
        self.encode_into(&mut bytes)?;
        Ok(bytes)
    }

    /// As [`Self::encode`], at the end of a buffer that the caller has emptied: events are many.
    pub fn encode_into(&mut self, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.encode_within(MAX_BYTES, bytes)
    }

    fn encode_within(&mut self, most: usize, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.write_within(most, bytes, |event, bytes| Ok(line::write(bytes, event)?))
    }

    fn write_within(
        &mut self,
        most: usize,
        bytes: &mut Vec<u8>,
        write: impl Fn(&Self, &mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        if self.data.clamp_texts() {
            self.data.flag("event_truncated");
        }
        write(self, bytes)?;
        if bytes.len() > most && self.data.usage.raw.take().is_some() {
            self.data.flag("event_truncated");
            bytes.clear();
            write(self, bytes)?;
        }
        if bytes.len() > most { Err(EncodeError::TooLong(bytes.len())) } else { Ok(()) }
    }
}

impl UsageData {
    /// Adds a flag once.
    pub fn flag(&mut self, flag: &'static str) {
        if !self.flags.iter().any(|f| f == flag) {
            self.flags.push(Cow::Borrowed(flag));
        }
    }

    /// Client-given texts are cut so that an event stays within its bound whatever a client sends.
    fn clamp_texts(&mut self) -> bool {
        const LONGEST: usize = 200;
        let texts = [
            &mut self.trace_id,
            &mut self.end_user,
            &mut self.session_id,
            &mut self.connection_id,
            &mut self.model_requested,
            &mut self.model_served,
        ];
        let mut cut = false;
        for text in texts.into_iter().flatten().chain(&mut self.tags).chain(&mut self.finish_reasons) {
            cut |= clamp(text, LONGEST);
        }
        for list in [&mut self.tags, &mut self.finish_reasons] {
            cut |= list.len() > 8;
            list.truncate(8);
        }
        cut
    }
}

/// Names an event by its place.
pub(crate) fn name(id: &mut String, sequence: &Sequence) {
    let mut number = itoa::Buffer::new();
    id.clear();
    id.reserve(sequence.spool.len() + 2 + 2 * 20);
    id.push_str(&sequence.spool);
    id.push('-');
    id.push_str(number.format(sequence.epoch));
    id.push('-');
    id.push_str(number.format(sequence.number));
}

/// Cuts a text so that it takes at most `longest` bytes as JSON; whether it was too long.
fn clamp(text: &mut String, longest: usize) -> bool {
    // No letter takes more than six times its bytes.
    if text.len() * 6 <= longest {
        return false;
    }
    let mut written = 0;
    let end = text.char_indices().find_map(|(at, letter)| {
        written += match letter {
            '"' | '\\' => 2,
            letter if letter.is_ascii_control() => 6,
            letter => letter.len_utf8(),
        };
        (written > longest).then_some(at)
    });
    end.inspect(|&end| text.truncate(end)).is_some()
}

#[cfg(test)]
mod tests;
