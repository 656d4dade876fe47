//! Brings the schema up to date, one version after the other, each in one transaction.
//!
//! Both databases undo changes of the schema with the transaction, so a migration that fails leaves everything as it
//! was. Several processes may start at once: one migrates and the others wait, then find nothing left to do.

use sqlx::{AnyConnection, AssertSqlSafe, Executor};

use super::connect::Backend;
use super::{Result, Store, StoreError};

/// The versions, from 1.
const VERSIONS: [&str; 3] =
    [include_str!("schema/0001.sql"), include_str!("schema/0002.sql"), include_str!("schema/0003.sql")];

const VERSION_TABLE: &str = "CREATE TABLE IF NOT EXISTS tollgate_schema (version BIGINT PRIMARY KEY)";
/// Any number that no one else takes.
const ONE_AT_A_TIME: &str = "SELECT pg_advisory_xact_lock(7801425518)";

pub(super) async fn run(store: &Store) -> Result<()> {
    through(store, &VERSIONS).await
}

/// Applies what is missing of these versions.
pub(super) async fn through(store: &Store, versions: &[&str]) -> Result<()> {
    let known = versions.len() as i64;
    let mut version = 0;
    while version < known {
        let mut transaction = store.write.begin_with(store.backend.begin()).await?;
        if store.backend == Backend::Postgres {
            transaction.execute(ONE_AT_A_TIME).await?;
        }
        version = current(&mut transaction).await?;
        if version > known {
            return Err(StoreError::NewerSchema { found: version, known });
        }
        let Some(text) = usize::try_from(version).ok().and_then(|version| versions.get(version)) else {
            // Now, not when the connection is used again: others wait for the lock.
            transaction.rollback().await?;
            break;
        };
        version += 1;
        let failed = |source| StoreError::Migration { version, source };
        apply(&mut transaction, text, (store.backend, version)).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
    }
    Ok(())
}

async fn current(connection: &mut AnyConnection) -> Result<i64> {
    connection.execute(VERSION_TABLE).await?;
    let newest = "SELECT COALESCE(MAX(version), 0) FROM tollgate_schema";
    Ok(sqlx::query_scalar(newest).fetch_one(connection).await?)
}

async fn apply(connection: &mut AnyConnection, text: &str, (backend, version): (Backend, i64)) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(dialect(text, backend))).execute(&mut *connection).await?;
    let insert = sqlx::query("INSERT INTO tollgate_schema (version) VALUES ($1)");
    insert.bind(version).execute(connection).await?;
    Ok(())
}

/// The one place where the databases differ: SQLite checks types only in strict tables, whose whole numbers are INTEGER.
fn dialect(text: &str, backend: Backend) -> String {
    match backend {
        Backend::Postgres => text.to_owned(),
        Backend::Sqlite => text.replace(" BIGINT", " INTEGER").replace("\n);", "\n) STRICT;"),
    }
}
