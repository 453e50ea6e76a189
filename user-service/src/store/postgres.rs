//! Accounts on PostgreSQL.

use runtime::{Lifecycle, StoreError, config};
use sqlx::Postgres;

use super::sql::{SqlStore, Statements};

/// Accounts in a PostgreSQL schema.
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

impl Statements for Postgres {
    const PROFILES: &'static str = "SELECT uid, username, email, created_at
         FROM accounts
         WHERE uid = ANY($1)
         ORDER BY uid";
}
