//! Models that are listed, and their prices from a date on.

use serde_json::json;
use sqlx::Row;

use super::change::Entry;
use super::limits::{millis, moment};
use super::{By, Result, Store, StoreError};
use crate::types::{NanoUsd, Pattern, Price, Timestamp};

/// A model. Once one is listed, those that are not are unknown to the guard API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// What callers name it.
    pub name: String,
    /// Who runs it.
    pub provider: String,
    /// Settings of its connector, as JSON.
    pub config: String,
    /// A disabled one is as good as unknown.
    pub enabled: bool,
}

/// A price and the moment from which it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced {
    /// The moment.
    pub from: Timestamp,
    /// The price, in nano-USD per million tokens.
    pub price: Price,
}

impl Store {
    /// Lists a model, or changes the one of this name.
    pub async fn save_model(&self, by: &By, model: &Model) -> Result<i64> {
        let mut change = self.change(by).await?;
        let text = "INSERT INTO models (name, number, provider, config, enabled, created_ms) \
                    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO UPDATE SET provider = excluded.provider, \
                    config = excluded.config, enabled = excluded.enabled, deleted_ms = NULL";
        let query = sqlx::query(text).bind(&model.name).bind(change.revision()).bind(&model.provider);
        let query = query.bind(&model.config).bind(i64::from(model.enabled)).bind(change.now_ms());
        query.execute(change.on()).await.map_err(StoreError::of("model"))?;
        let detail = json!({"provider": model.provider, "enabled": model.enabled});
        change.commit(Entry { action: "model.save", subject: &model.name, detail }).await
    }

    /// Takes a model from the list. Its prices stay, for what was used.
    pub async fn delete_model(&self, by: &By, name: &str) -> Result<i64> {
        let mut change = self.change(by).await?;
        let text = "UPDATE models SET deleted_ms = $2 WHERE name = $1 AND deleted_ms IS NULL";
        let query = sqlx::query(text).bind(name).bind(change.now_ms());
        if query.execute(change.on()).await?.rows_affected() == 0 {
            return Err(StoreError::NotFound("model"));
        }
        change.commit(Entry { action: "model.delete", subject: name, detail: json!({}) }).await
    }

    /// The listed models, by name.
    pub async fn models(&self) -> Result<Vec<Model>> {
        let text = "SELECT name, provider, config, enabled FROM models WHERE deleted_ms IS NULL ORDER BY name";
        let rows = sqlx::query(text).fetch_all(&self.read).await?;
        let read = |row: &sqlx::any::AnyRow| {
            let enabled = row.try_get::<i64, _>(3)? == 1;
            Ok(Model { name: row.try_get(0)?, provider: row.try_get(1)?, config: row.try_get(2)?, enabled })
        };
        rows.iter().map(read).collect()
    }

    /// Sets what a model costs from a moment on; the price of the same moment is replaced.
    pub async fn set_price(&self, by: &By, model: &str, priced: &Priced) -> Result<i64> {
        let mut change = self.change(by).await?;
        let text = "INSERT INTO model_prices (model, from_ms, input_nano, output_nano, cache_read_nano, cache_write_nano, \
                    cache_write_1h_nano, reasoning_nano) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (model, from_ms) DO UPDATE SET \
                    input_nano = excluded.input_nano, output_nano = excluded.output_nano, \
                    cache_read_nano = excluded.cache_read_nano, cache_write_nano = excluded.cache_write_nano, \
                    cache_write_1h_nano = excluded.cache_write_1h_nano, reasoning_nano = excluded.reasoning_nano";
        let Price { input, output, cache_read, cache_write, cache_write_1h, reasoning, .. } = &priced.price;
        let query = sqlx::query(text).bind(model).bind(millis(priced.from)).bind(input.0).bind(output.0);
        let query = query.bind(cache_read.map(|nano| nano.0)).bind(cache_write.map(|nano| nano.0));
        let query = query.bind(cache_write_1h.map(|nano| nano.0)).bind(reasoning.map(|nano| nano.0));
        query.execute(change.on()).await.map_err(StoreError::of("price"))?;
        let detail = json!({"from": priced.from, "input_nano": input.0, "output_nano": output.0});
        change.commit(Entry { action: "model.price", subject: model, detail }).await
    }

    /// What a model costs at a moment.
    pub async fn price(&self, model: &str, at: Timestamp) -> Result<Option<Priced>> {
        let text = "SELECT from_ms, input_nano, output_nano, cache_read_nano, cache_write_nano, cache_write_1h_nano, \
                    reasoning_nano FROM model_prices WHERE model = $1 AND from_ms <= $2 ORDER BY from_ms DESC LIMIT 1";
        let Some(row) = sqlx::query(text).bind(model).bind(millis(at)).fetch_optional(&self.read).await? else {
            return Ok(None);
        };
        let part = |at: usize| Ok::<_, StoreError>(row.try_get::<Option<i64>, _>(at)?.map(NanoUsd));
        let price = Price {
            models: Pattern::new(model),
            input: NanoUsd(row.try_get(1)?),
            output: NanoUsd(row.try_get(2)?),
            cache_read: part(3)?,
            cache_write: part(4)?,
            cache_write_1h: part(5)?,
            reasoning: part(6)?,
        };
        Ok(Some(Priced { from: moment(row.try_get(0)?), price }))
    }
}
