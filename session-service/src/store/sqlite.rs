//! Sessions on `SQLite`, one file. Every use case is one statement, so it is its own
//! transaction.

use std::path::Path;

use async_trait::async_trait;
use base::{SessionId, Timestamp, Uid};
use runtime::StoreError;
use runtime::sqlite::Sqlite;

use super::{Store, rows};
use crate::domain::NewSession;

/// Sessions in a `SQLite` file; cheap to clone.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    file: Sqlite,
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
}

#[async_trait]
impl Store for SqliteStore {
    async fn open(&self, session: &NewSession, now: Timestamp) -> Result<SessionId, StoreError> {
        let id = sqlx::query_scalar(
            "INSERT INTO sessions
                 (uid, password_version, device, address, refresh_hash, created_at, last_used)
             VALUES ($1, $2, $3, $4, $5, $6, $6)
             RETURNING id",
        )
        .bind(session.uid.as_i64())
        .bind(session.password_version.cast_signed())
        .bind(session.client.device())
        .bind(session.client.address())
        .bind(&session.refresh.0[..])
        .bind(now.micros())
        .fetch_one(&self.file.writer)
        .await?;
        rows::session(id)
    }

    async fn living(&self, session: SessionId) -> Result<Option<Uid>, StoreError> {
        let uid = sqlx::query_scalar(
            "SELECT uid
             FROM sessions
             WHERE id = $1 AND ended_at IS NULL",
        )
        .bind(session.as_i64())
        .fetch_optional(&self.file.readers)
        .await?;
        uid.map(rows::uid).transpose()
    }

    async fn end(&self, session: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        let ended = sqlx::query(
            "UPDATE sessions
             SET ended_at = $2
             WHERE id = $1 AND ended_at IS NULL",
        )
        .bind(session.as_i64())
        .bind(now.micros())
        .execute(&self.file.writer)
        .await?;
        Ok(ended.rows_affected() > 0)
    }
}
