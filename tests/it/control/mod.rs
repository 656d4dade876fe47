//! The control plane: its store on both databases, and what it answers.

mod store;

use tempfile::TempDir;
use tollgate::config::Database;
use tollgate::control::store::Store;
use tollgate::types::Secret;

use crate::peers::{PostgresPeer, off_runtime};

/// Which database a test runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum On {
    Sqlite,
    Postgres,
}

/// A fresh database.
pub(crate) struct Place {
    pub(crate) database: Database,
    /// The URL as it stands in a configuration.
    pub(crate) url: String,
    _dir: TempDir,
}

impl Place {
    pub(crate) async fn new(on: On) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (database, url) = match on {
            On::Sqlite => {
                let path = dir.path().join("control plane.db");
                let url = format!("sqlite://{}", path.display());
                (Database::Sqlite(path), url)
            }
            On::Postgres => {
                let url = off_runtime(|| PostgresPeer::shared().database()).await;
                (Database::Postgres(Secret::new(url.clone())), url)
            }
        };
        Self { database, url, _dir: dir }
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.database).await.unwrap()
    }
}

/// Runs each test on both databases.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::control::On::Sqlite).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::control::On::Postgres).await;
            })*
        }
    };
}
pub(crate) use on_both;
