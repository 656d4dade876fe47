//! The proof that no usage is lost: Tollgate is killed again and again under load, and every answer that a client has
//! read to its end must have its event.
//!
//! The driver knows what it asked and what it got; the oracle reads what the sinks have and compares. Twenty kills are
//! part of every run; `make soak KILLS=1000` makes more of the same. No failure in N kills bounds the rate of failures at
//! 3/N with 95 % confidence; the figures are printed.

mod cluster;
mod driver;
mod last_byte;
mod oracle;
pub(crate) mod upstream;
mod victim;

use std::time::{Duration, Instant};

use crate::peers::{KafkaPeer, off_runtime};
use cluster::Cluster;
use driver::Load;
use oracle::Oracle;
use upstream::Upstream;
use victim::Place;

/// Names how often to kill in place of the small number.
const KILLS: &str = "TOLLGATE_TEST_KILLS";
const FEW_KILLS: usize = 20;
const WORKERS: usize = 16;
/// How long a life lasts once it serves.
const LIFE_MS: std::ops::Range<u64> = 50..1200;

fn kills() -> usize {
    let given = std::env::var_os(KILLS).and_then(|text| text.into_string().ok());
    given.map_or(FEW_KILLS, |text| text.parse().expect("a number of kills"))
}

/// Every fourth life waits for the disk; none of them may lose more for what the one before it was.
fn sync_of(life: usize) -> &'static str {
    if life % 4 == 3 { "disk" } else { "process" }
}

fn life(rng: &mut fastrand::Rng) -> Duration {
    Duration::from_millis(rng.u64(LIFE_MS))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_completed_answer_loses_its_event_however_often_the_process_is_killed_while_kafka_flaps() {
    let (kills, seed) = (kills(), fastrand::u64(..));
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let cluster = off_runtime(Cluster::start).await;
    let upstream = Upstream::start().await;
    let place = Place::new(&upstream.url(), &cluster.bootstrap);
    let oracle = Oracle::watch(&cluster.bootstrap, victim::TOPIC, place.events());
    let started = Instant::now();
    let load = Load::start(WORKERS, seed);
    for kill in 0..kills {
        place.sync(sync_of(kill));
        let victim = victim::start(&place).await;
        load.aim_at(victim.address);
        tokio::time::sleep(life(&mut rng)).await;
        victim.kill().await;
    }
    let log = load.stop().await;
    cluster.calm();
    let figures = oracle.judge(&place, log, kills).await;
    println!("{figures}; {:.1?} in all", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_completed_answer_loses_its_event_when_a_real_broker_is_killed_too() {
    let kills = 6;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut kafka = off_runtime(|| {
        let kafka = KafkaPeer::alone();
        kafka.create_topic(victim::TOPIC, 3);
        kafka
    })
    .await;
    let upstream = Upstream::start().await;
    let place = Place::new(&upstream.url(), &kafka.bootstrap);
    let oracle = Oracle::watch(&kafka.bootstrap, victim::TOPIC, place.events());
    let started = Instant::now();
    let load = Load::start(WORKERS, seed);
    for kill in 0..kills {
        let victim = victim::start(&place).await;
        load.aim_at(victim.address);
        tokio::time::sleep(life(&mut rng)).await;
        // Dead while Tollgate dies, and back while it is starting or serving.
        if kill == 1 || kill == 3 {
            kafka = off_runtime(move || {
                kafka.stop();
                kafka
            })
            .await;
        }
        tokio::time::sleep(life(&mut rng)).await;
        victim.kill().await;
        if kill == 2 || kill == 3 {
            kafka = off_runtime(move || {
                kafka.stop();
                kafka.start();
                kafka
            })
            .await;
        }
    }
    let log = load.stop().await;
    let figures = oracle.judge(&place, log, kills).await;
    let bootstrap = kafka.bootstrap.clone();
    off_runtime(move || victim::audit(&["--brokers", &bootstrap, "--topic", victim::TOPIC])).await;
    println!("{figures}; {:.1?} in all", started.elapsed());
}
