//! What a topic may hold besides events, and events in their other form: the ledger reads on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tollgate::config::{Kafka, KafkaFormat};
use tollgate::control::ledger::{Counters, Reader};
use tollgate::control::store::UsageAsked;
use tollgate::types::Timestamp;

use crate::control::{On, Place};
use crate::peers::{KafkaPeer, off_runtime};
use crate::support::eventually;

const TOPIC: &str = "fleet-records";
const DATA: &str = r#"{"key_id":"k","org_id":"o","model_requested":"m","outcome":"ok","usage":{"input_tokens":1,"output_tokens":1},"cost":{"total_nano":7}}"#;

fn event(id: &str, kind: &str, data: &str) -> String {
    let now = Timestamp::now();
    format!(r#"{{"specversion":"1.0","id":"{id}","type":"dev.tollgate.{kind}.v1","time":"{now}","data":{data}}}"#)
}

/// Writes all of this, and one event in binary form.
fn produce(brokers: &str, values: &[String]) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    for value in values {
        producer.send(BaseRecord::<(), _>::to(TOPIC).payload(value)).unwrap();
    }
    let now = Timestamp::now().to_string();
    let attributes = [("ce_id", "binary"), ("ce_type", "dev.tollgate.usage.v1"), ("ce_time", now.as_str())];
    let headers = attributes
        .iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(*value) }));
    producer.send(BaseRecord::<(), _>::to(TOPIC).payload(DATA).headers(headers)).unwrap();
    producer.flush(Duration::from_secs(30)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_are_no_events_are_put_aside_and_a_restart_goes_on_from_the_database() {
    let place = Place::new(On::Sqlite).await;
    let store = place.open().await;
    let values = [
        "not json".to_owned(),
        event("other", "other", "{}"),
        event("a", "usage", DATA),
        String::new(),
        event("a", "usage", DATA),
        event("lost", "loss", r#"{"spool":"s","epoch":1,"reason":"damage","first":2,"last":4}"#),
        event("b", "usage", DATA),
    ];
    let brokers = off_runtime(move || {
        let kafka = KafkaPeer::shared();
        kafka.create_topic(TOPIC, 1);
        produce(&kafka.bootstrap, &values);
        kafka.bootstrap.clone()
    })
    .await;
    let (topic, properties) = (TOPIC.to_owned(), std::iter::empty().collect());
    let kafka = Kafka { brokers: brokers.clone(), topic, format: KafkaFormat::Structured, properties };
    let counters: Arc<Counters> = Arc::default();
    let mut reader = Reader::start(&place.database, &kafka, &counters).unwrap();
    let stats = eventually("all is read", || Some(counters.read()).filter(|stats| stats.counted == 3)).await;
    assert_eq!((stats.duplicates, stats.losses, stats.dead, stats.skipped), (1, 1, 3, 0));
    assert_eq!(store.put_aside().await.unwrap(), (3, 1));
    assert_eq!(store.positions(&format!("kafka/{TOPIC}")).await.unwrap(), BTreeMap::from([(0, 8)]));
    off_runtime(move || reader.stop()).await;

    let (again, bootstrap) = (Arc::<Counters>::default(), brokers.clone());
    off_runtime(move || produce(&bootstrap, &[])).await;
    let mut reader = Reader::start(&place.database, &kafka, &again).unwrap();
    // Only what is new is read: a copy, by its id.
    let stats = eventually("the rest is read", || Some(again.read()).filter(|stats| stats.duplicates > 0)).await;
    assert_eq!((stats.counted, stats.duplicates, stats.dead), (0, 1, 0));
    off_runtime(move || reader.stop()).await;
    let rows = store.usage(&UsageAsked::default()).await.unwrap();
    assert_eq!((rows[0].totals.requests, rows[0].totals.cost.0), (3, 21));
}
