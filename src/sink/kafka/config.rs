//! librdkafka settings: ours, the user's over them, and the refusal of those that would break the promise that no event is
//! lost. Values may be secret: no error here shows one.

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use crate::config::Kafka;

/// Ours, each where librdkafka's own default would lose events or take too much.
const OURS: &[(&str, &str)] = &[
    ("client.id", "tollgate"),
    // Retries keep their order and make no copies; implies acks=all and at most 5 requests in flight.
    ("enable.idempotence", "true"),
    ("acks", "all"),
    // 0 is for ever. The default, 5 minutes, would be the longest outage survived without a replay.
    ("message.timeout.ms", "0"),
    // A missing topic is handed back to us after this long and retried.
    ("topic.metadata.propagation.max.ms", "30000"),
    ("allow.auto.create.topics", "false"),
    // The spool is the buffer. These only have to hold the worker's window; librdkafka's default is 1 GiB.
    ("queue.buffering.max.messages", "20000"),
    ("queue.buffering.max.kbytes", "16384"),
    ("linger.ms", "100"),
    ("batch.size", "262144"),
    ("compression.type", "zstd"),
    // The same partition for a key as Java producers choose.
    ("partitioner", "murmur2_random"),
    ("socket.keepalive.enable", "true"),
    ("reconnect.backoff.max.ms", "5000"),
    ("statistics.interval.ms", "5000"),
    // A sidecar tells nobody about itself unasked.
    ("enable.metrics.push", "false"),
];

/// librdkafka's second names: setting one must replace the other, whatever the order.
const ALIASES: &[(&str, &str)] = &[
    ("request.required.acks", "acks"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("compression.codec", "compression.type"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("message.send.max.retries", "retries"),
    ("metadata.broker.list", "bootstrap.servers"),
];

/// A setting under `events.kafka.properties` that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// It would break the promise that no event is lost.
    #[error("events.kafka.properties: `{key}` would {harm}: {remedy}")]
    Harmful {
        /// Which.
        key: String,
        /// What it would do.
        harm: &'static str,
        /// What to do instead.
        remedy: &'static str,
    },
    /// librdkafka does not know it.
    #[error("events.kafka.properties: librdkafka has no setting `{0}`: see its CONFIGURATION.md for the names")]
    Unknown(String),
    /// librdkafka does not take its value.
    #[error(
        "events.kafka.properties: librdkafka refuses the value of `{0}`: see its CONFIGURATION.md for what it takes"
    )]
    Value(String),
}

/// Whether these settings can be used. Reaches for no broker.
pub fn validate(settings: &Kafka) -> Result<(), SettingsError> {
    client_config(settings).map(drop)
}

/// The producer's settings.
pub(super) fn client_config(settings: &Kafka) -> Result<ClientConfig, SettingsError> {
    let mut config = base(settings)?;
    for (key, value) in OURS {
        if config.get(key).is_none() {
            config.set(*key, *value);
        }
    }
    Ok(config)
}

/// Only what is needed to reach the brokers, for clients that do not produce.
pub(super) fn base(settings: &Kafka) -> Result<ClientConfig, SettingsError> {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Info);
    config.set("bootstrap.servers", &settings.brokers);
    for (key, value) in &settings.properties {
        let name = ALIASES.iter().find(|alias| alias.0 == key).map_or(key.as_str(), |alias| alias.1);
        refuse_harmful(key, name, value.expose())?;
        config.set(name, value.expose());
    }
    match config.create_native_config() {
        Ok(_) => Ok(config),
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, key, _)) => {
            Err(SettingsError::Unknown(key))
        }
        Err(KafkaError::ClientConfig(_, _, key, _)) => Err(SettingsError::Value(key)),
        // A NUL byte in a name or a value.
        Err(_) => Err(SettingsError::Value("properties".to_owned())),
    }
}

fn refuse_harmful(key: &str, name: &str, value: &str) -> Result<(), SettingsError> {
    let (harm, remedy) = match (name, value.to_ascii_lowercase().as_str()) {
        ("bootstrap.servers", _) => ("name the brokers a second time", "set events.kafka.brokers"),
        ("enable.idempotence", value) if !matches!(value, "true" | "t" | "1") => {
            ("let retries reorder and repeat events", "leave it out, or set it to true")
        }
        ("acks", value) if !matches!(value, "all" | "-1") => {
            ("lose events when a broker fails", "leave it out, or set it to all")
        }
        ("message.timeout.ms", value) if value != "0" => {
            ("give events up after that time", "leave it out: events are retried until they are delivered")
        }
        ("retries", value) if value != "2147483647" => {
            ("give events up after that many tries", "leave it out: events are retried until they are delivered")
        }
        ("max.in.flight.requests.per.connection", value) if !matches!(value, "1" | "2" | "3" | "4" | "5") => {
            ("let retries reorder events", "leave it out, or set it to at most 5")
        }
        ("enable.gapless.guarantee", value) if !matches!(value, "false" | "f" | "0") => {
            ("stop all delivery at one refused event", "leave it out")
        }
        ("delivery.report.only.error", value) if !matches!(value, "false" | "f" | "0") => {
            ("hide which events were delivered", "leave it out")
        }
        ("queuing.strategy", value) if value != "fifo" => ("reorder events", "leave it out"),
        ("transactional.id", _) => ("leave events in a transaction that nobody commits", "leave it out"),
        (name, _) if name.starts_with("test.") => ("send events to a mock or fail on purpose", "leave it out"),
        _ => return Ok(()),
    };
    Err(SettingsError::Harmful { key: key.to_owned(), harm, remedy })
}

#[cfg(test)]
mod tests {
    use super::{SettingsError, client_config, validate};
    use crate::config::{Kafka, KafkaFormat};
    use crate::types::Secret;

    fn settings(properties: &[(&str, &str)]) -> Kafka {
        Kafka {
            brokers: "127.0.0.1:9".to_owned(),
            topic: "t".to_owned(),
            format: KafkaFormat::Structured,
            properties: properties.iter().map(|(k, v)| ((*k).to_owned(), Secret::new(*v))).collect(),
        }
    }

    #[test]
    fn settings_that_would_lose_events_are_refused_with_a_remedy() {
        for (key, value) in [
            ("enable.idempotence", "false"),
            ("acks", "1"),
            ("request.required.acks", "0"),
            ("message.timeout.ms", "1000"),
            ("delivery.timeout.ms", "300000"),
            ("retries", "3"),
            ("max.in.flight", "6"),
            ("enable.gapless.guarantee", "true"),
            ("delivery.report.only.error", "true"),
            ("transactional.id", "x"),
            ("metadata.broker.list", "elsewhere:9092"),
            ("test.mock.num.brokers", "3"),
        ] {
            let error = validate(&settings(&[(key, value)])).expect_err(key);
            assert!(matches!(&error, SettingsError::Harmful { key: named, .. } if named == key), "{key}: {error}");
        }
    }

    #[test]
    fn the_users_settings_win_over_ours_under_either_name() {
        let config =
            client_config(&settings(&[("queue.buffering.max.ms", "7"), ("compression.codec", "gzip")])).unwrap();
        assert_eq!(config.get("linger.ms"), Some("7"));
        assert_eq!(config.get("compression.type"), Some("gzip"));
        assert_eq!(config.get("enable.idempotence"), Some("true"));
        assert_eq!(config.get("message.timeout.ms"), Some("0"));
    }

    #[test]
    fn ours_are_all_known_to_librdkafka() {
        client_config(&settings(&[])).unwrap().create_native_config().unwrap();
    }

    #[test]
    fn no_error_shows_a_value() {
        let unknown = validate(&settings(&[("sasl.pasword", "hunter2")])).expect_err("unknown");
        assert_eq!(unknown, SettingsError::Unknown("sasl.pasword".to_owned()));
        let bad = validate(&settings(&[("security.protocol", "hunter2")])).expect_err("bad value");
        assert_eq!(bad, SettingsError::Value("security.protocol".to_owned()));
        for error in [unknown, bad] {
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
        assert!(!format!("{:?}", settings(&[("sasl.password", "hunter2")])).contains("hunter2"));
    }
}
