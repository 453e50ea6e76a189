//! Accounts on `SQLite`, one file.

use std::path::Path;

use runtime::StoreError;
use sqlx::Sqlite;

use super::sql::{SqlStore, Statements};

/// Accounts in a `SQLite` file.
pub type SqliteStore = SqlStore<Sqlite>;

impl SqlStore<Sqlite> {
    /// A store on the file `path`, made and migrated as needed.
    ///
    /// # Errors
    /// When the file cannot be opened or a migration fails.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let pools = runtime::sqlite::open(path, sqlx::migrate!("migrations/sqlite")).await?;
        Ok(Self { pools })
    }
}

impl Statements for Sqlite {
    const PROFILES: &'static str = "SELECT uid, username, email, created_at
         FROM accounts
         WHERE uid IN (SELECT value FROM json_each($1))
         ORDER BY uid";
}
