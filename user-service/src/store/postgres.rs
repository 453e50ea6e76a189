//! Accounts on PostgreSQL.

use std::time::Duration;

use runtime::postgres::Schema;
use runtime::{Lifecycle, StoreError, config};
use sqlx::Postgres;

use super::sql::{SqlStore, Statements};

/// The longest a statement may run.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(2);

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
        let schema = Schema {
            name: schema,
            migrator: sqlx::migrate!("migrations/postgres"),
            statement_timeout: STATEMENT_TIMEOUT,
        };
        let pools = runtime::postgres::connect(postgres, schema, lifecycle)?;
        Ok(Self { pools })
    }
}

impl Statements for Postgres {
    const PROFILES: &'static str = "SELECT uid, username, email, created_at
         FROM accounts
         WHERE uid = ANY($1)
         ORDER BY uid";
}
