//! `tollgate keys list|show|limit|recharge|enable|disable|delete|import|export`: keys of the control plane's store.
//!
//! Works on the database itself, beside a control plane that runs or without one; those that run notice within a second.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::End;
use super::store::{self, Place, refused};
use crate::config::{Database, load_keys};
use crate::control::store::{By, Enabled, KeyView, NewKey, Page, Payer, Store, StoreError};
use crate::types::{KeyId, KeyRecord, Limits, NanoUsd};

const PREFIX: &str = "tg-";

/// What to do with a stored key.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// List keys: id, letters, state; never the key itself
    List {
        /// Only those whose id or name holds this text
        text: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one key, with its balance
    Show {
        /// Its id
        id: String,
    },
    /// Set a key's own limits; those that are not given are lifted
    Limit {
        /// Its id
        id: String,
        /// Requests in a minute
        #[arg(long, value_name = "N")]
        requests_per_minute: Option<u32>,
        /// Tokens in a minute, input and output
        #[arg(long, value_name = "N")]
        tokens_per_minute: Option<u64>,
        /// Requests in flight
        #[arg(long, value_name = "N")]
        concurrent_requests: Option<u32>,
    },
    /// Pay into a key's balance
    Recharge {
        /// Its id
        id: String,
        /// Dollars, such as 12.50
        usd: f64,
        /// What for
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Refuse a key until it is enabled again
    Disable {
        /// Its id
        id: String,
    },
    /// Let a disabled key call again
    Enable {
        /// Its id
        id: String,
    },
    /// Delete a key for good; its id stays taken
    Delete {
        /// Its id
        id: String,
    },
    /// Take the keys of a keys file into the store; those that it has are left as they are
    Import {
        /// The file
        file: PathBuf,
    },
    /// Print every key's record as a keys file (JSON, which is accepted wherever YAML is)
    Export,
}

pub(super) fn run(place: &Place, action: &Action) -> Result<End> {
    store::on(place, async |store, by| act(&store, &by, action).await)
}

/// Makes a key in the store, and the organizations that it names and that do not exist yet.
pub(super) fn create((database, by): &(Database, By), record: &KeyRecord) -> Result<End> {
    store::with(database, async |store| {
        for organization in &record.organizations {
            if store.ensure_organization(by, organization).await? {
                eprintln!("the organization {organization} was made");
            }
        }
        let new = NewKey { record: record.clone(), ..NewKey::new(record.id.clone()) };
        match store.create_key(by, &new, PREFIX).await {
            Ok(made) => {
                eprintln!("added to {}; the key is shown this once:", store.name());
                println!("{}", made.key.expose());
                Ok(End::Done)
            }
            Err(error) => refused(error),
        }
    })
}

async fn act(store: &Store, by: &By, action: &Action) -> Result<End> {
    let id = |id: &String| KeyId::new(id.as_str());
    let changed = match action {
        Action::List { text, json } => return list(store, text.as_deref(), *json).await,
        Action::Show { id: key } => return show(store, &id(key)).await,
        Action::Import { file } => return import(store, by, file).await,
        Action::Export => return export(store).await,
        Action::Limit { id: key, requests_per_minute, tokens_per_minute, concurrent_requests } => {
            let limits = Limits {
                requests_per_minute: *requests_per_minute,
                tokens_per_minute: *tokens_per_minute,
                concurrent_requests: *concurrent_requests,
            };
            store.limit_key(by, &id(key), limits).await.map(drop)
        }
        Action::Recharge { id: key, usd, note } => return recharge(store, by, (&id(key), *usd, note)).await,
        Action::Disable { id: key } => store.enable_key(by, &id(key), Enabled::No).await.map(drop),
        Action::Enable { id: key } => store.enable_key(by, &id(key), Enabled::Yes).await.map(drop),
        Action::Delete { id: key } => store.delete_key(by, &id(key)).await.map(drop),
    };
    changed.map_or_else(refused, |()| Ok(End::Done))
}

async fn list(store: &Store, text: Option<&str>, as_json: bool) -> Result<End> {
    let mut page = Page { limit: 1000, offset: 0 };
    let mut all = Vec::new();
    loop {
        let listed = store.keys(text, page).await?;
        page.offset += listed.items.len() as u64;
        let last = listed.items.is_empty();
        all.extend(listed.items);
        if last || page.offset >= listed.total {
            break;
        }
    }
    if as_json {
        println!("{}", serde_json::to_string_pretty(&all.iter().map(written).collect::<Vec<_>>())?);
        return Ok(End::Done);
    }
    let width = all.iter().map(|key| key.id.as_str().chars().count()).max().unwrap_or(0).max(2);
    println!("{:width$}  {:14}  {:8}  CREATED", "ID", "KEY", "STATE");
    for key in &all {
        println!("{:width$}  {:14}  {:8}  {}", key.id.as_str(), key.letters, state(key), key.created);
    }
    Ok(End::Done)
}

async fn show(store: &Store, id: &KeyId) -> Result<End> {
    let key = match store.key(id).await {
        Ok(key) => key,
        Err(error) => return refused(error),
    };
    let mut shown = written(&key);
    let balance = store.balance(&Payer::Key(id.clone())).await?;
    if let Value::Object(fields) = &mut shown {
        fields.insert("balance_usd".to_owned(), json!(balance.as_usd()));
    }
    println!("{}", serde_json::to_string_pretty(&shown)?);
    Ok(End::Done)
}

async fn recharge(store: &Store, by: &By, (id, usd, note): (&KeyId, f64, &str)) -> Result<End> {
    let Some(amount) = NanoUsd::from_usd(usd).filter(|amount| amount.0 > 0) else {
        eprintln!("tollgate: {usd} is not an amount of dollars above 0");
        return Ok(End::Wrong);
    };
    if let Err(error) = store.key(id).await {
        return refused(error);
    }
    let balance = store.pay(by, &Payer::Key(id.clone()), (amount, note)).await?;
    println!("{:.9}", balance.as_usd());
    Ok(End::Done)
}

async fn import(store: &Store, by: &By, file: &Path) -> Result<End> {
    let records = match load_keys(file) {
        Ok((records, _)) => records,
        Err(problems) => {
            eprintln!("{problems}");
            return Ok(End::Wrong);
        }
    };
    let (mut taken, mut known) = (0, 0);
    for record in records {
        for organization in &record.organizations {
            store.ensure_organization(by, organization).await?;
        }
        if let Some(group) = &record.group {
            store.ensure_group(by, group).await?;
        }
        let new = NewKey { record: record.clone(), ..NewKey::new(record.id.clone()) };
        match store.import_key(by, &new).await {
            Ok(_) => taken += 1,
            Err(StoreError::Exists(_)) => known += 1,
            Err(error) => return refused(error),
        }
    }
    println!("{taken} keys taken in, {known} were there already");
    Ok(End::Done)
}

async fn export(store: &Store) -> Result<End> {
    let mut records = store.records().await?;
    for record in records.iter_mut().filter(|record| !record.memberships.is_empty()) {
        eprintln!("warning: {}: a keys file knows no users, so their organizations are left out", record.id);
        record.memberships.clear();
    }
    println!("{}", serde_json::to_string_pretty(&records)?);
    Ok(End::Done)
}

fn state(key: &KeyView) -> &'static str {
    if key.enabled { "enabled" } else { "disabled" }
}

fn written(key: &KeyView) -> Value {
    json!({
        "id": key.id, "number": key.number, "name": key.name, "email": key.email, "user": key.user,
        "group": key.group, "key": key.letters, "limits": key.limits, "expires": key.expires,
        "enabled": key.enabled, "created": key.created, "updated": key.updated,
    })
}
