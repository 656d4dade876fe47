//! `tollgate orgs`: organizations of the control plane's store.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::End;
use super::store::{self, Place, refused};
use super::table::{self, Column, Format};
use crate::control::store::{By, Organization, Page, Payer, Store};
use crate::types::{Limits, NanoUsd, OrgId};

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
    /// Make an organization, or change the one of this id: limits that are not given are lifted
    Create {
        /// Its id, as callers name it
        id: String,
        /// What people call it [default: the id]
        #[arg(long)]
        name: Option<String>,
        /// Requests in a minute, of all its keys together
        #[arg(long, value_name = "N")]
        requests_per_minute: Option<u32>,
        /// Tokens in a minute
        #[arg(long, value_name = "N")]
        tokens_per_minute: Option<u64>,
        /// Requests in flight
        #[arg(long, value_name = "N")]
        concurrent_requests: Option<u32>,
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
        /// Dollars, such as 12.50
        usd: f64,
        /// What for
        #[arg(long, default_value = "")]
        note: String,
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
        Action::Recharge { id, usd, note } => return recharge(store, by, (&OrgId::new(id.as_str()), *usd, note)).await,
        Action::Create { id, name, requests_per_minute, tokens_per_minute, concurrent_requests } => {
            let organization = Organization {
                id: OrgId::new(id.as_str()),
                name: name.clone().unwrap_or_else(|| id.clone()),
                limits: Limits {
                    requests_per_minute: *requests_per_minute,
                    tokens_per_minute: *tokens_per_minute,
                    concurrent_requests: *concurrent_requests,
                },
            };
            store.save_organization(by, &organization).await
        }
        Action::Delete { id } => store.delete_organization(by, &OrgId::new(id.as_str())).await,
    };
    done.map_or_else(refused, |_| Ok(End::Done))
}

async fn list(store: &Store, format: Format) -> Result<End> {
    let (mut page, mut rows) = (Page { limit: 1000, offset: 0 }, Vec::new());
    loop {
        let listed = store.organizations(page).await?;
        page.offset += listed.items.len() as u64;
        let last = listed.items.is_empty();
        for one in listed.items {
            let number = |limit: Option<u64>| limit.map_or_else(String::new, |limit| limit.to_string());
            let balance = store.balance(&Payer::Organization(one.id.clone())).await?;
            let limits = one.limits;
            rows.push(vec![
                one.id.as_str().to_owned(),
                one.name,
                number(limits.requests_per_minute.map(u64::from)),
                number(limits.tokens_per_minute),
                number(limits.concurrent_requests.map(u64::from)),
                format!("{:.9}", balance.as_usd()),
            ]);
        }
        if last || page.offset >= listed.total {
            break;
        }
    }
    let columns = [
        Column::Text("id"),
        Column::Text("name"),
        Column::Number("requests_per_minute"),
        Column::Number("tokens_per_minute"),
        Column::Number("concurrent_requests"),
        Column::Number("balance_usd"),
    ];
    print!("{}", table::write(&columns, &rows, format));
    Ok(End::Done)
}

async fn recharge(store: &Store, by: &By, (id, usd, note): (&OrgId, f64, &str)) -> Result<End> {
    let Some(amount) = NanoUsd::from_usd(usd).filter(|amount| amount.0 > 0) else {
        eprintln!("tollgate: {usd} is not an amount of dollars above 0");
        return Ok(End::Wrong);
    };
    match store.pay(by, &Payer::Organization(id.clone()), (amount, note)).await {
        Ok(balance) => {
            println!("{:.9}", balance.as_usd());
            Ok(End::Done)
        }
        Err(error) => refused(error),
    }
}
