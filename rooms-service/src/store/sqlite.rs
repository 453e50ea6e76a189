//! Rooms on `SQLite`, one file.
//!
//! Whoever changes anything begins with `BEGIN IMMEDIATE`, so that from its first read to
//! its commit nobody else writes. It stands for the row lock of a larger database.

use std::path::Path;

use runtime::StoreError;
use sqlx::Sqlite;

use super::sql::{SqlStore, Statements};

/// Rooms in a `SQLite` file.
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
    const LOCK: &'static str = "SELECT is_private, change_no
         FROM rooms
         WHERE room_id = $1";

    const DIRECTORY: &'static str = "SELECT room_id, name, members
         FROM rooms
         WHERE NOT is_private
           AND kind = 1
           AND name_key >= $1
           AND name_key < $2
         ORDER BY name_key
         LIMIT $3";
}
