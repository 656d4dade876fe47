//! The Kafka sink: hands records to librdkafka and turns its delivery reports into fates.
//!
//! A broker refuses a whole batch for one bad record and does not say which. So a refused record is suspect first: it is
//! sent again with nothing else in flight, and only if it is refused alone is it rejected for good. The others arrive.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tracing::error;

use super::classify::{Verdict, classify};
use super::config::client_config;
use super::context::{Context, Report, code};
use super::message;
use crate::config::{Kafka, KafkaFormat};
use crate::sink::stats::Counters;
use crate::sink::{Fate, Offer, Offered, Rejection, Restart, Settled, Sink, Ticket, Trouble};

/// A topic that librdkafka holds to be missing or forbidden is asked after at most this often.
const REFRESH: Duration = Duration::from_secs(1);
/// So many events of librdkafka's are handled at once: an event has the reports of many records.
const EVENTS: usize = 1_000;

/// One producer for one topic.
pub(in crate::sink) struct KafkaSink {
    producer: BaseProducer<Context>,
    topic: String,
    format: KafkaFormat,
    in_flight: usize,
    /// Refused together with others: to be sent alone.
    suspects: HashSet<Ticket>,
    /// The suspect that is in flight, alone.
    alone: Option<Ticket>,
    /// Settled without having been sent.
    unsent: Vec<Settled>,
    refresh: Refresh,
}

/// Whether librdkafka should ask after the topic.
enum Refresh {
    NotNeeded,
    From(Instant),
}

impl fmt::Debug for KafkaSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSink")
            .field("topic", &self.topic)
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}

impl KafkaSink {
    /// Makes the producer. Does not wait for a broker; fails only if librdkafka cannot be set up, for example when a
    /// certificate file is missing.
    pub(in crate::sink) fn open(settings: &Kafka, counters: &Arc<Counters>) -> Result<Self, Restart> {
        let config = client_config(settings).map_err(|_| Restart(Trouble::Settings))?;
        let context = Context::new(Arc::clone(counters));
        let producer = config.create_with_context(context).map_err(|error| not_set_up(&error, counters))?;
        Ok(Self {
            producer,
            topic: settings.topic.clone(),
            format: settings.format,
            in_flight: 0,
            suspects: HashSet::new(),
            alone: None,
            unsent: Vec::new(),
            refresh: Refresh::NotNeeded,
        })
    }

    fn send(&mut self, offered: Offered<'_>) -> Result<(), RDKafkaErrorCode> {
        let message = message::build(offered.event, self.format).map_err(|_| RDKafkaErrorCode::ValueSerialization)?;
        let record =
            BaseRecord::with_opaque_to(&self.topic, offered.ticket.0).payload(message.value).headers(message.headers);
        let record = if offered.key.is_empty() { record } else { record.key(offered.key) };
        self.producer.send(record).map_err(|(error, _)| code(&error))
    }

    /// A record that librdkafka did not take has failed on its own account.
    fn not_sent(&mut self, ticket: Ticket, code: RDKafkaErrorCode) {
        let fate = match classify(code) {
            Verdict::Refuse(trouble) => Fate::Rejected(Rejection { trouble, code: Some(code as i32) }),
            Verdict::Retry(trouble) => Fate::Retry(trouble),
            Verdict::Fatal => Fate::Retry(Trouble::Fatal),
        };
        self.suspects.remove(&ticket);
        self.unsent.push(Settled { ticket, fate });
        self.ask_after_topic(fate);
    }

    /// Takes whatever librdkafka has to say; whether that was the end of this producer.
    ///
    /// It is never waited for within `poll`: that spins through the last millisecond of every wait, 1 to 4 % of a core.
    fn hear(&mut self, settled: &mut Vec<Settled>) -> bool {
        // Polling for no time at all handles one event only, and there may be many.
        for _ in 0..EVENTS {
            let calls = self.producer.context().calls();
            self.producer.poll(Duration::ZERO);
            if self.producer.context().calls() == calls {
                break;
            }
        }
        let reports = self.producer.context().take_reports();
        let mut fatal = self.producer.context().is_finished();
        for report in reports {
            let fate = self.reported(report);
            fatal |= fate.fate == Fate::Retry(Trouble::Fatal);
            settled.push(fate);
        }
        fatal
    }

    fn reported(&mut self, (ticket, said): Report) -> Settled {
        self.in_flight = self.in_flight.saturating_sub(1);
        let was_alone = self.alone.take_if(|alone| *alone == ticket).is_some();
        self.suspects.remove(&ticket);
        let fate = match said.map_err(|code| (code, classify(code))) {
            Ok(()) => Fate::Delivered,
            Err((code, Verdict::Refuse(trouble))) if was_alone => {
                Fate::Rejected(Rejection { trouble, code: Some(code as i32) })
            }
            Err((_, Verdict::Refuse(trouble))) => {
                self.suspects.insert(ticket);
                Fate::Retry(trouble)
            }
            Err((_, Verdict::Retry(trouble))) => Fate::Retry(trouble),
            Err((_, Verdict::Fatal)) => Fate::Retry(Trouble::Fatal),
        };
        self.ask_after_topic(fate);
        Settled { ticket, fate }
    }

    /// librdkafka remembers that a topic is missing or forbidden for up to five minutes; asking makes it look again.
    fn ask_after_topic(&mut self, fate: Fate) {
        let topical = matches!(fate, Fate::Retry(Trouble::Topic | Trouble::Authorization));
        if topical && matches!(self.refresh, Refresh::NotNeeded) {
            self.refresh = Refresh::From(Instant::now());
        }
    }

    fn refresh_topic(&mut self) {
        let Refresh::From(due) = self.refresh else { return };
        if due > Instant::now() {
            return;
        }
        // The answer updates librdkafka's own view; what it says is seen at the next offer.
        let seen = self.producer.client().fetch_metadata(Some(&self.topic), Duration::from_millis(500));
        let exists = seen.is_ok_and(|seen| seen.topics().iter().any(|topic| !topic.partitions().is_empty()));
        self.refresh = if exists { Refresh::NotNeeded } else { Refresh::From(Instant::now() + REFRESH) };
    }
}

/// Tells why, once: it is tried again every few seconds, since a certificate may yet be mounted.
fn not_set_up(error: &KafkaError, counters: &Counters) -> Restart {
    // Other errors than this one would show the value of a setting.
    let why = if let KafkaError::ClientCreation(why) = error { why.as_str() } else { "a setting is refused" };
    if counters.trouble(Trouble::Settings) {
        error!(sink = "kafka", why, "the Kafka client cannot be set up; events wait in the spool");
    }
    Restart(Trouble::Settings)
}

impl Sink for KafkaSink {
    fn offer(&mut self, offered: Offered<'_>) -> Offer {
        let suspect = self.suspects.contains(&offered.ticket);
        if self.alone.is_some() || (suspect && self.in_flight > 0) {
            return Offer::Full;
        }
        match self.send(offered) {
            Ok(()) => {
                self.in_flight += 1;
                self.alone = suspect.then_some(offered.ticket);
            }
            Err(RDKafkaErrorCode::QueueFull) => return Offer::Full,
            Err(code) => self.not_sent(offered.ticket, code),
        }
        Offer::Taken
    }

    fn settle(&mut self, wait: Duration, settled: &mut Vec<Settled>) -> Result<(), Restart> {
        self.refresh_topic();
        settled.append(&mut self.unsent);
        let mut fatal = self.hear(settled);
        if settled.is_empty() && !fatal && !wait.is_zero() {
            std::thread::sleep(wait);
            fatal = self.hear(settled);
        }
        if fatal { Err(Restart(Trouble::Fatal)) } else { Ok(()) }
    }
}
