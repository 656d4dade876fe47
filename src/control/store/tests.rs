//! Migrations: what the store as a whole promises is tested on both databases in `tests/it/control`.

use sqlx::Executor;

use super::{Store, StoreError, migrate};
use crate::config::Database;

#[tokio::test]
async fn a_migration_that_fails_leaves_the_database_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&Database::Sqlite(dir.path().join("x.db"))).await.unwrap();
    let own = [include_str!("schema/0001.sql"), include_str!("schema/0002.sql"), include_str!("schema/0003.sql")];
    let with = |next| [own.as_slice(), &[next]].concat();
    let bad = "CREATE TABLE half (x BIGINT\n);\nINSERT INTO changes (one, revision, forgotten) VALUES (2, 0, 0);";
    let failed = migrate::through(&store, &with(bad)).await;
    assert!(matches!(failed, Err(StoreError::Migration { version: 4, .. })), "{failed:?}");
    assert!(store.read.execute("SELECT * FROM half").await.is_err());
    assert_eq!(store.revision().await.unwrap(), 0);
    migrate::through(&store, &with("CREATE TABLE whole (x BIGINT\n);")).await.unwrap();
    assert!(store.read.execute("SELECT * FROM whole").await.is_ok());
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_the_same_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::Sqlite(dir.path().join("x.db"));
    let store = Store::open(&database).await.unwrap();
    store.close().await;
    let store = Store::open(&database).await.unwrap();
    store.write.execute("INSERT INTO tollgate_schema (version) VALUES (99)").await.unwrap();
    store.close().await;
    let refused = Store::open(&database).await.unwrap_err();
    assert!(refused.to_string().contains("version 99, newer than the 3"), "{refused}");
}

#[tokio::test]
async fn the_file_is_for_its_owner_alone_and_commits_reach_the_disk() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("folder with a ?").join("x.db");
    let store = Store::open(&Database::Sqlite(path.clone())).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for (pragma, value) in [("PRAGMA synchronous", 2), ("PRAGMA foreign_keys", 1)] {
        let got: i64 = sqlx::query_scalar(pragma).fetch_one(&store.write).await.unwrap();
        assert_eq!(got, value, "{pragma}");
    }
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&store.write).await.unwrap();
    assert_eq!(mode, "wal");
}
