//! `SQLite` for a store: one file a service, one writer, readers beside it.
//!
//! WAL with `synchronous=FULL`: a commit returns after its fsync, so what was
//! acknowledged survives a power cut.

use std::path::Path;
use std::time::Duration;

use sqlx::error::BoxDynError;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions,
    SqliteQueryResult, SqliteSynchronous,
};
use sqlx::{Arguments as _, Connection as _};

use crate::StoreError;
use crate::sql::{Dialect, Pools};

/// How long a use case waits for the writer.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that read.
const READERS: u32 = 4;
/// Pages that the writer keeps in memory, in KiB, at most: where a batch touches more of them
/// than are kept, it writes and reads some twice.
const CACHE_KIB: u32 = 32 * 1024;
/// Pages of 4 KiB in the WAL after which the writer carries them over into the database, each
/// once however often it was written; it waits for two fsyncs meanwhile.
const CHECKPOINT_PAGES: u32 = 4_000;

/// Opens a file, making it if it is not there, and migrates it.
///
/// # Errors
/// When the file cannot be opened or a migration fails.
pub async fn open(path: &Path, mut migrator: Migrator) -> Result<Pools<sqlx::Sqlite>, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(2))
        .foreign_keys(true)
        .statement_cache_capacity(64);
    let writing = options
        .clone()
        .pragma("cache_size", format!("-{CACHE_KIB}"))
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string());
    // A connection to a file does not break, so none is tried before it is used.
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(async { Ok(is_free(connection)) }))
        .connect_with(writing)
        .await?;
    migrator.set_ignore_missing(true);
    migrator
        .run(&writer)
        .await
        .map_err(|error| StoreError::Broken(error.to_string()))?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(async { Ok(is_free(connection)) }))
        .connect_with(options.read_only(true))
        .await?;
    Ok(Pools { writer, readers })
}

impl Dialect for sqlx::Sqlite {
    /// Takes the file's one place for writing at once: a transaction that begins with a read
    /// and writes later may be refused.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";

    fn affected(result: &SqliteQueryResult) -> u64 {
        result.rows_affected()
    }

    fn add_list(arguments: &mut SqliteArguments, list: &[i64]) -> Result<(), BoxDynError> {
        arguments.add(serde_json::to_string(list)?)
    }
}

/// Whether sqlx believes that no transaction is open on a connection. After a commit that
/// failed, for the disk is full, SQLite has none any more and refuses the rollback, so sqlx
/// goes on believing in it and would refuse every later transaction. Such a connection is
/// replaced.
fn is_free(connection: &SqliteConnection) -> bool {
    !connection.is_in_transaction()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_commit_returns_after_its_fsync() {
        let folder = tempfile::tempdir().unwrap();
        let none = Migrator::with_migrations(Vec::new());
        let database = open(&folder.path().join("a.db"), none).await.unwrap();
        let mut writer = database.writer.acquire().await.unwrap();
        let journal: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&mut *writer)
            .await
            .unwrap();
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
            .fetch_one(&mut *writer)
            .await
            .unwrap();
        // As SQLite numbers them: OFF is 0, NORMAL 1, FULL 2, EXTRA 3.
        assert_eq!((journal.as_str(), synchronous), ("wal", 2));
    }
}
