//! Sessions on PostgreSQL. Every use case is one statement, so it is its own
//! transaction.

use std::time::Duration;

use async_trait::async_trait;
use base::{SessionId, Timestamp, Uid};
use runtime::config::Postgres;
use runtime::postgres::Schema;
use runtime::{Lifecycle, StoreError};
use sqlx::postgres::PgPool;

use super::{Store, rows};
use crate::domain::NewSession;

/// The longest a statement may run.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(2);

/// Sessions in a PostgreSQL schema; cheap to clone.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pool: PgPool,
}

impl PostgresStore {
    /// A store in `schema`, which is migrated as soon as the server is there.
    ///
    /// # Errors
    /// When the address cannot be read.
    pub fn connect(
        postgres: &Postgres,
        schema: &'static str,
        lifecycle: &Lifecycle,
    ) -> Result<Self, StoreError> {
        let schema = Schema {
            name: schema,
            migrator: sqlx::migrate!("migrations/postgres"),
            statement_timeout: STATEMENT_TIMEOUT,
        };
        let pool = runtime::postgres::connect(postgres, schema, lifecycle)?;
        Ok(Self { pool })
    }
}

#[async_trait]
impl Store for PostgresStore {
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
        .fetch_one(&self.pool)
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
        .fetch_optional(&self.pool)
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
        .execute(&self.pool)
        .await?;
        Ok(ended.rows_affected() > 0)
    }
}
