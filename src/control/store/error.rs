//! Why the store did not do as asked.

use std::path::PathBuf;

use sqlx::error::ErrorKind;

/// What went wrong. Holds no key, digest or credential.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It is there already.
    #[error("this {0} is already there")]
    Exists(&'static str),
    /// What was asked for cannot be; the text says why.
    #[error("{0}")]
    Invalid(&'static str),
    /// The database's file cannot be made.
    #[error("the database {} cannot be opened: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A newer Tollgate has been here.
    #[error(
        "the database's schema is version {found}, newer than the {known} that this program knows; run the newer program"
    )]
    NewerSchema {
        /// The database's version.
        found: i64,
        /// The newest known.
        known: i64,
    },
    /// A step of bringing the schema up to date failed; the database is as it was.
    #[error("the database's schema could not be brought to version {version}, and is as it was")]
    Migration {
        /// The version that was to be reached.
        version: i64,
        /// What the database says.
        source: sqlx::Error,
    },
    /// No key can be made.
    #[error(transparent)]
    Random(#[from] crate::types::NoRandomness),
    /// The database failed or cannot be reached.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
}

impl StoreError {
    /// Reads a failure to write this kind of thing: there already, or naming something that does not exist.
    pub(super) fn of(what: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |error| match error.as_database_error().map(sqlx::error::DatabaseError::kind) {
            Some(ErrorKind::UniqueViolation) => Self::Exists(what),
            Some(ErrorKind::ForeignKeyViolation) => Self::Invalid("it names something that does not exist"),
            Some(ErrorKind::CheckViolation | ErrorKind::NotNullViolation) => Self::Invalid("a value is out of bounds"),
            _ => Self::Database(error),
        }
    }
}
