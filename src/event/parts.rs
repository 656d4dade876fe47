//! The parts of a usage event.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::NanoUsd;

/// The place of an event in its spool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Sequence {
    /// The spool's id.
    pub spool: Arc<str>,
    /// Counts the starts of the process on this spool, from 1.
    pub epoch: u64,
    /// Dense within the epoch, from 1.
    pub number: u64,
    /// On the epoch's first event: where the numbers before it end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
}

/// The last epoch of a spool, before another one, that gave out numbers. Epochs in between gave out none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Previous {
    /// The epoch.
    pub epoch: u64,
    /// Its last number.
    pub number: u64,
    /// Whether its process ended in order, so that no request was cut short.
    pub clean: bool,
}

/// Where the caller runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Workload {
    /// Cluster name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Kubernetes namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Pod name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Node name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
}

/// How a request reached us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Capture {
    /// The client uses us as its base URL.
    #[default]
    Reverse,
    /// The client uses us as its HTTP proxy.
    Forward,
    /// A tunnel whose TLS ends here.
    Intercept,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The client has the whole answer, and the answer is not an error.
    Ok,
    /// We refused it.
    Rejected,
    /// The upstream answered with an error, failed, or could not be reached.
    UpstreamError,
    /// The client left before the end.
    ClientDisconnect,
    /// This process ended before the request did.
    #[default]
    Interrupted,
}

impl Outcome {
    /// As written in events and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Rejected => "rejected",
            Self::UpstreamError => "upstream_error",
            Self::ClientDisconnect => "client_disconnect",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What we counted ourselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LocalCount {
    /// Input tokens, when the input was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Output tokens, when the output was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// With which tokenizer.
    pub tokenizer: Cow<'static, str>,
}

/// What reached the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Delivered {
    /// Body bytes handed to the client's connection.
    pub bytes: u64,
    /// Stream events (or body chunks, where the answer is not a stream of events).
    pub frames: u64,
    /// Of these, the ones with generated content.
    pub content_frames: u64,
}

/// Durations, from a monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Timing {
    /// From the request's arrival to its end.
    pub total_ms: f64,
    /// To the first byte of the upstream's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<f64>,
    /// To the first frame with generated content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<f64>,
    /// Mean gap between content frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inter_token_ms: Option<f64>,
    /// Output tokens over the time from the first to the last content frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<f64>,
    /// Time spent in admission.
    pub guard_us: u64,
    /// Time that we added before the request went upstream, admission included.
    pub overhead_us: u64,
}

/// What a request cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Cost {
    /// Always `USD`.
    pub currency: Cow<'static, str>,
    /// Nano-USD in all.
    pub total_nano: NanoUsd,
    /// Nano-USD for the input.
    pub input_nano: NanoUsd,
    /// Nano-USD for the output.
    pub output_nano: NanoUsd,
    /// The version of the price table.
    pub price: Arc<str>,
}

/// What a request reserved of its token limits, and what it settled to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LimitsUsed {
    /// Reserved at admission.
    pub reserved_tokens: u64,
    /// Really used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_tokens: Option<u64>,
}

/// What a request asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RequestFacts {
    /// Body bytes as the client sent them.
    pub bytes: u64,
    /// The most output tokens it allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Sampling temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
}
