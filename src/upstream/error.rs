//! What went wrong on the way to an upstream: at which step, whose fault it was, and whether anything can have reached
//! the model.
//!
//! A failure holds its cause for the log and no part of the request. `code` is the event's `error`; `reject` is what
//! the client is told while no byte of the answer has been sent yet. Nothing here retries: `may_retry` only says that
//! a retry cannot make the model run twice.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::reject::Reject;

/// Any error, for the log.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// How far a call had come when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Making the upstream's request out of the client's.
    Rewrite,
    /// To a connection, TLS included.
    Connect,
    /// Sending the request.
    Send,
    /// The request is sent, the answer's head is not there.
    FirstByte,
    /// The head is there, the body is not whole.
    Body,
}

/// Whose failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The upstream's, or the network's on the way to it.
    Upstream,
    /// The client's.
    Client,
    /// Nobody's: this process ends.
    Ours,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The name did not resolve, or no address accepted a connection.
    Unreachable,
    /// No connection within `timeouts.connect`.
    ConnectTimeout,
    /// The TLS handshake failed.
    Tls,
    /// The connection ended, and the upstream cannot have read the whole request.
    NotSent,
    /// The connection ended too early.
    Reset,
    /// What came is not HTTP, or an answer nobody asked for.
    Invalid,
    /// No head within `timeouts.first_byte`.
    FirstByteTimeout,
    /// No frame within `timeouts.idle`.
    IdleTimeout,
    /// The client's body broke off, or stopped coming.
    ClientBroke,
    /// The client's body is larger than this many bytes.
    ClientTooLarge(u64),
    /// The request cannot be forwarded, and why.
    NotForwardable(Reject),
    /// This process ends.
    ShuttingDown,
}

/// A call that failed.
#[derive(Debug)]
pub struct Failure {
    /// How far it had come.
    pub step: Step,
    /// What happened.
    pub cause: Cause,
    source: Option<BoxError>,
}

impl Failure {
    pub(super) fn new(step: Step, cause: Cause) -> Self {
        Self { step, cause, source: None }
    }

    /// An answer under way is cut, for this process ends.
    pub fn shutting_down() -> Self {
        Self::new(Step::Body, Cause::ShuttingDown)
    }

    pub(super) fn with(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whose failure it was.
    pub fn blame(&self) -> Blame {
        match self.cause {
            Cause::ClientBroke | Cause::ClientTooLarge(_) | Cause::NotForwardable(_) => Blame::Client,
            Cause::ShuttingDown => Blame::Ours,
            _ => Blame::Upstream,
        }
    }

    /// A word of a small closed set, for the event's `error`.
    pub fn code(&self) -> &'static str {
        match &self.cause {
            Cause::Unreachable | Cause::NotSent => "upstream_connect_failed",
            Cause::ConnectTimeout => "upstream_connect_timeout",
            Cause::Tls => "upstream_tls_failed",
            Cause::Reset => "upstream_reset",
            Cause::Invalid => "upstream_invalid_answer",
            Cause::FirstByteTimeout => "upstream_first_byte_timeout",
            Cause::IdleTimeout => "upstream_idle_timeout",
            Cause::ClientBroke => "client_body_broken",
            Cause::ClientTooLarge(_) => "client_body_too_large",
            Cause::NotForwardable(reject) => reject.row().code,
            Cause::ShuttingDown => "shutdown",
        }
    }

    /// What the client is told, as long as no byte of the answer was sent.
    pub fn reject(&self) -> Reject {
        match &self.cause {
            Cause::Unreachable | Cause::NotSent | Cause::Tls => Reject::UpstreamUnreachable,
            Cause::ConnectTimeout | Cause::FirstByteTimeout | Cause::IdleTimeout => Reject::UpstreamTimeout,
            Cause::Reset | Cause::Invalid => Reject::UpstreamBroken,
            Cause::ClientBroke => Reject::BodyBroken,
            Cause::ClientTooLarge(limit) => Reject::BodyTooLarge { limit: *limit },
            Cause::NotForwardable(reject) => reject.clone(),
            Cause::ShuttingDown => Reject::ShuttingDown,
        }
    }

    /// What the client is told in the middle of a stream, where the fault is not its own.
    pub fn mid_stream(&self) -> Option<Reject> {
        match (self.blame(), &self.cause) {
            (Blame::Client, _) => None,
            (Blame::Ours, _) => Some(Reject::ShuttingDown),
            (_, Cause::IdleTimeout) => Some(Reject::UpstreamStalled),
            _ => Some(Reject::UpstreamCut),
        }
    }

    /// Whether nothing can have reached the model, so that trying again cannot make it run twice.
    pub fn may_retry(&self) -> bool {
        matches!(self.cause, Cause::Unreachable | Cause::ConnectTimeout | Cause::Tls | Cause::NotSent)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at step {:?}", self.code(), self.step)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
    #[error("the TLS handshake failed")]
    Tls(#[source] BoxError),
    #[error("no address accepted a connection")]
    Unreachable(#[source] BoxError),
}

impl ConnectError {
    pub(super) fn cause(&self) -> Cause {
        match self {
            Self::TimedOut(_) => Cause::ConnectTimeout,
            Self::Tls(_) => Cause::Tls,
            Self::Unreachable(_) => Cause::Unreachable,
        }
    }
}

/// The first error of this type in a chain, the error itself included.
pub(super) fn find<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}

/// Why the set of upstreams cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamsError {
    /// The URL has no scheme or host to call, or the scheme is neither `http` nor `https`.
    #[error("upstream {0}: the url must be http://HOST or https://HOST")]
    Url(String),
    /// The URL holds a user or password.
    #[error("upstream {0}: the url must not hold a user or password; use `credential`")]
    UserInfo(String),
    /// The credential cannot be the value of a header.
    #[error("upstream {0}: the credential has characters that no header can carry")]
    Credential(String),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}
