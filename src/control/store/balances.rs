//! Balances and what was paid into them. A balance may go below zero by what was in flight; the next call is refused.

use serde_json::json;
use sqlx::Row;

use super::change::Entry;
use super::limits::moment;
use super::{By, Page, Result, Store, StoreError};
use crate::types::{KeyId, NanoUsd, OrgId, Timestamp};

/// Whose money it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Payer {
    /// A key's.
    Key(KeyId),
    /// An organization's.
    Organization(OrgId),
    /// A user's; it has a balance and no spending of its own.
    User(String),
}

/// A payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Its number: the revision of the change.
    pub number: u64,
    /// How much; below zero for a correction.
    pub amount: NanoUsd,
    /// When.
    pub at: Timestamp,
    /// What for.
    pub note: String,
}

impl Payer {
    pub(super) fn columns(&self) -> (&'static str, &str) {
        match self {
            Self::Key(id) => ("key", id.as_str()),
            Self::Organization(id) => ("organization", id.as_str()),
            Self::User(id) => ("user", id),
        }
    }
}

impl Store {
    /// Pays into a balance; the balance after it. Added in the database, so that no payment is lost to another.
    pub async fn pay(&self, by: &By, payer: &Payer, (amount, note): (NanoUsd, &str)) -> Result<NanoUsd> {
        let (kind, id) = payer.columns();
        let mut change = self.change(by).await?;
        let add = "INSERT INTO balances (payer_kind, payer_id, balance_nano) VALUES ($1, $2, $3) \
                   ON CONFLICT (payer_kind, payer_id) DO UPDATE SET balance_nano = balances.balance_nano + excluded.balance_nano \
                   RETURNING balance_nano";
        let query = sqlx::query_scalar(add).bind(kind).bind(id).bind(amount.0);
        let balance: i64 = query.fetch_one(change.on()).await.map_err(StoreError::of("balance"))?;
        let text = "INSERT INTO payments (number, payer_kind, payer_id, amount_nano, at_ms, note) \
                    VALUES ($1, $2, $3, $4, $5, $6)";
        let query = sqlx::query(text).bind(change.revision()).bind(kind).bind(id).bind(amount.0);
        let query = query.bind(change.now_ms()).bind(note);
        query.execute(change.on()).await.map_err(StoreError::of("payment"))?;
        if let Payer::Key(id) = payer {
            change.revoke_key(id.as_str()).await?;
        }
        let detail = json!({"kind": kind, "amount_nano": amount.0, "balance_nano": balance, "note": note});
        change.commit(Entry { action: "balance.pay", subject: id, detail }).await?;
        Ok(NanoUsd(balance))
    }

    /// A balance; zero where nothing was ever paid.
    pub async fn balance(&self, payer: &Payer) -> Result<NanoUsd> {
        let (kind, id) = payer.columns();
        let text = "SELECT balance_nano FROM balances WHERE payer_kind = $1 AND payer_id = $2";
        let query = sqlx::query_scalar(text).bind(kind).bind(id);
        Ok(NanoUsd(query.fetch_optional(&self.read).await?.unwrap_or(0)))
    }

    /// A payer's payments, newest first.
    pub async fn payments(&self, payer: &Payer, page: Page) -> Result<Vec<Payment>> {
        let (kind, id) = payer.columns();
        let text = "SELECT number, amount_nano, at_ms, note FROM payments WHERE payer_kind = $1 AND payer_id = $2 \
                    ORDER BY number DESC LIMIT $3 OFFSET $4";
        let query = sqlx::query(text).bind(kind).bind(id).bind(page.limit()).bind(page.offset());
        let read = |row: &sqlx::any::AnyRow| {
            Ok(Payment {
                number: row.try_get::<i64, _>(0)?.unsigned_abs(),
                amount: NanoUsd(row.try_get(1)?),
                at: moment(row.try_get(2)?),
                note: row.try_get(3)?,
            })
        };
        query.fetch_all(&self.read).await?.iter().map(read).collect()
    }
}
