//! `tollgate orgs`: organizations of the control plane's store.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::End;
use super::store::{self, LIMIT_COLUMNS, LimitOptions, Payment, Place, limit_cells, refused};
use super::table::{self, Column, Format};
use crate::control::store::{By, Organization, Payer, Store};
use crate::types::OrgId;

const EXAMPLES: &str = "\
Examples:
  tollgate orgs create org_acme --name 'Acme Inc.' --requests-per-minute 600
  tollgate orgs list --format json
  tollgate orgs recharge org_acme 250.00 --note 'invoice 17'
  tollgate orgs delete org_acme

Works on the database of tollgate.yaml, or of --database; a running control plane notices within a second.";

/// What to do with organizations, and where they are.
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
    /// Make an organization, or change the one of this id: limits, of all its keys together, that are not given are lifted
    Create {
        /// Its id, as callers name it
        id: String,
        /// What people call it [default: the id]
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        limits: LimitOptions,
    },
    /// List them
    List {
        /// How to write it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Pay into an organization's balance
    Recharge {
        /// Its id
        id: String,
        #[command(flatten)]
        payment: Payment,
    },
    /// Take one out: no caller may name it any more
    Delete {
        /// Its id
        id: String,
    },
}

pub(super) fn run(options: &Options) -> Result<End> {
    store::on(&options.place, async |store, by| act(&store, &by, &options.action).await)
}

async fn act(store: &Store, by: &By, action: &Action) -> Result<End> {
    let done = match action {
        Action::List { format } => return list(store, *format).await,
        Action::Recharge { id, payment } => {
            let payer = Payer::Organization(OrgId::new(id.as_str()));
            return store::pay(store, by, (&payer, payment)).await;
        }
        Action::Create { id, name, limits } => {
            let name = name.clone().unwrap_or_else(|| id.clone());
            let organization = Organization { id: OrgId::new(id.as_str()), name, limits: limits.limits() };
            store.save_organization(by, &organization).await
        }
        Action::Delete { id } => store.delete_organization(by, &OrgId::new(id.as_str())).await,
    };
    done.map_or_else(refused, |_| Ok(End::Done))
}

async fn list(store: &Store, format: Format) -> Result<End> {
    let mut rows = Vec::new();
    for one in store::whole(async |page| store.organizations(page).await).await? {
        let balance = store.balance(&Payer::Organization(one.id.clone())).await?;
        let mut row = vec![one.id.as_str().to_owned(), one.name];
        row.extend(limit_cells(&one.limits));
        row.push(balance.dollars());
        rows.push(row);
    }
    let mut columns = vec![Column::Text("id"), Column::Text("name")];
    columns.extend(LIMIT_COLUMNS);
    columns.push(Column::Number("balance_usd"));
    print!("{}", table::write(&columns, &rows, format));
    Ok(End::Done)
}
