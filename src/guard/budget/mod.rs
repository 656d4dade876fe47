//! Holds callers to their budgets: what a call may cost is held when it is let in and settled to what it cost.
//!
//! What a key has spent belongs to its id, not to the cache or to a configuration, so neither an eviction nor a reload
//! gives anyone a fresh start. As many purses are held as keys with a budget have called. A model without a price costs
//! nothing that is known: such a call is let in with nothing held, and says so.

mod kept;
mod purse;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use dashmap::DashMap;

use super::Wants;
use super::source::Granted;
use super::stats::Counter;
use crate::types::{Budget, KeyId, KeyRecord, NanoUsd, Price, PriceTable, Returned, Slice, Timestamp, Used};
use purse::{Keeper, Purse};

pub use kept::{Kept, KeptError};
pub(super) use purse::Short;

/// The most that is reckoned for the output of a request which does not bound it.
const UNBOUNDED_OUTPUT: u64 = 1024;
/// Prices are per this many tokens.
const PER: i128 = 1_000_000;

type Shared = Arc<Mutex<Purse>>;

pub(super) struct Purses {
    by_key: DashMap<KeyId, Shared>,
    prices: ArcSwap<PriceTable>,
    unpriced: Counter,
}

/// What one call holds of its key's budget. Dropped without [`Hold::settle`], it has cost what it might.
pub(super) struct Hold {
    purse: Shared,
    held: NanoUsd,
    cost: Option<NanoUsd>,
    pub(super) is_unpriced: bool,
}

impl Purses {
    pub(super) fn new() -> Self {
        Self { by_key: DashMap::new(), prices: ArcSwap::default(), unpriced: Counter::default() }
    }

    pub(super) fn price(&self, prices: Arc<PriceTable>) {
        self.prices.store(prices);
    }

    /// Holds what a call may cost; nothing where the key has no budget.
    pub(super) fn take(&self, granted: &Granted, wants: &Wants<'_>) -> Result<Option<Hold>, Short> {
        let Some(budget) = granted.record.budget else { return Ok(None) };
        let keeper = if granted.slice.is_some() { Keeper::Authority } else { Keeper::Here };
        let now = Timestamp::now();
        let cost = self.most(wants);
        let held = cost.unwrap_or_default();
        let purse = self.purse(&granted.record.id, (budget, keeper), now);
        lock(&purse).take((budget, keeper), held, now)?;
        self.unpriced.add(u64::from(cost.is_none()));
        Ok(Some(Hold { purse, held, cost: None, is_unpriced: cost.is_none() }))
    }

    /// Takes a slice that the authority lends.
    pub(super) fn lend(&self, record: &KeyRecord, slice: &Slice) {
        let Some(budget) = record.budget else { return };
        let now = Timestamp::now();
        let purse = self.purse(&record.id, (budget, Keeper::Authority), now);
        lock(&purse).lend(budget, slice, now);
    }

    /// What was used of a budget that is lent in slices.
    pub(super) fn used(&self, record: &KeyRecord) -> Option<Used> {
        let purse = self.find(&record.id)?;
        let purse = lock(&purse);
        (purse.keeper == Keeper::Authority).then(|| purse.used())
    }

    /// Whether more of a slice should be had soon.
    pub(super) fn runs_low(&self, granted: &Granted) -> bool {
        granted.slice.is_some()
            && self.find(&granted.record.id).is_some_and(|purse| lock(&purse).runs_low(Timestamp::now()))
    }

    pub(super) fn still_short(&self, record: &KeyRecord) -> Short {
        self.find(&record.id).map_or(Short::Spent, |purse| lock(&purse).still_short())
    }

    /// Every slice that is held, to be given back.
    pub(super) fn slices(&self) -> Vec<Returned> {
        let lent = self.by_key.iter().filter(|entry| lock(entry.value()).holds_loan());
        lent.map(|entry| Returned { key_id: entry.key().clone(), used: lock(entry.value()).used() }).collect()
    }

    pub(super) fn len(&self) -> u64 {
        self.by_key.len() as u64
    }

    pub(super) fn unpriced(&self) -> u64 {
        self.unpriced.read()
    }

    fn find(&self, id: &KeyId) -> Option<Shared> {
        self.by_key.get(id).map(|purse| Arc::clone(&purse))
    }

    fn purse(&self, id: &KeyId, (budget, keeper): (Budget, Keeper), now: Timestamp) -> Shared {
        let made = || Arc::new(Mutex::new(Purse::new(budget, keeper, now)));
        self.find(id).unwrap_or_else(|| Arc::clone(&self.by_key.entry(id.clone()).or_insert_with(made)))
    }

    /// What a call may cost at most, as far as that can be told; `None` without a price.
    fn most(&self, wants: &Wants<'_>) -> Option<NanoUsd> {
        let output = wants.max_output_tokens.unwrap_or(UNBOUNDED_OUTPUT);
        if wants.input_tokens == 0 && output == 0 {
            return Some(NanoUsd(0));
        }
        let prices = self.prices.load();
        let price = prices.find(wants.model?)?;
        let (input, each) = dearest(price);
        let exact = i128::from(wants.input_tokens) * i128::from(input) + i128::from(output) * i128::from(each);
        Some(NanoUsd(i64::try_from(exact.max(0).saturating_add(PER - 1) / PER).unwrap_or(i64::MAX)))
    }
}

impl Hold {
    /// What the call really cost. Called again, it corrects the former call.
    pub(super) fn settle(&mut self, cost: NanoUsd) {
        self.cost = Some(cost);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        lock(&self.purse).settle(self.held, self.cost.unwrap_or(self.held), Timestamp::now());
    }
}

/// The highest price of an input and of an output token.
fn dearest(price: &Price) -> (i64, i64) {
    let input = [Some(price.input), price.cache_write, price.cache_write_1h];
    let output = [Some(price.output), price.reasoning];
    let most = |prices: &[Option<NanoUsd>]| prices.iter().flatten().max().map_or(0, |most| most.0);
    (most(&input), most(&output))
}

fn lock(purse: &Mutex<Purse>) -> MutexGuard<'_, Purse> {
    purse.lock().unwrap_or_else(PoisonError::into_inner)
}
