//! Sessions on `SQLite`, one file.

use std::path::Path;

use async_trait::async_trait;
use base::Timestamp;
use runtime::StoreError;
use runtime::sql::{Dialect as _, Pools};
use sqlx::Sqlite;

use super::sql::{SqlStore, Statements, lock_user};
use crate::domain::NewSession;

/// Sessions in a `SQLite` file.
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

#[async_trait]
impl Statements for Sqlite {
    async fn add(
        pools: &Pools<Self>,
        session: &NewSession,
        now: Timestamp,
    ) -> Result<Option<i64>, sqlx::Error> {
        let mut tx = pools.begin().await?;
        let verified = session.password_version;
        if lock_user::<Self>(&mut tx, session.uid, verified).await? > verified {
            return Ok(None);
        }
        let id = Self::query(
            "INSERT INTO sessions
                 (uid, password_version, device, address, refresh_hash, created_at, last_used)
             VALUES ($1, $2, $3, $4, $5, $6, $6)
             RETURNING id",
        )
        .bind(session.uid.as_i64())
        .bind(verified.cast_signed())
        .bind(session.client.device())
        .bind(session.client.address())
        .bind(&session.refresh.0[..])
        .bind(now.micros())
        .value(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(Some(id))
    }
}
