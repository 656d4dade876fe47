//! `tollgate keys list|show|limit|recharge|enable|disable|delete|import|export`: keys of the control plane's store.
//!
//! Works on the database itself, beside a control plane that runs or without one; those that run notice within a second.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::End;
use super::store::{self, LIMIT_COLUMNS, LimitOptions, Payment, Place, limit_cells, refused};
use super::table::{self, Column, Format};
use crate::config::{Database, load_keys};
use crate::control::store::{By, Enabled, KeyView, NewKey, Payer, Store, StoreError};
use crate::types::{KeyId, KeyRecord};

const PREFIX: &str = "tg-";

/// What to do with a stored key.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// List keys: id, letters, state; never the key itself
    List {
        /// Only those whose id or name holds this text
        text: Option<String>,
        /// How to write it; CSV and JSON have more columns
        #[arg(long, value_enum, default_value_t)]
        format: Format,
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
        #[command(flatten)]
        limits: LimitOptions,
    },
    /// Pay into a key's balance
    Recharge {
        /// Its id
        id: String,
        #[command(flatten)]
        payment: Payment,
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
        Action::List { text, format } => return list(store, text.as_deref(), *format).await,
        Action::Show { id: key } => return show(store, &id(key)).await,
        Action::Import { file } => return import(store, by, file).await,
        Action::Export => return export(store).await,
        Action::Limit { id: key, limits } => store.limit_key(by, &id(key), limits.limits()).await.map(drop),
        Action::Recharge { id: key, payment } => return recharge(store, by, (&id(key), payment)).await,
        Action::Disable { id: key } => store.enable_key(by, &id(key), Enabled::No).await.map(drop),
        Action::Enable { id: key } => store.enable_key(by, &id(key), Enabled::Yes).await.map(drop),
        Action::Delete { id: key } => store.delete_key(by, &id(key)).await.map(drop),
    };
    changed.map_or_else(refused, |()| Ok(End::Done))
}

async fn list(store: &Store, text: Option<&str>, format: Format) -> Result<End> {
    let keys = store::whole(async |page| store.keys(text, page).await).await?;
    let [id, key, state, created] = ["id", "key", "state", "created"].map(Column::Text);
    if format == Format::Table {
        let cells =
            |key: &KeyView| vec![key.id.to_string(), key.letters.clone(), state_of(key), key.created.to_string()];
        let rows: Vec<_> = keys.iter().map(cells).collect();
        print!("{}", table::write(&[id, key, state, created], &rows, format));
        return Ok(End::Done);
    }
    let [name, email, user, group, expires] = ["name", "email", "user", "group", "expires"].map(Column::Text);
    let mut columns = vec![id, key, state, created, name, email, user, group, expires];
    columns.extend(LIMIT_COLUMNS);
    print!("{}", table::write(&columns, &keys.iter().map(all_cells).collect::<Vec<_>>(), format));
    Ok(End::Done)
}

/// What programs read; what is not there is empty.
fn all_cells(key: &KeyView) -> Vec<String> {
    fn text<T: ToString>(value: Option<T>) -> String {
        value.map_or_else(String::new, |value| value.to_string())
    }
    let mut cells = vec![
        key.id.to_string(),
        key.letters.clone(),
        state_of(key),
        key.created.to_string(),
        key.name.clone(),
        text(key.email.as_ref()),
        text(key.user.as_ref()),
        text(key.group.as_ref()),
        text(key.expires),
    ];
    cells.extend(limit_cells(&key.limits));
    cells
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

async fn recharge(store: &Store, by: &By, (id, payment): (&KeyId, &Payment)) -> Result<End> {
    // A balance may be of anyone; a key that does not exist has none.
    match store.key(id).await {
        Ok(_) => store::pay(store, by, (&Payer::Key(id.clone()), payment)).await,
        Err(error) => refused(error),
    }
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

fn state_of(key: &KeyView) -> String {
    if key.enabled { "enabled" } else { "disabled" }.to_owned()
}

fn written(key: &KeyView) -> Value {
    json!({
        "id": key.id, "number": key.number, "name": key.name, "email": key.email, "user": key.user,
        "group": key.group, "key": key.letters, "limits": key.limits, "expires": key.expires,
        "enabled": key.enabled, "created": key.created, "updated": key.updated,
    })
}
