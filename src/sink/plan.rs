//! From the configuration to sinks that can be started: everything that can be wrong with the settings is found here.

use std::fmt;
use std::sync::Arc;

use super::file::FileSink;
use super::http::{HttpSink, Unusable};
#[cfg(feature = "kafka")]
use super::kafka::{KafkaSink, SettingsError};
use super::stats::Counters;
use super::worker::MakeSink;
use super::{Restart, Sink};
use crate::config;

/// A sink that is configured and checked, but not started.
#[derive(Clone, Debug)]
pub struct Plan {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    #[cfg(feature = "kafka")]
    Kafka(config::Kafka),
    File(config::File),
    Http(config::Receiver),
    Given(&'static str, MakeGiven),
}

/// Makes a sink that this module does not know, on its thread, now and whenever it must be made anew.
pub type MakeGiven = Arc<dyn Fn() -> Result<Box<dyn Sink>, Restart> + Send + Sync>;

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Kind {
    fn name(&self) -> Arc<str> {
        match self {
            #[cfg(feature = "kafka")]
            Self::Kafka(_) => "kafka".into(),
            Self::File(_) => "file".into(),
            Self::Http(receiver) => format!("http-{}", receiver.name).into(),
            Self::Given(name, _) => (*name).into(),
        }
    }
}

/// The sinks cannot be started as configured.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Kafka is configured but not built in.
    #[error(
        "events.kafka is configured, but this build has no Kafka: build with `--features kafka`, or use events.file instead"
    )]
    KafkaNotBuilt,
    /// A Kafka setting is refused.
    #[cfg(feature = "kafka")]
    #[error(transparent)]
    Kafka(#[from] SettingsError),
    /// A receiver's settings cannot be used.
    #[error(transparent)]
    Http(#[from] Unusable),
    /// No thread could be started.
    #[error("the thread of sink `{sink}` cannot be started")]
    Thread {
        /// Which sink.
        sink: Arc<str>,
        /// Why.
        source: std::io::Error,
    },
}

impl Plan {
    /// Every sink that is configured. Each needs a feed of its own, found by [`Plan::name`].
    pub fn all(events: &config::Events) -> Result<Vec<Self>, SinkError> {
        let mut plans = Vec::new();
        if let Some(kafka) = &events.kafka {
            plans.push(Self { kind: plan_kafka(kafka)? });
        }
        if let Some(file) = &events.file {
            plans.push(Self { kind: Kind::File(file.clone()) });
        }
        for receiver in &events.http {
            super::http::validate(receiver)?;
            plans.push(Self { kind: Kind::Http(receiver.clone()) });
        }
        Ok(plans)
    }

    /// A sink that someone else makes, under a name of its own.
    pub fn given(name: &'static str, make: MakeGiven) -> Self {
        Self { kind: Kind::Given(name, make) }
    }

    /// The sink's name: `kafka`, `file`, `http-` and its receiver's, or that of a given one. It names the sink's mark in the spool, so it never changes.
    pub fn name(&self) -> Arc<str> {
        self.kind.name()
    }

    /// How to make the sink.
    pub(super) fn maker(self, counters: Arc<Counters>) -> MakeSink {
        match self.kind {
            #[cfg(feature = "kafka")]
            Kind::Kafka(settings) => Box::new(move || {
                let sink: Box<dyn Sink> = Box::new(KafkaSink::open(&settings, &counters)?);
                Ok(sink)
            }),
            Kind::File(settings) => Box::new(move || {
                let sink: Box<dyn Sink> = Box::new(FileSink::new(&settings.path, Arc::clone(&counters)));
                Ok(sink)
            }),
            Kind::Http(receiver) => Box::new(move || {
                let sink: Box<dyn Sink> = Box::new(HttpSink::open(&receiver, &counters)?);
                Ok(sink)
            }),
            Kind::Given(_, make) => Box::new(move || make()),
        }
    }
}

#[cfg(feature = "kafka")]
fn plan_kafka(settings: &config::Kafka) -> Result<Kind, SinkError> {
    super::kafka::validate(settings)?;
    Ok(Kind::Kafka(settings.clone()))
}

#[cfg(not(feature = "kafka"))]
fn plan_kafka(_: &config::Kafka) -> Result<Kind, SinkError> {
    Err(SinkError::KafkaNotBuilt)
}
