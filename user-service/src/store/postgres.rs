//! Accounts on PostgreSQL. Every use case is one statement, so it is its own
//! transaction.

use std::time::Duration;

use async_trait::async_trait;
use base::{SessionId, Timestamp, Uid, Username};
use runtime::config::Postgres;
use runtime::postgres::Schema;
use runtime::{Lifecycle, StoreError};
use sqlx::postgres::PgPool;

use super::{RegisterError, RenameError, Store, rows};
use crate::domain::{Credentials, Hash, Login, NewAccount, Profile, Untold};

/// The longest a statement may run.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(2);

/// Accounts in a PostgreSQL schema; cheap to clone.
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
        let pool = runtime::postgres::connect(postgres, schema, lifecycle)?.writer;
        Ok(Self { pool })
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn register(&self, account: &NewAccount, now: Timestamp) -> Result<Uid, RegisterError> {
        // Selected from nothing when it is taken, so that a refusal takes no number.
        let uid: Option<i64> = sqlx::query_scalar(
            "INSERT INTO accounts
                 (username, username_key, email, email_key, hash, hash_version, created_at)
             SELECT $1, $2, $3, $4, $5, $6, $7
             WHERE NOT EXISTS (
                 SELECT 1 FROM accounts WHERE username_key = $2 OR email_key = $4
             )
             ON CONFLICT DO NOTHING
             RETURNING uid",
        )
        .bind(account.username.as_str())
        .bind(account.username.key())
        .bind(account.email.as_str())
        .bind(account.email.key())
        .bind(&account.hash.phc)
        .bind(account.hash.version)
        .bind(now.micros())
        .fetch_optional(&self.pool)
        .await
        .map_err(StoreError::from)?;
        Ok(rows::uid(uid.ok_or(RegisterError::Taken)?)?)
    }

    async fn credentials(&self, login: &Login) -> Result<Option<Credentials>, StoreError> {
        let (query, key) = rows::find(login);
        let row = sqlx::query_as(query)
            .bind(key)
            .fetch_optional(&self.pool)
            .await?;
        row.map(rows::credentials).transpose()
    }

    async fn rehash(&self, uid: Uid, old: &Hash, new: &Hash) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE accounts
             SET hash = $3, hash_version = $4
             WHERE uid = $1 AND hash = $2",
        )
        .bind(uid.as_i64())
        .bind(&old.phc)
        .bind(&new.phc)
        .bind(new.version)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn credentials_of(&self, uid: Uid) -> Result<Option<Credentials>, StoreError> {
        let row = sqlx::query_as(rows::CREDENTIALS_OF)
            .bind(uid.as_i64())
            .fetch_optional(&self.pool)
            .await?;
        row.map(rows::credentials).transpose()
    }

    async fn change_password(
        &self,
        uid: Uid,
        old: u64,
        new: &Hash,
        kept: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Option<Untold>, StoreError> {
        let row = sqlx::query_as(rows::CHANGE_PASSWORD)
            .bind(uid.as_i64())
            .bind(old.cast_signed())
            .bind(&new.phc)
            .bind(new.version)
            .bind(kept.map_or(0, SessionId::as_i64))
            .bind(now.micros())
            .fetch_optional(&self.pool)
            .await?;
        row.map(rows::untold).transpose()
    }

    async fn told(&self, change: &Untold) -> Result<(), StoreError> {
        sqlx::query(rows::TOLD)
            .bind(change.uid.as_i64())
            .bind(change.version.cast_signed())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    async fn untold(&self, before: Timestamp) -> Result<Vec<Untold>, StoreError> {
        let found = sqlx::query_as(rows::UNTOLD)
            .bind(before.micros())
            .fetch_all(&self.pool)
            .await?;
        found.into_iter().map(rows::untold).collect()
    }

    async fn profile(&self, uid: Uid) -> Result<Option<Profile>, StoreError> {
        let row = sqlx::query_as(
            "SELECT uid, username, email, created_at
             FROM accounts
             WHERE uid = $1",
        )
        .bind(uid.as_i64())
        .fetch_optional(&self.pool)
        .await?;
        row.map(rows::profile).transpose()
    }

    async fn profiles(&self, uids: &[Uid]) -> Result<Vec<Profile>, StoreError> {
        let ids: Vec<i64> = uids.iter().map(|uid| uid.as_i64()).collect();
        let found = sqlx::query_as(
            "SELECT uid, username, email, created_at
             FROM accounts
             WHERE uid = ANY($1)
             ORDER BY uid",
        )
        .bind(&ids)
        .fetch_all(&self.pool)
        .await?;
        found.into_iter().map(rows::profile).collect()
    }

    async fn profile_named(&self, name: &Username) -> Result<Option<Profile>, StoreError> {
        let row = sqlx::query_as(rows::PROFILE_NAMED)
            .bind(name.key())
            .fetch_optional(&self.pool)
            .await?;
        row.map(rows::profile).transpose()
    }

    async fn rename(&self, uid: Uid, name: &Username) -> Result<(), RenameError> {
        let renamed = sqlx::query(
            "UPDATE accounts
             SET username = $2, username_key = $3
             WHERE uid = $1",
        )
        .bind(uid.as_i64())
        .bind(name.as_str())
        .bind(name.key())
        .execute(&self.pool)
        .await;
        match renamed {
            Ok(done) if done.rows_affected() == 0 => Err(RenameError::NoAccount),
            Ok(_) => Ok(()),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                Err(RenameError::Taken)
            }
            Err(error) => Err(StoreError::from(error).into()),
        }
    }
}
