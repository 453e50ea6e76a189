//! Sessions on PostgreSQL.

use std::time::Duration;

use async_trait::async_trait;
use base::{SessionId, Timestamp, Uid};
use runtime::config;
use runtime::postgres::Schema;
use runtime::{Lifecycle, StoreError};
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Postgres, Transaction};

use super::sql::store;
use super::{LISTED, OpenError, RenewError, Store, USE_PRECISION, rows};
use crate::domain::{Ends, NewSession, Renewal, Renewed, SecretHash, Session};

/// The longest a statement may run.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(2);
/// Idle sessions that one sweep ends, most.
const SWEPT_AT_ONCE: i64 = 200;
/// Ended sessions that one sweep drops, most.
const DROPPED_AT_ONCE: i64 = 2_000;

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
        postgres: &config::Postgres,
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

    async fn begin(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        self.pool.begin().await
    }

    /// Locks the user and adds a session, unless there is a newer password than the one that
    /// was verified. One statement, for a login waits for each.
    async fn add(&self, session: &NewSession, now: Timestamp) -> Result<Option<i64>, sqlx::Error> {
        // The user is served by the primary key.
        sqlx::query_scalar(
            "WITH locked AS (
                 INSERT INTO users (uid, password_version)
                 VALUES ($1, $2)
                 ON CONFLICT (uid) DO UPDATE
                 SET password_version = GREATEST(users.password_version, excluded.password_version)
                 RETURNING password_version
             )
             INSERT INTO sessions
                 (uid, password_version, device, address, refresh_hash, created_at, last_used)
             SELECT $1, $2, $3, $4, $5, $6, $6
             FROM locked
             WHERE locked.password_version = $2
             RETURNING id",
        )
        .bind(session.uid.as_i64())
        .bind(session.password_version.cast_signed())
        .bind(session.client.device())
        .bind(session.client.address())
        .bind(&session.refresh.0[..])
        .bind(now.micros())
        .fetch_optional(&self.pool)
        .await
    }

    fn reader(&self) -> &PgPool {
        &self.pool
    }
}

store!(PostgresStore, PgConnection);
