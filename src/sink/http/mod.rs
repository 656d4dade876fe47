//! Receivers by HTTP: each event is posted, alone or among others, until the receiver says that it has it.
//!
//! - A 2xx answer is a delivery. What the receiver, an operator or time can mend is tried again for ever (`verdict`); what
//!   it will never take of one event goes to the dead-letter file. A batch that is refused is sent again one by one, so
//!   that only the event at fault is put aside.
//! - Some requests are under way at once, over connections that are kept; after a failure fewer (`pace`). So events may
//!   arrive a little out of order: their numbers tell.
//! - Delivery is at least once. The event's id goes along, as `Idempotency-Key` or in the event, for receivers to drop the
//!   copies by.
//! - Redirects are not followed: no secret goes anywhere but to the URL that was configured.
//!
//! Everything runs on the worker's thread: calls go on while it waits in [`Sink::settle`].

mod calls;
mod client;
mod form;
mod log_usage;
mod pace;
mod verdict;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use tracing::warn;

use super::stats::Counters;
use super::{Fate, Offer, Offered, Rejection, Restart, Settled, Sink, Ticket, Trouble};
use crate::config::Receiver;
use calls::{Calls, Ended};
use client::Client;
use form::{Form, Told};
use pace::Pace;
use verdict::Verdict;

pub use client::{ProbeError, probe};

/// No more events join a batch that holds this many bytes.
const BATCH_BYTES: usize = 256 << 10;
/// A batch waits no longer than this for more events while others are under way.
const BATCH_WAIT: Duration = Duration::from_millis(100);

/// A receiver's settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// A header's value.
    #[error("events.http: a header or secret of receiver `{0}` has characters that no header can carry")]
    Header(Arc<str>),
    /// TLS could not be set up.
    #[error("events.http: TLS for receiver `{0}` could not be set up")]
    Tls(Arc<str>, #[source] rustls::Error),
}

/// Whether these settings can be used. Reaches for nobody.
pub(in crate::sink) fn validate(receiver: &Receiver) -> Result<(), Unusable> {
    Form::new(receiver)?;
    Client::new(receiver).map(drop)
}

/// One receiver.
pub(in crate::sink) struct HttpSink {
    name: Arc<str>,
    form: Form,
    calls: Calls,
    pace: Pace,
    batch: Batch,
    /// Refused together with others: to be sent alone.
    suspects: HashSet<Ticket>,
    /// Settled without having been sent.
    unsent: Vec<Settled>,
    counters: Arc<Counters>,
}

/// Events that are to be sent together.
#[derive(Debug, Default)]
struct Batch {
    tickets: Vec<Ticket>,
    body: Vec<u8>,
    /// When its first event came.
    begun: Option<Instant>,
}

impl fmt::Debug for HttpSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSink").field("name", &self.name).field("calls", &self.calls).finish_non_exhaustive()
    }
}

impl HttpSink {
    /// For this receiver. Calls nobody yet.
    pub(in crate::sink) fn open(receiver: &Receiver, counters: &Arc<Counters>) -> Result<Self, Restart> {
        let settings = |_| Restart(Trouble::Settings);
        let client = Client::new(receiver).map_err(settings)?;
        Ok(Self {
            name: Arc::clone(&receiver.name),
            form: Form::new(receiver).map_err(settings)?,
            calls: Calls::new(client).map_err(|error| Restart(Trouble::of_io(&error)))?,
            pace: Pace::new(receiver.in_flight),
            batch: Batch::default(),
            suspects: HashSet::new(),
            unsent: Vec::new(),
            counters: Arc::clone(counters),
        })
    }

    fn has_room(&self) -> bool {
        self.calls.under_way() < self.pace.room()
    }

    /// Sends an event by itself.
    fn offer_alone(&mut self, offered: Offered<'_>) -> Offer {
        if !self.has_room() {
            return Offer::Full;
        }
        match self.form.tell(offered.event) {
            Told::Post(post) => self.calls.begin(vec![offered.ticket], post),
            Told::Nothing => self.settle_unsent(offered.ticket, Fate::Skipped),
            Told::Never(trouble) => {
                self.settle_unsent(offered.ticket, Fate::Rejected(Rejection { trouble, code: None }));
            }
        }
        Offer::Taken
    }

    fn settle_unsent(&mut self, ticket: Ticket, fate: Fate) {
        self.unsent.push(Settled { ticket, fate });
    }

    /// Adds an event to the batch.
    fn gather(&mut self, offered: Offered<'_>, most: usize) -> Offer {
        if self.batch.is_full(most) && !self.send_batch() {
            return Offer::Full;
        }
        self.batch.add(offered);
        Offer::Taken
    }

    /// Whether there was room to send it.
    fn send_batch(&mut self) -> bool {
        let room = self.has_room();
        if room {
            let Batch { tickets, body, .. } = std::mem::take(&mut self.batch);
            self.calls.begin(tickets, form::batch(body));
        }
        room
    }

    /// A batch goes out when nothing else is under way, when it is full, or when it has waited.
    fn send_batch_when_due(&mut self) {
        let Form::Batch(most) = self.form else { return };
        let Some(begun) = self.batch.begun else { return };
        if self.calls.under_way() == 0 || self.batch.is_full(most) || begun.elapsed() >= BATCH_WAIT {
            self.send_batch();
        }
    }

    fn ended(&mut self, ended: Ended, settled: &mut Vec<Settled>) {
        let Ended { tickets, said } = ended;
        let (verdict, status) = match said {
            Ok(heard) => {
                self.counters.connected(true);
                self.pace.asked_to_wait(heard.retry_after);
                (self.form.judge(&heard), Some(heard.status))
            }
            Err(error) => {
                self.counters.connected(false);
                (Verdict::Retry(error.trouble()), None)
            }
        };
        let fate = match verdict {
            Verdict::Delivered => Fate::Delivered,
            Verdict::Refuse(trouble) if tickets.len() > 1 => {
                self.suspects.extend(&tickets);
                Fate::Retry(trouble)
            }
            Verdict::Refuse(trouble) => {
                let code = status.map(|status| i32::from(status.as_u16()));
                Fate::Rejected(Rejection { trouble, code })
            }
            Verdict::Retry(trouble) => {
                self.tell(trouble, status);
                Fate::Retry(trouble)
            }
        };
        match verdict {
            Verdict::Retry(_) => self.pace.failed(),
            Verdict::Delivered | Verdict::Refuse(_) => self.pace.worked(),
        }
        if !matches!(fate, Fate::Retry(_)) {
            self.suspects.retain(|suspect| !tickets.contains(suspect));
        }
        settled.extend(tickets.into_iter().map(|ticket| Settled { ticket, fate }));
    }

    /// Says once what is wrong. Nothing that the receiver wrote is in it but the status.
    fn tell(&self, trouble: Trouble, status: Option<StatusCode>) {
        if self.counters.trouble(trouble) {
            let (receiver, status) = (&self.name, status.map(|status| status.as_u16()));
            let reason = trouble.as_str();
            warn!(%receiver, reason, status, "a receiver does not take events now; they wait in the spool");
        }
    }
}

impl Batch {
    fn is_full(&self, most: usize) -> bool {
        self.tickets.len() >= most || self.body.len() >= BATCH_BYTES
    }

    fn add(&mut self, offered: Offered<'_>) {
        self.begun.get_or_insert_with(Instant::now);
        self.body.push(if self.body.is_empty() { b'[' } else { b',' });
        self.body.extend_from_slice(offered.event);
        self.tickets.push(offered.ticket);
    }
}

impl Sink for HttpSink {
    fn offer(&mut self, offered: Offered<'_>) -> Offer {
        match self.form {
            Form::Batch(most) if !self.suspects.contains(&offered.ticket) => self.gather(offered, most),
            _ => self.offer_alone(offered),
        }
    }

    fn settle(&mut self, wait: Duration, settled: &mut Vec<Settled>) -> Result<(), Restart> {
        self.send_batch_when_due();
        settled.append(&mut self.unsent);
        let wait = if settled.is_empty() { wait } else { Duration::ZERO };
        let ended = self.calls.ended(wait).map_err(|_| Restart(Trouble::Panic))?;
        for ended in ended {
            self.ended(ended, settled);
        }
        Ok(())
    }
}
