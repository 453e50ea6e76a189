//! Rooms on PostgreSQL.

use runtime::{Lifecycle, StoreError, config};
use sqlx::Postgres;

use super::sql::{SqlStore, Statements};

/// Rooms in a PostgreSQL schema.
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
    const LOCK: &'static str = "SELECT is_private, change_no
         FROM rooms
         WHERE room_id = $1
         FOR UPDATE";

    const DIRECTORY: &'static str = "SELECT room_id, name, members
         FROM rooms
         WHERE NOT is_private
           AND kind = 1
           AND name_key COLLATE \"C\" >= $1
           AND name_key COLLATE \"C\" < $2
         ORDER BY name_key COLLATE \"C\"
         LIMIT $3";
}
