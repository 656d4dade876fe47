//! What the ledger writes: a batch of events, its effects and how far its source was read, in one transaction.
//!
//! An event counts once, by its id, however often it comes and whoever brings it: two processes that apply the same
//! events at once wait for each other, and the second finds them there. Rows are touched in one order by everyone, so
//! that the two cannot wait in a circle.
//!
//! It knows events only by what they add; what an event is, is for `control::ledger` to say.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::limits::millis;
use super::spending::Spending;
use super::{Result, Store};
use crate::types::{KeyId, NanoUsd, OrgId, Timestamp};

/// Rows of one insert of ids.
const IDS_AT_ONCE: usize = 100;
/// Ids of events older than this are forgotten, so events older than this cannot be told from copies and are put aside.
pub const REMEMBERED_DAYS: u64 = 90;

/// Counts of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Calls that were let through.
    pub requests: i64,
    /// Of these, those that the upstream or the way to it failed.
    pub errors: i64,
    /// Calls that were refused.
    pub rejected: i64,
    /// Calls that used tokens whose price is not known.
    pub unpriced: i64,
    /// Input tokens, cached ones included.
    pub input_tokens: i64,
    /// Output tokens, reasoning included.
    pub output_tokens: i64,
    /// Of the input, read from a cache.
    pub cache_read_tokens: i64,
    /// Of the input, written to a cache.
    pub cache_write_tokens: i64,
    /// Of the output, reasoning.
    pub reasoning_tokens: i64,
    /// What it cost.
    pub cost: NanoUsd,
}

/// What one event adds. An absent key, organization or model is the empty text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The event's id.
    pub id: String,
    /// When the call was made.
    pub at: Timestamp,
    /// The key.
    pub key: String,
    /// The organization.
    pub organization: String,
    /// The model.
    pub model: String,
    /// How much.
    pub totals: Totals,
}

/// What a spool says is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The id of the event that says so.
    pub id: String,
    /// When it was found.
    pub at: Timestamp,
    /// The spool.
    pub spool: String,
    /// Its epoch.
    pub epoch: i64,
    /// Why.
    pub reason: String,
    /// The first and the last missing number, where known.
    pub numbers: (Option<i64>, Option<i64>),
}

/// A record that is put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The partition.
    pub part: i32,
    /// The offset.
    pub position: i64,
    /// Why.
    pub reason: &'static str,
    /// Its first letters.
    pub record: String,
}

/// Events to apply together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Where they come from; positions are kept by this name.
    pub source: String,
    /// Usage.
    pub charges: Vec<Charge>,
    /// Losses.
    pub losses: Vec<Loss>,
    /// What is neither.
    pub dead: Vec<DeadLetter>,
    /// Per partition, the position after the last record of the batch.
    pub positions: BTreeMap<i32, i64>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Usage events that counted.
    pub counted: u64,
    /// Usage and loss events that were there already.
    pub duplicates: u64,
    /// Losses that were new.
    pub losses: u64,
}

impl Totals {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.rejected += other.rejected;
        self.unpriced += other.unpriced;
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.cache_read_tokens += other.cache_read_tokens;
        self.cache_write_tokens += other.cache_write_tokens;
        self.reasoning_tokens += other.reasoning_tokens;
        self.cost = self.cost.saturating_add(other.cost);
    }

    pub(super) fn columns(&self) -> [i64; 10] {
        [
            self.requests,
            self.errors,
            self.rejected,
            self.unpriced,
            self.input_tokens,
            self.output_tokens,
            self.cache_read_tokens,
            self.cache_write_tokens,
            self.reasoning_tokens,
            self.cost.0,
        ]
    }
}

impl Batch {
    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.charges.len() + self.losses.len() + self.dead.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Store {
    /// Applies a batch, or nothing of it.
    pub async fn apply(&self, batch: &Batch) -> Result<Applied> {
        let mut transaction = self.write.begin_with(self.backend.begin()).await?;
        let fresh = claim(&mut transaction, &batch.charges).await?;
        let mut applied = Applied { counted: fresh.len() as u64, ..Applied::default() };
        let mut days: BTreeMap<(i64, &str, &str, &str), Totals> = BTreeMap::new();
        let mut spending = Spending::default();
        for charge in &fresh {
            let day = (charge.at.as_millis() / 86_400_000) as i64;
            let row = (day, charge.key.as_str(), charge.organization.as_str(), charge.model.as_str());
            days.entry(row).or_default().add(&charge.totals);
            if !charge.key.is_empty() {
                let key = KeyId::new(charge.key.as_str());
                // An id is the life of the spool that it is from, and a number.
                if let Some((holder, _)) = charge.id.rsplit_once('-').filter(|(holder, _)| !holder.is_empty()) {
                    spending.add_held((&key, holder), charge.at, charge.totals.cost);
                }
                spending.add(&super::Payer::Key(key), charge.at, charge.totals.cost);
            }
            if !charge.organization.is_empty() {
                let organization = super::Payer::Organization(OrgId::new(charge.organization.as_str()));
                spending.add(&organization, charge.at, charge.totals.cost);
            }
        }
        for (row, totals) in &days {
            add_totals(&mut transaction, *row, totals).await?;
        }
        spending.write(&mut transaction).await?;
        applied.losses = write_losses(&mut transaction, &batch.losses).await?;
        write_dead(&mut transaction, batch).await?;
        write_positions(&mut transaction, batch).await?;
        transaction.commit().await?;
        let events = (batch.charges.len() + batch.losses.len()) as u64;
        applied.duplicates = events.saturating_sub(applied.counted + applied.losses);
        Ok(applied)
    }

    /// How far a source was read, per partition: the position to go on from.
    pub async fn positions(&self, source: &str) -> Result<BTreeMap<i32, i64>> {
        let text = "SELECT part, position FROM ledger_offsets WHERE source = $1";
        let rows = sqlx::query(text).bind(source).fetch_all(&self.read).await?;
        let read = |row: &sqlx::any::AnyRow| Ok((row.try_get::<i64, _>(0)? as i32, row.try_get(1)?));
        rows.iter().map(read).collect()
    }

    /// Forgets the ids of events older than [`REMEMBERED_DAYS`], and who held what in periods that began before; how
    /// many ids.
    pub async fn forget_applied(&self, now: Timestamp) -> Result<u64> {
        let before = millis(remembered_since(now));
        let text = "DELETE FROM life_spend WHERE start_ms > 0 AND start_ms < $1";
        sqlx::query(text).bind(before).execute(&self.write).await?;
        let done = sqlx::query("DELETE FROM applied_events WHERE at_ms < $1").bind(before).execute(&self.write).await?;
        Ok(done.rows_affected())
    }

    /// How many records were put aside, and how many losses are known.
    pub async fn put_aside(&self) -> Result<(u64, u64)> {
        let text = "SELECT (SELECT COUNT(*) FROM dead_letters), (SELECT COUNT(*) FROM losses)";
        let row = sqlx::query(text).fetch_one(&self.read).await?;
        Ok((row.try_get::<i64, _>(0)?.unsigned_abs(), row.try_get::<i64, _>(1)?.unsigned_abs()))
    }
}

/// From when on an event's id is remembered.
pub fn remembered_since(now: Timestamp) -> Timestamp {
    Timestamp::from_millis(now.as_millis().saturating_sub(REMEMBERED_DAYS * 86_400_000))
}

/// Notes the ids; the events among them that were not there.
async fn claim<'a>(connection: &mut AnyConnection, charges: &'a [Charge]) -> Result<Vec<&'a Charge>> {
    let by_id: BTreeMap<&str, &Charge> = charges.iter().map(|charge| (charge.id.as_str(), charge)).collect();
    let ordered: Vec<&Charge> = by_id.values().copied().collect();
    let mut fresh = Vec::with_capacity(ordered.len());
    for some in ordered.chunks(IDS_AT_ONCE) {
        let rows: Vec<_> = (0..some.len()).map(|at| format!("(${}, ${})", 2 * at + 1, 2 * at + 2)).collect();
        let text = format!(
            "INSERT INTO applied_events (event_id, at_ms) VALUES {} ON CONFLICT (event_id) DO NOTHING RETURNING event_id",
            rows.join(", ")
        );
        let mut query = sqlx::query_scalar::<_, String>(AssertSqlSafe(text));
        for charge in some {
            query = query.bind(charge.id.as_str()).bind(millis(charge.at));
        }
        let new: BTreeSet<String> = query.fetch_all(&mut *connection).await?.into_iter().collect();
        fresh.extend(some.iter().copied().filter(|charge| new.contains(&charge.id)));
    }
    Ok(fresh)
}

async fn add_totals(connection: &mut AnyConnection, row: (i64, &str, &str, &str), totals: &Totals) -> Result<()> {
    let text = "INSERT INTO daily_totals (day, key_id, organization_id, model, requests, errors, rejected, unpriced, \
                input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_nano) \
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
                ON CONFLICT (day, key_id, organization_id, model) DO UPDATE SET \
                requests = daily_totals.requests + excluded.requests, errors = daily_totals.errors + excluded.errors, \
                rejected = daily_totals.rejected + excluded.rejected, \
                unpriced = daily_totals.unpriced + excluded.unpriced, \
                input_tokens = daily_totals.input_tokens + excluded.input_tokens, \
                output_tokens = daily_totals.output_tokens + excluded.output_tokens, \
                cache_read_tokens = daily_totals.cache_read_tokens + excluded.cache_read_tokens, \
                cache_write_tokens = daily_totals.cache_write_tokens + excluded.cache_write_tokens, \
                reasoning_tokens = daily_totals.reasoning_tokens + excluded.reasoning_tokens, \
                cost_nano = daily_totals.cost_nano + excluded.cost_nano";
    let (day, key, organization, model) = row;
    let mut query = sqlx::query(text).bind(day).bind(key).bind(organization).bind(model);
    for value in totals.columns() {
        query = query.bind(value);
    }
    query.execute(connection).await?;
    Ok(())
}

async fn write_losses(connection: &mut AnyConnection, losses: &[Loss]) -> Result<u64> {
    let text = "INSERT INTO losses (event_id, at_ms, spool, epoch, reason, first_number, last_number) \
                VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (event_id) DO NOTHING";
    let ordered: BTreeMap<&str, &Loss> = losses.iter().map(|loss| (loss.id.as_str(), loss)).collect();
    let mut new = 0;
    for loss in ordered.values() {
        let query = sqlx::query(text).bind(loss.id.as_str()).bind(millis(loss.at)).bind(loss.spool.as_str());
        let query = query.bind(loss.epoch).bind(loss.reason.as_str()).bind(loss.numbers.0).bind(loss.numbers.1);
        new += query.execute(&mut *connection).await?.rows_affected();
    }
    Ok(new)
}

async fn write_dead(connection: &mut AnyConnection, batch: &Batch) -> Result<()> {
    let text = "INSERT INTO dead_letters (source, part, position, at_ms, reason, record) \
                VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (source, part, position) DO NOTHING";
    let now = millis(Timestamp::now());
    for dead in &batch.dead {
        let query = sqlx::query(text).bind(batch.source.as_str()).bind(i64::from(dead.part)).bind(dead.position);
        query.bind(now).bind(dead.reason).bind(dead.record.as_str()).execute(&mut *connection).await?;
    }
    Ok(())
}

/// As written, not the larger of the two: everything below a position that anyone writes is applied, and a topic that
/// was made anew begins at 0 again.
async fn write_positions(connection: &mut AnyConnection, batch: &Batch) -> Result<()> {
    let text = "INSERT INTO ledger_offsets (source, part, position) VALUES ($1, $2, $3) \
                ON CONFLICT (source, part) DO UPDATE SET position = excluded.position";
    for (part, position) in &batch.positions {
        let query = sqlx::query(text).bind(batch.source.as_str()).bind(i64::from(*part)).bind(*position);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}
