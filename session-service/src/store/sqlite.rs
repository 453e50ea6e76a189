//! Sessions on `SQLite`, one file.

use std::path::Path;

use async_trait::async_trait;
use base::{SessionId, Timestamp, Uid};
use runtime::StoreError;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{Sqlite, Transaction};

use super::sql::store;
use super::{LISTED, OpenError, RenewError, Store, USE_PRECISION, rows};
use crate::domain::{Ends, NewSession, Renewal, Renewed, SecretHash, Session};

/// Idle sessions that one sweep ends, most.
const SWEPT_AT_ONCE: i64 = 200;
/// Ended sessions that one sweep drops, most.
const DROPPED_AT_ONCE: i64 = 2_000;

/// Sessions in a `SQLite` file; cheap to clone.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    file: runtime::sqlite::Sqlite,
}

impl SqliteStore {
    /// A store on the file `path`, made and migrated as needed.
    ///
    /// # Errors
    /// When the file cannot be opened or a migration fails.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let file = runtime::sqlite::open(path, sqlx::migrate!("migrations/sqlite")).await?;
        Ok(Self { file })
    }

    /// Takes the file's one place for writing at once: a transaction that begins with a
    /// read and writes later may be refused.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.file.writer.begin_with("BEGIN IMMEDIATE").await
    }

    /// Adds a session, unless there is a newer password than the one that was verified.
    async fn add(&self, session: &NewSession, now: Timestamp) -> Result<Option<i64>, sqlx::Error> {
        let mut tx = self.begin().await?;
        let verified = session.password_version;
        if lock_user(&mut tx, session.uid, verified).await? > verified {
            return Ok(None);
        }
        let id = sqlx::query_scalar(
            "INSERT INTO sessions
                 (uid, password_version, device, address, refresh_hash, created_at, last_used)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
             RETURNING id",
        )
        .bind(session.uid.as_i64())
        .bind(verified.cast_signed())
        .bind(session.client.device())
        .bind(session.client.address())
        .bind(&session.refresh.0[..])
        .bind(now.micros())
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Some(id))
    }

    fn reader(&self) -> &SqlitePool {
        &self.file.readers
    }
}

store!(SqliteStore, SqliteConnection);
