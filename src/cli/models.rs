//! `tollgate models`: models of the control plane's store, and what they cost from when on.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::End;
use super::store::{self, Place, refused};
use super::table::{self, Column, Format};
use crate::control::store::{By, Model, Priced, Store};
use crate::types::{NanoUsd, Pattern, Price, Timestamp};

const EXAMPLES: &str = "\
Examples:
  tollgate models add gpt-4o --provider openai
  tollgate models price gpt-4o --input 2.50 --output 10.00 --cache-read 1.25
  tollgate models price gpt-4o --input 2.00 --output 8.00 --from 2027-01-01T00:00:00Z
  tollgate models list

Prices are USD per million tokens. Once a model is listed, those that are not are unknown to the guard API.";

/// What to do with models, and where they are.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    action: Action,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Action {
    /// List a model, or change the one of this name
    Add {
        /// What callers name it
        name: String,
        /// Who runs it
        #[arg(long, default_value = "")]
        provider: String,
        /// Keep it known and refuse it
        #[arg(long)]
        disabled: bool,
    },
    /// Set what a model costs from a moment on
    Price {
        /// The model
        name: String,
        /// USD per million input tokens
        #[arg(long, value_name = "USD")]
        input: f64,
        /// USD per million output tokens
        #[arg(long, value_name = "USD")]
        output: f64,
        /// USD per million input tokens read from a cache [default: as input]
        #[arg(long, value_name = "USD")]
        cache_read: Option<f64>,
        /// USD per million input tokens written to a cache [default: as input]
        #[arg(long, value_name = "USD")]
        cache_write: Option<f64>,
        /// USD per million reasoning tokens [default: as output]
        #[arg(long, value_name = "USD")]
        reasoning: Option<f64>,
        /// From when on, such as 2027-01-01T00:00:00Z [default: now]
        #[arg(long, value_name = "TIME", value_parser = time)]
        from: Option<Timestamp>,
    },
    /// List them with their present prices
    List {
        /// How to write it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Take one from the list; its prices stay, for what was used
    Delete {
        /// Its name
        name: String,
    },
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "write a time as 2027-01-01T00:00:00Z".to_owned())
}

pub(super) fn run(options: &Options) -> Result<End> {
    store::on(&options.place, async |store, by| act(&store, &by, &options.action).await)
}

async fn act(store: &Store, by: &By, action: &Action) -> Result<End> {
    let done = match action {
        Action::List { format } => return list(store, *format).await,
        Action::Add { name, provider, disabled } => {
            let (name, provider) = (name.clone(), provider.clone());
            store.save_model(by, &Model { name, provider, config: "{}".to_owned(), enabled: !disabled }).await
        }
        Action::Price { name, from, .. } => {
            let Some(price) = price(action) else {
                eprintln!("tollgate: a price is a number of dollars, 0 or more");
                return Ok(End::Wrong);
            };
            store.set_price(by, name, &Priced { from: from.unwrap_or_else(Timestamp::now), price }).await
        }
        Action::Delete { name } => store.delete_model(by, name).await,
    };
    done.map_or_else(refused, |_| Ok(End::Done))
}

/// The price that the options name; `None` where one is no amount.
fn price(action: &Action) -> Option<Price> {
    let Action::Price { name, input, output, cache_read, cache_write, reasoning, .. } = action else { return None };
    let amount = |usd: f64| NanoUsd::from_usd(usd).filter(|amount| amount.0 >= 0);
    let part = |usd: Option<f64>| usd.map_or(Some(None), |usd| amount(usd).map(Some));
    Some(Price {
        models: Pattern::new(name.as_str()),
        input: amount(*input)?,
        output: amount(*output)?,
        cache_read: part(*cache_read)?,
        cache_write: part(*cache_write)?,
        cache_write_1h: None,
        reasoning: part(*reasoning)?,
    })
}

async fn list(store: &Store, format: Format) -> Result<End> {
    let mut rows = Vec::new();
    for model in store.models().await? {
        let priced = store.price(&model.name, Timestamp::now()).await?;
        let usd = |pick: fn(&Price) -> NanoUsd| {
            priced.as_ref().map_or_else(String::new, |priced| pick(&priced.price).dollars())
        };
        let state = if model.enabled { "enabled" } else { "disabled" };
        let since = priced.as_ref().map_or_else(String::new, |priced| priced.from.to_string());
        let (input, output) = (usd(|price| price.input), usd(|price| price.output));
        rows.push(vec![model.name, model.provider, state.to_owned(), input, output, since]);
    }
    let columns = [
        Column::Text("model"),
        Column::Text("provider"),
        Column::Text("state"),
        Column::Number("input_usd"),
        Column::Number("output_usd"),
        Column::Text("since"),
    ];
    print!("{}", table::write(&columns, &rows, format));
    Ok(End::Done)
}
