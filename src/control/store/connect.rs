//! Opens the database: connections, their settings, and the schema brought up to date.
//!
//! SQLite keeps a write-ahead log, waits for a lock instead of failing, and syncs each commit to the disk
//! (`synchronous = FULL`): nothing that was answered is lost by a crash or a loss of power. Changes are few, and the
//! flow of usage goes to the spool, so the price is small. One connection writes; several read beside it.

use std::fmt::Write;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Executor};

use super::{Result, Store, StoreError, migrate};
use crate::config::Database;

/// No one waits longer for a connection.
const PATIENCE: Duration = Duration::from_secs(5);
const READERS: u32 = 4;
const CONNECTIONS: u32 = 16;

const SQLITE: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                      PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;";
const SQLITE_READER: &str = "PRAGMA query_only = ON;";
const POSTGRES: &str = "SET statement_timeout = '10s'; SET lock_timeout = '5s'; SET application_name = 'tollgate';";

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backend {
    Sqlite,
    Postgres,
}

impl Backend {
    /// How a transaction that will write begins. SQLite takes its write lock at once: taken later, it could fail.
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }
}

impl Store {
    /// Opens the database, makes it when it is a file that does not exist, and brings its schema up to date.
    ///
    /// # Errors
    /// When it cannot be reached, when its schema is newer than this program knows, or when a migration fails; the
    /// database is then as it was.
    pub async fn open(database: &Database) -> Result<Self> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let store = match database {
            Database::Sqlite(path) => sqlite(path).await?,
            Database::Postgres(url) => postgres(url.expose()).await?,
        };
        migrate::run(&store).await?;
        Ok(store)
    }
}

async fn sqlite(path: &Path) -> Result<Store> {
    prepare(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
    let url = format!("sqlite://{}?mode=rwc", encoded(path));
    let options = AnyPoolOptions::new().acquire_timeout(PATIENCE).test_before_acquire(false).max_lifetime(None);
    let settings = options.idle_timeout(None).min_connections(1);
    let write = settings
        .clone()
        .max_connections(1)
        .after_connect(|connection, _| Box::pin(async move { connection.execute(SQLITE).await.map(drop) }));
    let read = settings.max_connections(READERS).after_connect(|connection, _| {
        Box::pin(async move {
            connection.execute(SQLITE).await?;
            connection.execute(SQLITE_READER).await.map(drop)
        })
    });
    // The writer first: it makes the log that readers then find.
    let write = write.connect(&url).await?;
    let read = read.connect(&url).await?;
    Ok(Store { read, write, backend: Backend::Sqlite, name: format!("SQLite in {}", path.display()).into() })
}

async fn postgres(url: &str) -> Result<Store> {
    let options = AnyPoolOptions::new().acquire_timeout(PATIENCE).max_connections(CONNECTIONS);
    let options =
        options.after_connect(|connection, _| Box::pin(async move { connection.execute(POSTGRES).await.map(drop) }));
    let pool: AnyPool = options.connect(url).await?;
    Ok(Store { read: pool.clone(), write: pool, backend: Backend::Postgres, name: "PostgreSQL".into() })
}

/// Makes the folder, and the file for its owner alone. What SQLite puts beside the file takes its permissions.
fn prepare(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(drop)
}

/// The path as it may stand in a URL.
fn encoded(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
    // A first step of the path that is not empty would be read as a host, and hosts are lower case.
    let start = if path.is_absolute() { "" } else { "%2E/" };
    path.as_os_str().as_bytes().iter().fold(start.to_owned(), |mut text, byte| {
        if plain(*byte) {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}
