//! Sessions on PostgreSQL.

use async_trait::async_trait;
use base::Timestamp;
use runtime::sql::{Dialect as _, Pools};
use runtime::{Lifecycle, StoreError, config};
use sqlx::Postgres;

use super::sql::{SqlStore, Statements};
use crate::domain::NewSession;

/// Sessions in a PostgreSQL schema.
pub type PostgresStore = SqlStore<Postgres>;

impl SqlStore<Postgres> {
    /// A store in `schema`, which is migrated as soon as the server is there.
    ///
    /// # Errors
    /// When the address cannot be read.
    pub fn connect(
        postgres: &config::Postgres,
        schema: &'static str,
        lifecycle: &Lifecycle,
    ) -> Result<Self, StoreError> {
        let migrator = sqlx::migrate!("migrations/postgres");
        let pools = runtime::postgres::connect(postgres, schema, migrator, lifecycle)?;
        Ok(Self { pools })
    }
}

#[async_trait]
impl Statements for Postgres {
    /// One statement, for a login waits for each.
    async fn add(
        pools: &Pools<Self>,
        session: &NewSession,
        now: Timestamp,
    ) -> Result<Option<i64>, sqlx::Error> {
        // The user is served by the primary key.
        Self::query(
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
        .optional_value(&mut *pools.writer().await?)
        .await
    }
}
