//! Carries messages to the store and back, one round trip at a time, for as long as it is polled.
//!
//! A round takes everything that is ready, so the more there is to say, the more one round trip says. A round that
//! fails or is late ends the connection: from then on nobody asks, until another one stands. Tries to connect are
//! spaced by a growing, jittered pause.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::message::{Ask, Terms, Told};
use super::pool::{LEASE, Look, Pool, Waiter};
use super::share::Share;
use super::wire::{StoreError, Wire};
use super::{Store, lock};

/// Messages in one round trip; more wait for the next.
const MOST_MESSAGES: usize = 512;
/// Time to connect, sign in included.
const CONNECT: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(500);
const LEAVING: Duration = Duration::from_secs(1);
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// One message on its way.
struct Sent {
    pool: Arc<Pool>,
    ask: Ask,
    waited: Vec<Waiter>,
}

/// While it lives the store is asked. However its owner ends, those who wait are let go.
struct Presence<'a>(&'a Store);

impl Store {
    /// Runs until it is dropped.
    pub(in crate::guard::limit) async fn run(self: &Arc<Self>) {
        let mut pause = SHORTEST_PAUSE;
        let mut told = String::new();
        loop {
            let before = self.counters.round_trips.read();
            let error = match self.connect().await {
                Ok(mut wire) => {
                    tracing::info!("limits are shared through the store");
                    told.clear();
                    self.serve(&mut wire).await
                }
                Err(error) => error,
            };
            let why = error.to_string();
            if why != told {
                tracing::warn!(%error, "the store of limits is away");
                told = why;
            }
            if self.counters.round_trips.read() > before {
                pause = SHORTEST_PAUSE;
            }
            // Jitter keeps a fleet from coming back at the same moment.
            sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Gives back what is held ahead, and says what is still in flight: the process ends.
    pub(in crate::guard::limit) async fn leave(self: &Arc<Self>) {
        let leaving = async {
            let mut wire = self.connect().await?;
            // What is held ahead is given back once it counts as unused.
            let later = Instant::now() + LEASE;
            self.say_all();
            self.carry(&mut wire, later).await
        };
        if !matches!(timeout(LEAVING, leaving).await, Ok(Ok(()))) {
            tracing::warn!("what was held of shared limits could not be given back: it ends by time");
        }
    }

    /// A connection that has run the script: one that may not would be found out by the first request else.
    pub(super) async fn connect(&self) -> Result<Wire, StoreError> {
        timeout(CONNECT, self.open()).await.map_err(|_| StoreError::Late(CONNECT))?
    }

    async fn open(&self) -> Result<Wire, StoreError> {
        let mut wire = Wire::open(&self.settings).await?;
        let requests = Terms { limit: Some(1), ..Terms::default() };
        let (tokens, slots) = (Terms::default(), Terms::default());
        let key = format!("{}:{{check}}", self.settings.prefix).into();
        wire.exchange(&self.holder, &[Ask { key, requests, tokens, slots, needs: Vec::new() }]).await?;
        Ok(wire)
    }

    /// Until the connection is lost. The first round says all that a new connection must.
    async fn serve(self: &Arc<Self>, wire: &mut Wire) -> StoreError {
        let _present = Presence::new(self);
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.say_all();
        loop {
            if let Err(error) = self.carry(wire, Instant::now()).await {
                return error;
            }
            tokio::select! {
                () = self.wake.notified() => {}
                _ = look.tick() => self.look(),
                error = wire.lost() => return error,
            }
        }
    }

    /// Rounds until there is nothing left to say.
    async fn carry(self: &Arc<Self>, wire: &mut Wire, now: Instant) -> Result<(), StoreError> {
        loop {
            let round = self.round(now.max(Instant::now()));
            if round.is_empty() {
                return Ok(());
            }
            self.exchange(wire, round).await?;
        }
    }

    fn round(&self, now: Instant) -> Vec<Sent> {
        let mut ready = lock(&self.ready);
        let count = ready.len().min(MOST_MESSAGES);
        let pools: Vec<_> = ready.drain(..count).collect();
        drop(ready);
        let sent = pools.into_iter().map(|pool| {
            let (ask, waited) = pool.ask(now);
            Sent { pool, ask, waited }
        });
        sent.collect()
    }

    async fn exchange(self: &Arc<Self>, wire: &mut Wire, round: Vec<Sent>) -> Result<(), StoreError> {
        let asks: Vec<Ask> = round.iter().map(|sent| sent.ask.clone()).collect();
        let patience = self.settings.timeout;
        let answered = timeout(patience, wire.exchange(&self.holder, &asks)).await;
        match answered.unwrap_or(Err(StoreError::Late(patience))) {
            Ok(told) => {
                self.counters.round_trips.add(1);
                for (sent, told) in round.into_iter().zip(told) {
                    self.hand_out(sent, &told);
                }
                Ok(())
            }
            Err(error) => {
                for sent in &round {
                    sent.pool.unanswered(&sent.ask);
                }
                Err(error)
            }
        }
    }

    fn hand_out(self: &Arc<Self>, sent: Sent, told: &Told) {
        let Sent { pool, waited, .. } = sent;
        let (outcomes, next) = pool.told(told, &waited, Instant::now());
        self.enqueue(&pool, next);
        for (waiter, outcome) in waited.into_iter().zip(outcomes) {
            let share = outcome.map(|given| Share::offered(Arc::clone(self), Arc::clone(&pool), given));
            // Who has left meanwhile gives it back: a share does when it is dropped.
            drop(waiter.answer.send(share));
        }
    }

    fn look(&self) {
        let now = Instant::now();
        let mut due = Vec::new();
        lock(&self.tracked).retain(|pool| match pool.look(now) {
            Look::Keep(next) => {
                due.push((Arc::clone(pool), next));
                true
            }
            Look::LetGo => false,
        });
        for (pool, next) in due {
            self.enqueue(&pool, next);
        }
    }

    fn say_all(&self) {
        let tracked = lock(&self.tracked).clone();
        for pool in tracked {
            self.enqueue(&pool, pool.tell());
        }
    }
}

impl<'a> Presence<'a> {
    fn new(store: &'a Store) -> Self {
        store.is_up.store(true, Ordering::Release);
        store.came_up.notify_waiters();
        Self(store)
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        let Self(store) = self;
        store.is_up.store(false, Ordering::Release);
        store.counters.losses.add(1);
        let ready = std::mem::take(&mut *lock(&store.ready));
        let tracked = lock(&store.tracked).clone();
        for pool in ready.iter().chain(&tracked) {
            pool.lost();
        }
    }
}
